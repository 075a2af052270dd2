"""The parts of the Gibbs sampler, compared with the distributions that they sample from."""

import numpy as np
import pytest
import torch

from recengine.models.ratings.gibbs import Links, sample_normal_wishart


def test_links_are_sampled_from_their_ridge_posterior() -> None:
    """The mean of many draws is the ridge solution (F'F + l2)^-1 F'x, whichever side is factored."""
    rng, draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for n, m in ((5, 9), (9, 5)):
        cells = np.flatnonzero(rng.random(n * m) < 0.5)
        owner, other = (torch.from_numpy(x) for x in np.divmod(cells, m))
        links = Links(owner, other, n, m, l2=2.0)
        features = links.features.to_dense()
        assert features.square().sum(1).tolist() == pytest.approx([1.0] * n)
        x = torch.from_numpy(rng.standard_normal((n, 2)).astype(np.float32))
        ridge = torch.linalg.solve(features.T @ features + 2 * torch.eye(m), features.T @ x)
        result = torch.stack([links.sample(x, 50 * torch.eye(2), draws) for _ in range(2000)])
        assert torch.allclose(result.mean(0), ridge, atol=0.02)
        variance = torch.linalg.inv(features.T @ features + 2 * torch.eye(m)).diagonal() / 50
        assert torch.allclose(result.var(0), variance[:, None].expand(-1, 2), rtol=0.2)


def test_the_normal_wishart_posterior_has_the_mean_and_covariance_of_many_rows() -> None:
    rng, draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    rows = torch.from_numpy((rng.standard_normal((20_000, 2)) @ [[1, 0.5], [0, 0.3]] + [3, -1]).astype(np.float32))
    mean, precision = sample_normal_wishart(rows, draws, rng)
    assert torch.allclose(mean, torch.tensor([3.0, -1.0]), atol=0.05)
    assert torch.allclose(torch.linalg.inv(precision), torch.cov(rows.T), atol=0.05)
