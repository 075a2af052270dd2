"""`mf`: the negative samples that a row is compared with."""

from typing import Any

import numpy as np
import pytest
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.models.registry import model_class
from recengine.training.config import RunConfig


def test_a_user_is_compared_with_the_negatives_of_that_user_alone(tiny: Dataset) -> None:
    """The loss of two groups is the mean of their separate losses, each with the negatives of its group."""
    kind = model_class("mf")
    model: Any = kind(kind.Config.from_dict({"embedding_dim": 4, "l2": 0, "loss": "adaptive-hinge"}))
    model.fit(tiny.positives(4.0), run=RunConfig(device="cpu", epochs=3))
    user, item = torch.tensor([0, 1, 2, 3]), torch.tensor([2, 3, 4, 5])
    negative = torch.tensor([[10, 11], [20, 21]])  # of users 0 and 1, and of users 2 and 3
    both = model._loss(user, item, negative, None)
    alone = [model._loss(user[g : g + 2], item[g : g + 2], negative[g // 2 :][:1], None) for g in (0, 2)]
    assert both.item() == pytest.approx((alone[0].item() + alone[1].item()) / 2, rel=1e-5)
    assert alone[0].item() != pytest.approx(alone[1].item())


def test_known_positives_are_marked_among_the_negatives_of_each_group(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    known = set(zip(liked.user_idx.tolist(), liked.item_idx.tolist(), strict=True))
    kind = model_class("mf")
    model: Any = kind(kind.Config.from_dict({"shared_by": 8, "negatives": 6, "batch_size": 100}))
    trained: list[tuple[int, int]] = []
    for user, item, negative, taken in model._batches(liked, torch.device("cpu"), torch.Generator())():
        for row, u in enumerate(user.tolist()):
            assert taken[row].tolist() == [(u, n) in known for n in negative[row // 8].tolist()]
        trained += zip(user.tolist(), item.tolist(), strict=True)
    assert set(trained) == known
    assert len(trained) < len(known) + 8  # every positive once, and a few twice to fill the last group


@pytest.mark.parametrize("sampling", ["exact", "approximate"])
def test_a_known_positive_is_a_negative_only_in_approximate_sampling(sampling: str) -> None:
    """A user who has every item has no negatives: exact sampling then changes nothing, approximate does."""
    kind = model_class("mf")
    board = Interactions.from_pairs(np.repeat([0, 1], 6), np.tile(np.arange(6), 2), n_users=2, n_items=6)
    config = kind.Config.from_dict({"embedding_dim": 4, "l2": 0, "loss": "hinge", "sampling": sampling})
    one, many = (kind(config).fit(board, run=RunConfig(device="cpu", epochs=e)).score([0, 1]) for e in (1, 5))
    assert torch.equal(one, many) == (sampling == "exact")
