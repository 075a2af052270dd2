"""What training validates by: users and rows that count, a sample where all take long, and patience with it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.metrics import tie_salts
from recengine.training import loop
from recengine.training.loop import OnSample, best_epoch, ranking_validator
from recengine.training.progress import EpochResult
from tests.support.ranking import in_order


def test_the_validator_masks_training_items_and_averages_over_validation_users() -> None:
    train_rows = Interactions.from_pairs([0, 0, 1], [0, 1, 2], n_users=3, n_items=12)
    valid = Interactions.from_pairs([0, 1], [2, 0], n_users=3, n_items=12)
    table = torch.linspace(1, 0, 12).repeat(3, 1)
    given: list[Tensor] = []

    def score(users: Tensor) -> Tensor:
        given.append(users)
        return table[users]

    outcome = ranking_validator(score, train_rows, valid)()
    # User 0: items 0 and 1 are masked, so item 2 comes first; user 1: item 0 comes first.
    assert outcome == {"valid_ndcg@10": pytest.approx(1.0), "valid_hr@10": pytest.approx(1.0)}
    assert torch.cat(given).tolist() == [0, 1]
    assert torch.equal(table, torch.linspace(1, 0, 12).repeat(3, 1))  # the scores of the model are unchanged


def test_the_validator_gives_the_loop_its_key_on_a_catalogue_smaller_than_ten() -> None:
    x = Interactions.from_pairs([0, 1], [0, 1], n_users=2, n_items=4)
    valid = Interactions.from_pairs([0], [2], n_users=2, n_items=4)
    outcome = ranking_validator(lambda users: torch.ones(len(users), 4), x, valid)()
    listed = in_order([1.0] * 4, [1, 2, 3], int(tie_salts(x, [0])))
    assert outcome["valid_ndcg@10"] == pytest.approx(1 / np.log2(listed.index(2) + 2))


@pytest.mark.parametrize("unknown", [[3], [3, 4], [0, 4]])
def test_c33_users_without_a_training_row_choose_no_epoch(unknown: list[int]) -> None:
    """Of `time` most late users are new; a model's scores for them are whatever its vectors started as."""
    known = [user for user in range(5) if user not in unknown]
    rows = Interactions.from_pairs(known, [0] * len(known), n_users=5, n_items=4)
    valid = Interactions.from_pairs(range(5), [1, 2, 3, 1, 2], n_users=5, n_items=4)
    table = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    among_known = valid.select(np.isin(valid.user_idx, known))
    expected = ranking_validator(lambda users: table[users], rows, among_known, k=1)()
    table[unknown] = torch.tensor([0.0, 3.0, 2.0, 1.0])  # right for some, wrong for others
    assert ranking_validator(lambda users: table[users], rows, valid, k=1)() == expected
    none = rows.select(slice(0))
    alone = ranking_validator(lambda users: table[users], none, valid.select(np.isin(valid.user_idx, unknown)), k=4)()
    assert alone["valid_hr@4"] == 1.0  # where nobody is known they are all there is


def test_a_dear_validation_ranks_a_fixed_sample_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = Interactions.from_pairs(range(60), rng.integers(0, 20, 60), n_users=60, n_items=40)
    valid = Interactions.from_pairs(range(60), rng.integers(20, 40, 60), n_users=60, n_items=40)
    table, given = torch.rand(60, 40, generator=torch.Generator().manual_seed(1)), []

    def score(users: Tensor) -> Tensor:
        given.append(users)
        return table[users]

    exact = ranking_validator(score, rows, valid)
    assert not isinstance(exact, OnSample)
    exact()
    assert torch.cat(given).tolist() == list(range(60))
    given.clear()
    monkeypatch.setattr(loop, "EXACT_UP_TO", 60 * 40 - 1)
    monkeypatch.setattr(loop, "LEAST_RANKED", 25)
    sampled = ranking_validator(score, rows, valid)
    assert isinstance(sampled, OnSample)
    first, second = sampled(), ranking_validator(score, rows, valid)()
    assert first == second  # two models are ranked for the same users
    users, again = given
    assert users.tolist() == again.tolist() == sorted(set(users.tolist()))
    assert len(users) == 59
    monkeypatch.setattr(loop, "EXACT_UP_TO", 40)
    given.clear()
    ranking_validator(score, rows, valid)()
    assert len(given[0]) == 25


def test_m37_where_validation_samples_an_early_dip_does_not_end_training() -> None:
    """On a sparse catalogue `ials` falls below its first epoch for several, and then rises far above it."""
    network = nn.Linear(1, 1)
    reached = {0: 0.0, 1: 0.14, 2: 0.14, 4: 0.13, 6: 0.13, 8: 0.15, 10: 0.16, 11: 0.17, 12: 0.17}
    asked: list[int] = []

    def run(validate: Callable[[], dict[str, float]], epochs: int) -> list[EpochResult]:
        asked.clear()
        done = iter(range(100))
        return loop.run_epochs(
            network,
            epoch=lambda _: float(next(done)),
            untrained_loss=lambda: 1.0,
            epochs=epochs,
            patience=3,
            validate=validate,
            on_epoch=lambda result: asked.append(result.epoch) if result.metrics else None,
        )

    def curve(step: int) -> Callable[[], dict[str, float]]:
        epochs = iter(range(0, 100, step))
        return lambda: {"valid_ndcg@10": reached[min(next(epochs), 12)]}

    log = run(OnSample(curve(2)), epochs=12)
    assert asked == [0, 2, 4, 6, 8, 10, 12]
    assert best_epoch(log, "valid_ndcg@10").epoch == 12
    run(OnSample(curve(2)), epochs=11)
    assert asked[-1] == 11  # the last epoch is always validated
    flat = run(OnSample(lambda: {"valid_ndcg@10": 0.1}), epochs=50)
    assert len(flat) - 1 == 9  # three times the patience, and no more
