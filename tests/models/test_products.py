"""The product of small matrices is NumPy's."""

from __future__ import annotations

import numpy as np

from recengine.models.products import HEIGHT, WIDTH, multiply


def test_the_product_is_numpys_also_of_a_transpose() -> None:
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape, np.float32) for shape in ((3 * HEIGHT, 7), (7, 2 * WIDTH)))
    for each in (left, np.ascontiguousarray(left.T).T):
        out = np.full((3 * HEIGHT, 2 * WIDTH), np.nan, np.float32)
        multiply(each, right, out)
        np.testing.assert_allclose(out, left @ right, atol=1e-5)
