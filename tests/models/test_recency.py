"""Recency: its weights, who takes it, how validation chooses it, and that scores split over a history with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, leave_last
from recengine.experiments.store import ArtefactStore
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.ratings.base import RatingModel, rating_validator
from recengine.models.recency import HALF_LIVES, HistoryConfig, HistoryModel, recency_weights
from recengine.models.registry import MODELS, configure, fit_final, model_class
from recengine.models.streaming.base import Incremental
from recengine.serving.explain import reasons
from recengine.serving.recommend import recommend_new
from recengine.training.config import RunConfig
from recengine.training.loop import gain, ranking_validator

READS_NO_ORDER = ("popularity", "contextual", "taste")
"""Models that give every new user the same list, or the same whatever the order of the ratings."""
HISTORY = [name for name, kind in MODELS.items() if issubclass(kind, HistoryModel)]
EXPLAIN = [name for name, kind in MODELS.items() if hasattr(kind, "explain")]
SMALL = {"embedding_dim": 6, "epochs": 4, "averaged_sweeps": 3}


def fitted(name: str, data: Dataset, rows: Interactions | None = None, **wanted: Any) -> Any:
    kind = model_class(name)
    known = {f.name for f in dataclasses.fields(kind.Config)} | {"epochs"}
    small = {key: value for key, value in SMALL.items() if key in known}
    config, run = configure(name, {**small, **wanted}, RunConfig(device="cpu"))
    if rows is None:
        rows = data.ratings if kind.learns_from == "ratings" else data.positives(4.0)
    return kind(config).fit(rows, items=data.items, users=data.users, run=run)


def liked(items: Sequence[int]) -> Interactions:
    """Return one new user, who gave the items five stars one after the other."""
    return Interactions.from_pairs([0] * len(items), items, rating=[5.0] * len(items), n_users=1, n_items=40)


@pytest.fixture(scope="module")
def chain() -> Split:
    """Return 200 walks round 30 items: the next item is the last one plus 1, the start and the length are chance."""
    rng = np.random.default_rng(3)
    walks = [(rng.integers(30) + np.arange(rng.integers(5, 9))) % 30 for _ in range(200)]
    users = np.repeat(np.arange(200), [len(walk) for walk in walks])
    return leave_last(Interactions.from_pairs(users, np.concatenate(walks), n_users=200, n_items=30))


# Weights --------------------------------------------------------------------------------------------------------


def test_a_weight_halves_towards_the_floor_with_each_half_life() -> None:
    config = HistoryConfig(recency_half_life=2.0, recency_floor=0.5)
    assert config.recency(np.array([0, 2, 4])) == pytest.approx([1.5, 1.0, 0.75])
    for word in (None, "auto"):
        assert HistoryConfig(recency_half_life=word).recency(np.array([0, 2])).tolist() == [1.0, 1.0]


def test_age_counts_the_later_events_of_the_same_user() -> None:
    rows = Interactions.from_pairs([1, 0, 1, 1], [5, 5, 7, 6], timestamp=[30, 9, 10, 20], n_users=2, n_items=8)
    weights = recency_weights(rows, HistoryConfig(recency_half_life=1.0, recency_floor=0.0))
    assert weights == pytest.approx([1.0, 1.0, 0.25, 0.5])


# Who takes it ---------------------------------------------------------------------------------------------------


def test_every_fold_in_takes_recency_but_those_that_read_no_order_or_read_it_themselves() -> None:
    folds = {name for name, kind in MODELS.items() if hasattr(kind, "score_history")}
    folds -= {
        name for name in folds if issubclass(MODELS[name], Incremental)
    }  # these learn from one event after another
    assert folds - {*READS_NO_ORDER, "gru", "gru-rating", "sasrec"} == set(HISTORY)


@pytest.mark.parametrize("name", HISTORY)
def test_with_recency_the_order_of_a_history_matters_and_users_are_scored_as_new_users(
    name: str, tiny: Dataset
) -> None:
    model = fitted(name, tiny, recency_half_life=1.0)
    rating = [5.0, 1.0, 4.0, 2.0]
    forth, back = (
        Interactions.from_pairs([0] * 4, [0, 5, 10, 15], rating=rating, timestamp=t, n_users=1, n_items=40)
        for t in ([1, 2, 3, 4], [4, 3, 2, 1])
    )
    assert not torch.allclose(model.score_history(forth), model.score_history(back), rtol=0, atol=1e-5)
    rows = tiny.ratings if model.learns_from == "ratings" else tiny.positives(4.0)
    users = np.array([3, 0, 59])
    assert model.scores_from_history
    assert torch.allclose(model.score(users), model.score_history(rows.of_users(users)), atol=1e-4)
    plain = type(model)(dataclasses.replace(model.config, recency_half_life=None))
    plain.n_users, plain.n_items = model.n_users, model.n_items
    plain.restore(model.state())
    assert torch.allclose(plain.score_history(forth), plain.score_history(back), atol=1e-5)


@pytest.mark.parametrize("name", ["ease", "ials", "mf", "cml", "bias"])
def test_recency_changes_users_and_leaves_the_items_as_they_are(name: str, tiny: Dataset) -> None:
    plain, recent = fitted(name, tiny), fitted(name, tiny, recency_half_life=1.0)
    of_users = {"users", "user_embedding.weight"}
    for key, tensor in plain.state().items():
        if key not in of_users:
            assert torch.equal(tensor, recent.state()[key]), key
    assert not torch.allclose(plain.score(np.arange(60)), recent.score(np.arange(60)), atol=1e-3)


def test_a_row_that_weighs_nothing_is_no_row(tiny: Dataset) -> None:
    """Beside an overwhelming last event the others vanish: the vector is that of the last event alone."""
    for name in ("ials", "mf", "cml"):
        model = fitted(name, tiny)
        model.config = dataclasses.replace(model.config, recency_half_life=0.01, recency_floor=0.0)
        both, last = liked([4, 9]), liked([9])
        if name == "ials":  # its penalty counts rows, whatever they weigh
            model.config = dataclasses.replace(model.config, frequency_scaling=0.0)
        assert torch.allclose(model.score_history(both), model.score_history(last), atol=0.05), name


# Where there are no times --------------------------------------------------------------------------------------

FOLD_IN = [name for name, kind in MODELS.items() if "fold-in" in kind.abilities]


def sitting(items: Sequence[int]) -> Interactions:
    """Return one new user without times: the item decides the stars, and every third is disliked."""
    stars = [1.0 if item % 3 == 0 else 5.0 for item in items]
    return Interactions.from_pairs(
        [0] * len(items), items, rating=stars, timestamp=[0] * len(items), n_users=1, n_items=40
    )


@pytest.fixture(scope="module", params=FOLD_IN)
def recent(request: pytest.FixtureRequest, tiny: Dataset) -> Any:
    """Return each model that serves new users, with recency where it has it."""
    has = "recency_half_life" in {f.name for f in dataclasses.fields(model_class(request.param).Config)}
    return fitted(request.param, tiny, **({"recency_half_life": 1.0} if has else {}))


@settings(max_examples=12, deadline=None)
@given(order=st.permutations([1, 3, 8, 12, 17, 26, 33]))
def test_the_order_of_clicks_or_of_a_file_never_decides_a_list(recent: Any, tiny: Dataset, order: list[int]) -> None:
    expected, listing = (recommend_new(recent, tiny, sitting(items), k=33) for items in (sorted(order), order))
    assert torch.equal(listing.ranking.items, expected.ranking.items)
    assert torch.equal(listing.ranking.scores, expected.ranking.scores)


@pytest.mark.parametrize("name", [*HISTORY, "stream-item-knn"])
def test_recency_rests_where_all_has_one_time(name: str, tiny: Dataset) -> None:
    history = sitting([8, 1, 5, 3])
    with_it, without = (fitted(name, tiny, recency_half_life=half) for half in (1.0, None))
    if name == "slist":  # recency shapes what it learns, too
        without = type(with_it)(dataclasses.replace(with_it.config, recency_half_life=None))
        without.n_users, without.n_items = with_it.n_users, with_it.n_items
        without.restore(with_it.state())
    assert torch.allclose(with_it.score_history(history), without.score_history(history), atol=1e-6)


# What validation chooses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ease", "item-knn", "ials", "mf", "bias"])
def test_auto_is_the_half_life_that_fares_best_when_each_is_fitted_alone(
    name: str, tiny: Dataset, chain: Split
) -> None:
    kind = model_class(name)
    parts = leave_last(tiny.ratings, test=False) if kind.learns_from == "ratings" else chain
    config, run = configure(name, {"recency_half_life": "auto", "epochs": 8}, RunConfig(device="cpu"))
    final = fit_final(model_class(name), config, parts.train, parts.valid, run=run)
    assert final.best_epoch != 0
    epochs = final.best_epoch or 1
    reached: dict[float | None, float] = {}
    for half_life in (None, *HALF_LIVES):
        one = kind(dataclasses.replace(config, recency_half_life=half_life))  # type: ignore[call-arg]
        one.fit(parts.train, run=dataclasses.replace(run, epochs=epochs))
        validate = (
            rating_validator(one, parts.valid)
            if isinstance(one, RatingModel)
            else ranking_validator(one.score, parts.train, parts.valid)
        )
        reached[half_life] = gain(kind.criterion, validate()[kind.criterion])
    assert reached[final.config.recency_half_life] == pytest.approx(max(reached.values()), abs=1e-6)
    again = kind(final.config).fit(parts.fit, run=dataclasses.replace(run, epochs=epochs))
    assert torch.equal(final.score(np.arange(60)), again.score(np.arange(60)))
    # A vector that `mf` trained may serve better than one that is fitted again, with any half-life.
    assert name in ("bias", "mf") or final.config.recency_half_life is not None


def test_auto_finds_that_only_the_last_event_matters(chain: Split) -> None:
    config, run = configure("item-knn", {"recency_half_life": "auto", "recency_floor": 0}, RunConfig(device="cpu"))
    model = fit_final(model_class("item-knn"), config, chain.train, chain.valid, run=run)
    assert model.config.recency_half_life == 1.0


def test_auto_without_validation_is_none_and_before_it_weighs_nothing(chain: Split) -> None:
    config, run = configure("ease", {"recency_half_life": "auto"}, RunConfig(device="cpu"))
    nothing = chain.valid.select(slice(0))
    assert fit_final(model_class("ease"), config, chain.train, nothing, run=run).config.recency_half_life is None
    auto, plain = (model_class("ease")(c).fit(chain.train) for c in (config, model_class("ease").Config()))
    assert torch.equal(auto.score([0, 1]), plain.score([0, 1]))


def test_where_order_is_all_the_same_none_is_chosen(chain: Split) -> None:
    """Recency changes no list of a one-event history, and a tie is no gain."""
    first = chain.train.chronological()[np.unique(chain.train.user_idx, return_index=True)[1]]
    config, run = configure("ease", {"recency_half_life": "auto", "recency_floor": 0}, RunConfig(device="cpu"))
    model = fit_final(model_class("ease"), config, chain.train.select(first), chain.valid, run=run)
    assert model.config.recency_half_life is None


def test_the_store_shows_what_was_chosen_and_finds_it_again(tiny: Dataset, tmp_path) -> None:
    store = ArtefactStore(tmp_path)
    wanted = {"recency_half_life": "auto"}
    made = obtain(TrainingRequest(tiny, "ease", settings=wanted), store=store)
    result = obtain(TrainingRequest(tiny, "ease", settings=wanted), store=store)
    assert (made.fresh, result.fresh) == (True, False)
    chosen = made.model.config.recency_half_life
    assert chosen != "auto"
    assert made.manifest.config["recency_half_life"] == result.model.config.recency_half_life == chosen


# Explanations ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained(tiny: Dataset) -> dict[str, Any]:
    return {name: fitted(name, tiny) for name in EXPLAIN}


@given(
    history=st.lists(st.integers(0, 39), min_size=1, max_size=12, unique=True),
    half_life=st.none() | st.floats(0.5, 50),
    target=st.integers(0, 39),
)
@settings(max_examples=25, deadline=None)
def test_contributions_add_up_to_what_the_history_adds(explained, history, half_life, target) -> None:
    for model in explained.values():
        if isinstance(model, HistoryModel):
            model.config = dataclasses.replace(model.config, recency_half_life=half_life)
        rows = liked(history)
        scores = model.score_history(rows) - model.score_history(rows.select(slice(0)))
        parts = model.explain(rows, [target])
        assert parts.shape == (1, len(history))
        assert float(parts.sum()) == pytest.approx(float(scores[0, target]), abs=1e-3, rel=1e-3), model.name


def test_ials_explains_by_the_solve_written_out(tiny: Dataset) -> None:
    model = fitted("ials", tiny, recency_half_life=3.0)
    config, items = model.config, model.network.items.double().numpy()
    past, targets = [7, 1, 30], [2, 9]
    weights = config.recency_floor + 0.5 ** (np.array([2, 1, 0]) / 3.0)
    left = config.unobserved_weight * items.T @ items
    left += sum(w * np.outer(items[j], items[j]) for w, j in zip(weights, past, strict=True))
    left += config.l2 * (3 + config.unobserved_weight * 40) ** config.frequency_scaling * np.eye(6)
    inverse = np.linalg.inv(left)
    expected = [[w * items[i] @ inverse @ items[j] for w, j in zip(weights, past, strict=True)] for i in targets]
    assert model.explain(liked(past), targets).numpy() == pytest.approx(np.array(expected), abs=1e-5)


def test_mf_gives_exact_reasons_to_new_users_and_neighbours_to_those_it_was_trained_on(tiny: Dataset) -> None:
    model, past = fitted("mf", tiny, epochs=30), [1, 5, 9]
    assert {reason.kind for reason in reasons(model, liked(past), [2, 3])} == {"neighbour"}
    assert {reason.kind for reason in reasons(model, liked(past), [13, 17], new_user=True)} == {"contribution"}
    recent = fitted("mf", tiny, epochs=30, recency_half_life=2.0)
    assert {reason.kind for reason in reasons(recent, liked(past), [13, 17])} == {"contribution"}
