"""The order of a list as a slow loop makes it: by score, equal scores by the hash turned by the user's salt."""

from collections.abc import Iterable, Sequence

import torch

from recengine.metrics import top_k


def in_order(scores: Sequence[float], items: Iterable[int], salt: int = 0) -> list[int]:
    """Return the items, best first. The order of the hash is what `top_k` makes of equal scores without a salt."""
    n = len(scores)
    order = top_k(torch.zeros(1, n), n).items[0].tolist()
    assert sorted(order) == list(range(n))
    among = set(items)
    listed: list[int] = []
    for score in sorted({scores[i] for i in among}, reverse=True):
        equals = [i for i in order if i in among and scores[i] == score]
        turn = salt % len(equals)
        listed += equals[turn:] + equals[:turn]
    return listed
