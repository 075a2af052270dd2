"""The lines that every model keeps: what it declares, how it learns, scores and lists, and how it is stored."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from recengine.data.interactions import Interactions
from recengine.metrics import mask_scores
from recengine.models.abilities import ABILITIES
from recengine.models.base import implemented
from recengine.models.plugins import check_class
from recengine.models.registry import fit_final
from recengine.testing.lines import Lines, changed, check_scores, exists_for, refused, reloaded, snapshot
from recengine.training.loop import gain
from recengine.training.progress import EpochResult


class Declarations(Lines):
    """What a model declares about itself."""

    def test_description(self) -> None:
        """it names itself, its family and what it does."""
        kind = self.trial.kind
        check_class(kind)
        assert "\n" not in kind.summary.strip(), "the summary has several lines; expected one"
        assert kind.version >= 1, f"the version is {kind.version}; expected at least 1"

    def test_abilities(self) -> None:
        """it declares the abilities whose methods it has, and no other."""
        model = self.trial.model
        had = implemented(type(model))
        assert set(model.abilities) == set(had), f"it declares {sorted(model.abilities)} and has {sorted(had)}"
        lacking = [name for name in model.abilities if not isinstance(model, ABILITIES[name])]
        assert not lacking, f"it lacks a method of {', '.join(lacking)}"

    def test_parameters(self) -> None:
        """its parameters survive JSON, and a parameter that is unknown or out of range is bad input."""
        kind = self.trial.kind.Config
        preset = kind().to_dict()
        assert kind.from_dict(json.loads(json.dumps(preset))) == kind(), "the defaults are changed by JSON"
        unknown = refused(lambda: kind.from_dict({"no_such_parameter": 1}))
        assert unknown.field == "no_such_parameter", f"an unknown parameter is refused with: {unknown}"
        for field in fields(kind):
            low, high = field.metadata.get("low"), field.metadata.get("high")
            for value in ([] if low is None else [low - 1]) + ([] if high is None else [high + 1]):
                error = refused(lambda name=field.name, value=value: kind.from_dict({name: value}))  # type: ignore[misc]
                assert error.field == field.name, f"{field.name}={value} is refused with: {error}"

    def test_footprint(self) -> None:
        """it estimates how many bytes of memory training takes, by parameter."""
        model = self.trial.kind()
        little, much = model.footprint(1_000, 100, 50_000), model.footprint(100_000, 10_000, 5_000_000)
        unknown = (little.keys() | much.keys()) - {"", *model.config.to_dict()}
        assert not unknown, f"footprint names {sorted(unknown)}, which are not parameters"
        wrong = {name: size for name, size in much.items() if not isinstance(size, int) or size < 0}
        assert not wrong, f"footprint gives {wrong}; expected whole numbers of bytes"
        assert sum(much.values()) >= sum(little.values()), "footprint shrinks where the data grows"


class Learning(Lines):
    """How a model learns."""

    def test_repeatable(self) -> None:
        """the same seed trains the same model."""
        trial = self.trial
        expected = snapshot(trial.model)
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
        rows = _bytes(trial.rows)
        again = trial.fit()
        same = torch.equal(again.score(trial.users), trial.model.score(trial.users)) and not changed(again, expected)
        assert same, "a second training gives another model; draw from a generator seeded with context.run.seed"
        assert torch.equal(torch.get_rng_state(), torch_state), "it changed torch's global generator"
        assert np.random.get_state()[1].tolist() == numpy_state, "it changed NumPy's global generator"  # type: ignore[index]  # noqa: NPY002
        assert rows == _bytes(trial.rows), "it changed the training rows"

    def test_missing_rows(self) -> None:
        """a user without ratings and an item without ratings are served."""
        trial = self.trial
        user, item = int(trial.users[1]), int(trial.rows.item_counts.argmax())
        model = trial.fit(trial.rows.select((trial.rows.user_idx != user) & (trial.rows.item_idx != item)))
        check_scores(model.score(trial.users), len(trial.users), model.n_items)
        k = min(10, model.n_items)
        assert model.top_k(user, k=k, seen=None).items.shape == (1, k), "the list of such a user has another length"

    @exists_for(lambda contract: contract.model.preset_epochs is not None)
    def test_best_epoch(self) -> None:
        """training ends with the epoch that was best in validation, and reports every epoch."""
        trial = self.trial
        reported: list[EpochResult] = []
        wanted = {"epochs": 6, "patience": 6} if "epochs" not in trial.settings else {}
        model = trial.fit(trial.train, valid=trial.valid, on_epoch=reported.append, **wanted)
        epochs = [result.epoch for result in model.training_log]
        assert epochs, "the training log is empty; hand context.loop_options to run_epochs"
        own = [result.epoch for result in reported if not result.stages]
        assert own == epochs, "the epochs reported are not those of the training log"
        values = [gain(model.criterion, result.metrics[model.criterion]) for result in model.training_log]
        best = epochs[values.index(max(values))]
        assert model.best_epoch == best, f"the best epoch is given as {model.best_epoch}; expected {best}"
        with torch.inference_mode():
            value = gain(model.criterion, model.validator(trial.train, trial.valid)()[model.criterion])
        assert np.isclose(value, max(values), rtol=1e-6), f"the model is not that of epoch {best}: restore it"

    @exists_for(lambda contract: contract.model.preset_epochs is not None)
    def test_final(self) -> None:
        """the final model learns the validation rows too, for the number of epochs that validated best."""
        trial, results = self.trial, list[EpochResult]()
        config, run = trial.configure({})
        final = fit_final(
            trial.kind,
            config,
            trial.train,
            trial.valid,
            items=trial.items,
            users=trial.user_table,
            run=run,
            on_epoch=results.append,
        )
        first = [result.epoch for result in results if not result.stages]
        assert [result.epoch for result in final.training_log] == first, "the training log is not that of validation"
        refit = trial.fit(epochs=max(1, final.best_epoch or 1))
        assert not changed(final, snapshot(refit)), "the final model is not the one trained on all rows"

    @exists_for(lambda contract: contract.model.preset_epochs is None)
    def test_final_in_closed_form(self) -> None:
        """the final model learns the validation rows too."""
        trial = self.trial
        config, run = trial.configure({})
        final = fit_final(
            trial.kind, config, trial.train, trial.valid, items=trial.items, users=trial.user_table, run=run
        )
        assert (final.training_log, final.best_epoch) == ([], None), "it logs epochs; preset_epochs is None"
        assert not changed(final, snapshot(trial.model)), "the final model is not the one trained on all rows"


class Serving(Lines):
    """How a model scores and lists."""

    def test_scores(self) -> None:
        """it scores every item for a batch of users."""
        trial = self.trial
        check_scores(trial.model.score(trial.users), len(trial.users), trial.model.n_items)
        for users in (trial.users.tolist(), torch.from_numpy(trial.users)):
            assert torch.equal(trial.model.score(users), trial.model.score(trial.users)), (
                "a list or a tensor of users gives other scores than an array"
            )

    def test_alone(self) -> None:
        """a user gets the same scores alone as in a batch."""
        trial = self.trial
        batch = trial.model.score(trial.users)
        for position, user in enumerate(trial.users.tolist()):
            alone = trial.model.score(user)
            same = alone.shape == batch[:1].shape and torch.allclose(alone[0], batch[position], atol=1e-5)
            assert same, f"user_idx {user} gets other scores alone; let no row depend on the others"

    def test_lists(self) -> None:
        """a list holds unseen items, each once, best first."""
        trial = self.trial
        ranking = trial.model.top_k(trial.users, k=min(10, trial.model.n_items), seen=trial.rows)
        for user, items, scores in zip(trial.users, ranking.items.tolist(), ranking.scores, strict=True):
            listed = [item for item in items if item >= 0]
            seen = set(trial.rows.item_idx[trial.rows.user_idx == user].tolist()) & set(listed)
            ordered = len(set(listed)) == len(listed) and not bool((scores.diff() > 0).any())
            right = ordered and not seen
            assert right, f"the list of user_idx {user} is {items}, of which {sorted(seen)} are seen"

    def test_candidates(self) -> None:
        """a list holds only candidates, those with the highest scores first, and is padded with -1."""
        trial = self.trial
        among = np.arange(0, trial.model.n_items, 2)
        k = min(15, trial.model.n_items)
        ranking = trial.model.top_k(trial.users, k=k, seen=trial.rows, among=among)
        assert (ranking.items.dtype, ranking.scores.dtype) == (torch.int64, torch.float32), (
            f"items and scores are {ranking.items.dtype} and {ranking.scores.dtype}"
        )
        scores = trial.model.score(trial.users).cpu().clone()
        scores = trial.model.arrange(mask_scores(scores, trial.users, seen=trial.rows, among=among))
        for position, user in enumerate(trial.users):
            free = set(among.tolist()) - set(trial.rows.item_idx[trial.rows.user_idx == user].tolist())
            finite = [item for item in free if bool(scores[position, item] > -torch.inf)]
            best = sorted((float(scores[position, item]) for item in finite), reverse=True)[:k]
            items = ranking.items[position].tolist()
            listed = [item for item in items if item >= 0]
            right = len(items) == k and len(set(listed)) == len(listed) == len(best) and set(listed) <= set(finite)
            right = right and items[: len(listed)] == listed and [float(scores[position, i]) for i in listed] == best
            assert right, f"the list of user_idx {user} is {items}; expected items with the scores {best}"

    def test_k(self) -> None:
        """k outside the catalogue is bad input."""
        trial = self.trial
        for k in (0, -1, trial.model.n_items + 1):
            error = refused(lambda k=k: trial.model.top_k(0, k=k, seen=None))  # type: ignore[misc]
            assert (error.field, error.value) == ("k", k), f"k={k} is refused with: {error}"

    def test_unchanged(self) -> None:
        """serving leaves the model as it was."""
        model, users, rows = self.trial.model, self.trial.users.copy(), self.trial.rows
        before = snapshot(model)
        first = model.score(users).clone()
        model.top_k(users, k=1, seen=rows, among=[0, 1])
        moved = changed(model, before)
        assert not moved, f"{', '.join(moved)} changed; copy before you write"
        assert torch.equal(model.score(users), first), "the same question got another answer"
        assert users.tolist() == self.trial.users.tolist(), "the users asked about were changed"


class Storing(Lines):
    """How a model is saved and loaded."""

    def test_saved(self) -> None:
        """saved and loaded, it gives the same scores."""
        model, users = self.trial.model, self.trial.users
        loaded = reloaded(model)
        same = torch.equal(loaded.score(users), model.score(users))
        assert same, "the loaded model gives other scores; let state hold all that score reads"
        assert (loaded.n_users, loaded.n_items, loaded.config) == (model.n_users, model.n_items, model.config), (
            "the loaded model has other sizes or another config"
        )
        assert (loaded.training_log, loaded.best_epoch) == (model.training_log, model.best_epoch), (
            "the loaded model has another training log"
        )
        assert loaded.n_unknown == model.n_unknown, "the loaded model has another n_unknown"

    def test_other_artefacts(self) -> None:
        """an artefact of another model or of another version is refused."""
        model = self.trial.model
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            path = Path(folder, "model.json")
            written = json.loads(path.read_text())
            for other in ({"model": f"not-{model.name}"}, {"version": model.version + 1}):
                path.write_text(json.dumps({**written, **other}))
                try:
                    type(model).load(folder)
                except ValueError:
                    continue
                raise AssertionError(f"it loads an artefact with {other}")

    def test_incomplete_artefacts(self) -> None:
        """an artefact that lacks a tensor is refused."""
        model = self.trial.model
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            path = Path(folder, "model.safetensors")
            tensors = load_file(path)
            for name in tensors:
                kept = {other: tensor for other, tensor in tensors.items() if other != name}
                save_file({"no such tensor": torch.zeros(1), **kept}, path)
                try:
                    type(model).load(folder)
                except (LookupError, RuntimeError, TypeError, ValueError):
                    continue
                raise AssertionError(f"it loads an artefact without {name!r}; let restore read all that state gives")


def _bytes(rows: Interactions) -> list[bytes]:
    return [getattr(rows, name).tobytes() for name in ("user_idx", "item_idx", "rating", "timestamp")]
