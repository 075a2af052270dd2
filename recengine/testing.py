"""The contract of a model as a pytest class: ours run it, and so can anybody's.

    from recengine.testing import ModelContract

    class TestMine(ModelContract):
        model = MyModel

pytest then collects a test for each line of the contract, and for each ability that `MyModel` declares; tests of
abilities that it does not declare do not exist for it. `check` runs the same lines without pytest, in words.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recengine.data.dataset import Dataset, build_dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.abilities import ABILITIES
from recengine.models.base import Recommender, implemented
from recengine.training.config import RunConfig

USERS_TRIED = 60  # by `check`, over the whole catalogue
Test = Callable[[Any], None]


def small_dataset() -> Dataset:
    """Return 60 users and 40 items in four genres; each user likes one genre. Seeded, half-star ratings."""
    rng = np.random.default_rng(7)
    users, items = np.repeat(np.arange(60), 20), np.concatenate([rng.permutation(40)[:20] for _ in range(60)])
    liked = items % 4 == users % 4
    rating = np.where(liked, rng.choice([4.0, 4.5, 5.0], len(users)), rng.choice([1.0, 2.5, 3.5, 4.0], len(users)))
    stamps = np.arange(len(users)) + 10**9
    ratings = pd.DataFrame({"user_id": users + 1, "item_id": items + 101, "rating": rating, "timestamp": stamps})
    genres = ["Action|Sci-Fi", "Comedy", "Drama|Romance", "Horror"]
    item_table = pd.DataFrame(
        {
            "item_id": np.arange(40) + 101,
            "title": [f"Film {i}" for i in range(40)],
            "year": 1980 + np.arange(40),
            "genres": [genres[i % 4] for i in range(40)],
        }
    )
    user_table = pd.DataFrame(
        {
            "user_id": np.arange(60) + 1,
            "age": 18 + np.arange(60) % 50,
            "gender": np.where(np.arange(60) % 4 < 2, "F", "M"),
            "occupation": np.array(["engineer", "teacher", "artist", "law"])[np.arange(60) % 4],
        }
    )
    return build_dataset("tiny", ratings, item_table, user_table)


class Trial:
    """A model fitted on some rows, how to fit it again, and users to try it with. It is fitted when first asked for."""

    def __init__(self, kind: type[Recommender], dataset: Dataset, rows: Interactions, users: pd.DataFrame) -> None:
        self.kind, self.dataset, self.rows, self.user_table = kind, dataset, rows, users
        self.users = np.array([rows.n_users - 1, 0, rows.n_users // 2])

    def fit(self, rows: Interactions | None = None) -> Recommender:
        """Return the model, fitted anew for two epochs, or in closed form."""
        run = RunConfig(device="cpu", epochs=None if self.kind.preset_epochs is None else 2)
        rows = self.rows if rows is None else rows
        return self.kind().fit(rows, items=self.dataset.items, users=self.user_table, run=run)

    @cached_property
    def model(self) -> Recommender:
        return self.fit()


def requires(*abilities: str) -> Callable[[Test], Test]:
    """Mark a line of the contract as one of models with these abilities alone."""

    def mark(test: Test) -> Test:
        test.__dict__["requires"] = frozenset(abilities)
        return test

    return mark


class ModelContract:
    """What holds for every model. A subclass names its `model`; its tests share one fitted model."""

    model: ClassVar[type[Recommender]]
    _trial: ClassVar[Trial | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._trial = None
        declared = cls.model.abilities if hasattr(cls, "model") else ()
        for name in dir(cls):
            if not getattr(getattr(cls, name), "requires", frozenset()) <= frozenset(declared):
                setattr(cls, name, None)  # pytest collects no None

    @property
    def trial(self) -> Trial:
        kind = type(self)
        if kind._trial is None:
            data = small_dataset()
            kind._trial = Trial(kind.model, data, data.ratings, data.user_table)
        return kind._trial

    def test_scores(self) -> None:
        """it scores every item for a batch of users."""
        trial = self.trial
        _check_scores(trial.model.score(trial.users), len(trial.users), trial.model.n_items)
        for users in (trial.users.tolist(), torch.from_numpy(trial.users)):
            assert torch.equal(trial.model.score(users), trial.model.score(trial.users)), (
                "a list or a tensor of users scores otherwise than an array"
            )

    def test_alone(self) -> None:
        """a user scores alone as in a batch."""
        trial = self.trial
        batch = trial.model.score(trial.users)
        for position, user in enumerate(trial.users.tolist()):
            alone = trial.model.score(user)
            same = alone.shape == batch[:1].shape and torch.allclose(alone[0], batch[position], atol=1e-5)
            assert same, f"user_idx {user} scores otherwise alone; let no row depend on the others"

    def test_lists(self) -> None:
        """a list is unseen, without repeats, best first."""
        trial = self.trial
        ranking = trial.model.top_k(trial.users, k=min(10, trial.model.n_items), seen=trial.rows)
        for user, items, scores in zip(trial.users, ranking.items.tolist(), ranking.scores, strict=True):
            listed = [item for item in items if item >= 0]
            seen = set(trial.rows.item_idx[trial.rows.user_idx == user].tolist()) & set(listed)
            ordered = len(set(listed)) == len(listed) and not bool((scores.diff() > 0).any())
            right = ordered and not seen
            assert right, f"the list of user_idx {user} is {items}, of which {sorted(seen)} are seen"

    def test_candidates(self) -> None:
        """a list holds candidates alone, the highest scores first, and is padded with -1."""
        trial = self.trial
        among = np.arange(0, trial.model.n_items, 2)
        k = min(15, trial.model.n_items)
        ranking = trial.model.top_k(trial.users, k=k, seen=trial.rows, among=among)
        assert (ranking.items.dtype, ranking.scores.dtype) == (torch.int64, torch.float32), "the types are others"
        scores = trial.model.score(trial.users)
        for position, user in enumerate(trial.users):
            free = set(among.tolist()) - set(trial.rows.item_idx[trial.rows.user_idx == user].tolist())
            finite = [item for item in free if bool(scores[position, item] > -torch.inf)]
            best = sorted(finite, key=lambda item: (-float(scores[position, item]), item))[:k]
            expected = best + [-1] * (k - len(best))
            items = ranking.items[position].tolist()
            assert items == expected, f"the list of user_idx {user} is {items}; expected {expected}"

    def test_k(self) -> None:
        """k outside the catalogue is bad input."""
        trial = self.trial
        for k in (0, -1, trial.model.n_items + 1):
            error = refused(lambda k=k: trial.model.top_k(0, k=k, seen=None))  # type: ignore[misc]
            assert (error.field, error.value) == ("k", k), f"it says {error}"

    def test_unchanged(self) -> None:
        """serving leaves the model as it was."""
        model, users, rows = self.trial.model, self.trial.users.copy(), self.trial.rows
        before = {name: tensor.clone() for name, tensor in model.state().items()}
        first = model.score(users).clone()
        model.top_k(users, k=1, seen=rows, among=[0, 1])
        if "similar" in model.abilities:
            model.similar_items([0, 1], k=1)
        moved = [name for name, tensor in model.state().items() if not torch.equal(tensor, before[name])]
        assert not moved, f"{', '.join(moved)} changed; copy before you write"
        assert torch.equal(model.score(users), first), "the same question got another answer"
        assert users.tolist() == self.trial.users.tolist(), "the users asked about were changed"

    def test_repeatable(self) -> None:
        """the same seed trains the same model."""
        trial = self.trial
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
        rows = [getattr(trial.rows, name).tobytes() for name in ("user_idx", "item_idx", "rating", "timestamp")]
        again = trial.fit()
        same = torch.equal(again.score(trial.users), trial.model.score(trial.users))
        assert same, "a second training scored otherwise; draw from a generator seeded by context.run.seed"
        assert torch.equal(torch.get_rng_state(), torch_state), "it changed torch's global generator"
        assert np.random.get_state()[1].tolist() == numpy_state, "it changed NumPy's global generator"  # type: ignore[index]  # noqa: NPY002
        assert rows == [
            getattr(trial.rows, name).tobytes() for name in ("user_idx", "item_idx", "rating", "timestamp")
        ], "it changed the training rows"

    def test_saved(self) -> None:
        """saved and loaded, it scores the same."""
        model, users = self.trial.model, self.trial.users
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            loaded = type(model).load(folder)
        same = torch.equal(loaded.score(users), model.score(users))
        assert same, "the loaded model scores otherwise; let state hold all that score reads"
        assert (loaded.n_users, loaded.n_items, loaded.config) == (model.n_users, model.n_items, model.config), (
            "the loaded model has other sizes or another config"
        )
        assert loaded.training_log == model.training_log, "the loaded model has another training log"

    def test_other_artefacts(self) -> None:
        """another version's artefact is refused."""
        model = self.trial.model
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            path = Path(folder, "model.json")
            path.write_text(json.dumps({**json.loads(path.read_text()), "version": model.version + 1}))
            try:
                type(model).load(folder)
            except ValueError:
                return
        raise AssertionError("it loads an artefact of another version")

    def test_abilities(self) -> None:
        """it declares the abilities whose methods it has, and no other."""
        model = self.trial.model
        had = implemented(type(model))
        assert model.abilities == had, f"it declares {sorted(model.abilities)} and has the methods of {sorted(had)}"
        lacking = [name for name in model.abilities if not isinstance(model, ABILITIES[name])]
        assert not lacking, f"it lacks a method of {', '.join(lacking)}"

    @requires("similar")
    def test_similar(self) -> None:
        """similar items are sorted and leave out the item asked about."""
        model = self.trial.model
        k = min(10, model.n_items - 1)
        ranking = model.similar_items([0, 1], k=k)
        listed = [seed for seed, items in enumerate(ranking.items.tolist()) if seed in items]
        assert not listed, f"item_idx {listed} is in its own list"
        assert not bool((ranking.scores.diff(dim=1) > 0).any()), "a less similar item comes first"
        assert model.similar_items(1, k=k).items[0].tolist() == ranking.items[1].tolist(), (
            "a batch is answered otherwise"
        )

    @requires("fold-in")
    def test_new_users(self) -> None:
        """new users are scored from their ratings, also without any."""
        model, rows = self.trial.model, self.trial.rows
        some = rows.of_users(self.trial.users)
        scores = model.score_history(some)  # type: ignore[attr-defined]  # as it declares
        _check_scores(scores, len(self.trial.users), model.n_items)
        _check_scores(model.score_history(some.select(slice(0))), len(self.trial.users), model.n_items)  # type: ignore[attr-defined]
        alone = model.score_history(rows.of_users(self.trial.users[2:]))  # type: ignore[attr-defined]
        assert torch.allclose(scores[2], alone[0], atol=1e-4), "a new user scores otherwise alone"

    @requires("fold-in", "explain")
    def test_explanations(self) -> None:
        """the parts of an explanation add up to what a history adds to the score."""
        model, rows = self.trial.model, self.trial.rows
        user = rows.of_users(self.trial.users[:1])
        user = user.select(user.rating >= self.trial.dataset.like_threshold)
        history = user.item_idx[user.chronological()]
        targets = np.arange(min(3, model.n_items))
        parts = model.explain(history, targets)  # type: ignore[attr-defined]  # as it declares
        added = model.score_history(user) - model.score_history(user.select(slice(0)))  # type: ignore[attr-defined]
        assert parts.shape == (len(targets), len(history)), f"the shape of the parts is {tuple(parts.shape)}"
        assert torch.allclose(parts.sum(1), added[0, torch.from_numpy(targets)], atol=1e-4), "the parts do not add up"

    @requires("ratings")
    def test_ratings(self) -> None:
        """predicted ratings of pairs are those of the whole row."""
        model, users = self.trial.model, self.trial.users
        whole = model.estimates(users)  # type: ignore[attr-defined]  # as it declares
        _check_scores(whole, len(users), model.n_items)
        pairs = model.predict(users, np.zeros(len(users), np.int64))  # type: ignore[attr-defined]
        assert torch.allclose(pairs.float(), whole[:, 0], atol=1e-4), "a pair is predicted otherwise alone"

    @requires("incremental")
    def test_events(self) -> None:
        """one event after another is learned as all at once, and each is ranked before it is learned."""
        rows = self.trial.rows
        order = rows.chronological()
        first, more = rows.select(order[: len(order) // 2]), rows.select(order[len(order) // 2 :][:20])
        at_once, one_by_one, ranked = (self.trial.fit(first) for _ in range(3))
        at_once.partial_fit(more)  # type: ignore[attr-defined]  # as it declares
        for row in range(len(more)):
            one_by_one.partial_fit(more.select(slice(row, row + 1)))  # type: ignore[attr-defined]
        users = self.trial.users
        assert torch.allclose(one_by_one.score(users), at_once.score(users), atol=1e-5), "the order of calls matters"
        ranks = ranked.test_then_train(more)  # type: ignore[attr-defined]
        right = len(ranks) == len(more) and all(1 <= rank <= at_once.n_items for rank in ranks)
        assert right, f"the ranks of {len(more)} events are {ranks}"
        assert torch.allclose(ranked.score(users), at_once.score(users), atol=1e-5), "ranking changes what is learned"


def refused(call: Callable[[], object]) -> BadInput:
    """Return the BadInput that a call raises; AssertionError where it raises none."""
    try:
        call()
    except BadInput as error:
        return error
    raise AssertionError("it accepts what it should refuse")


def _check_scores(scores: Tensor, n_users: int, n_items: int) -> None:
    """Raise AssertionError, which says why, unless a tensor is one of scores."""
    assert isinstance(scores, Tensor), f"score gives a {type(scores).__name__}; expected a tensor"
    shape = (n_users, n_items)
    assert scores.shape == shape, f"the shape of the scores is {tuple(scores.shape)}; expected {shape}: users, items"
    assert scores.dtype == torch.float32, f"the scores are {scores.dtype}; expected torch.float32"
    assert not scores.requires_grad, "the scores carry gradients; detach them"
    wrong = int((scores.isnan() | scores.isposinf()).sum())
    assert not wrong, f"{wrong:,} scores are not numbers; expected finite ones"
    assert scores.isfinite().any(dim=1).all(), "at least one user has no finite score; expected one item for each"


class Finding(NamedTuple):
    """One line of the contract, and what is wrong with it; "" where it holds."""

    line: str
    error: str


def check(kind: type[Recommender], dataset: Dataset) -> list[Finding]:
    """Hold a model to the contract on a few users of a data set; return a finding for each line.

    What a line raises is its finding. Where training fails, nothing further can be tried.
    """
    chosen = np.flatnonzero(dataset.ratings.user_counts)[:USERS_TRIED]
    users = dataset.user_table.iloc[chosen].reset_index(drop=True)
    trial = Trial(kind, dataset, dataset.ratings.of_users(chosen), users)
    contract = type("Contract", (ModelContract,), {"model": kind, "trial": trial})
    learns = "it learns from a few users"
    try:
        trial.model  # noqa: B018 - fits it
    except Exception as error:  # whatever somebody's code raises
        return [Finding(learns, _message(error))]
    lines = [name for name in vars(ModelContract) if name.startswith("test_") and getattr(contract, name) is not None]
    return [Finding(learns, ""), *(_finding(getattr(contract(), name)) for name in lines)]


def _finding(test: Callable[[], None]) -> Finding:
    line = (test.__doc__ or "").rstrip(".")
    try:
        test()
    except AssertionError as error:
        return Finding(line, str(error).partition("\nassert ")[0])
    except Exception as error:  # whatever somebody's code raises
        return Finding(line, _message(error))
    return Finding(line, "")


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
