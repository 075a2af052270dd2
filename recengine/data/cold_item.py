"""The split `cold-item`: items that nobody in training has rated are ranked by what is known about them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recengine.data.interactions import Interactions
from recengine.data.split import Rng, Split


def cold_item_split(
    ratings: Interactions, *, positive: float, share: float = 0.1, warm: Callable[[Interactions], Split], rng: Rng
) -> Split:
    """Withhold a random `share` of the rated items with all of their ratings, and rank these items alone.

    The targets are the withheld ratings from `positive` up. A model that learns from ratings alone knows nothing of
    any candidate, so its order is chance. `warm` splits the positives of the other items for training.
    """
    rated = rng.permutation(ratings.item_counts.nonzero()[0])
    withheld = np.sort(rated[: max(1, round(share * len(rated)))])
    is_withheld = np.zeros(ratings.n_items, bool)
    is_withheld[withheld] = True
    learned = ratings.select(~is_withheld[ratings.item_idx])
    parts = warm(learned.at_least(positive))
    return Split(
        train=parts.train,
        valid=parts.valid,
        test=ratings.select(is_withheld[ratings.item_idx]).at_least(positive),
        candidates=withheld,
        rest=learned.select(learned.rating < positive),
        options={"share": share},
    )
