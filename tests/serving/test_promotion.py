"""Shared learning: the log is replayed as it stands, evaluated on users it cannot affect, and can be rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.experiments.store import ArtefactStore
from recengine.experiments.train import TrainingRequest, obtain
from recengine.serving import promotion
from recengine.serving.event_log import Event, EventLog, rated
from recengine.serving.item_map import known_map
from recengine.serving.promotion import Promoted, as_interactions, capped, promote, rollback, served_folder
from recengine.training.config import RunConfig

RUN = RunConfig(device="cpu", epochs=2)


@pytest.fixture
def log(fresh_home: Path) -> Iterator[EventLog]:
    made = EventLog()
    yield made
    made.close()


@pytest.fixture
def shared(tiny: Dataset, log: EventLog) -> Callable[..., Promoted]:
    """Return a function that promotes the log, by default onto `step` with two epochs."""
    return lambda name="step", **settings: promote(tiny, log, name=name, run=RUN, **settings)


def fans(log: EventLog, tiny: Dataset, visitors: range, kind: int = 0) -> None:
    """Let visitors like the items of one of the four genres, as users of the data set do."""
    for v in visitors:
        items = np.random.default_rng(v).permutation(10)[:6] * 4 + kind
        log.append(f"v{v}", "tiny", [rated(str(tiny.item_ids[i]), 5.0) for i in items])


def served(tiny: Dataset) -> Path:
    return served_folder(TrainingRequest(tiny, "step", run=RUN).folder)


def test_what_visitors_liked_is_learned_and_served_and_no_visitor_is_kept(tiny: Dataset, log: EventLog, shared) -> None:
    fans(log, tiny, range(8))
    log.append("v0", "tiny", [rated(str(tiny.item_ids[1]), 1.0)])  # not liked: nothing to learn from
    base = obtain(TrainingRequest(tiny, "step", run=RUN))
    done = shared()
    assert (done.promoted, done.version, done.visitors, done.ratings) == (True, 1, 8, 48)
    assert set(done.metrics) == {"base"}
    snapshot = ArtefactStore().find(served(tiny))
    assert snapshot is not None
    assert snapshot.model.n_users == tiny.n_users
    moved = (snapshot.model.item_vectors() != base.model.item_vectors()).any(1)
    assert moved[::4].any()
    assert len(snapshot.model.past.user) == len(base.model.past.user)


def test_the_same_log_gives_the_same_bytes_and_is_not_learned_twice(tiny: Dataset, log: EventLog, shared) -> None:
    fans(log, tiny, range(4))
    shared()
    first = ArtefactStore().find(served(tiny))
    assert not shared().promoted
    rollback(tiny, run=RUN)
    assert shared().promoted
    again = ArtefactStore().find(served(tiny))
    assert first is not None
    assert again is not None
    assert first.manifest.files == again.manifest.files


def test_erased_ratings_are_gone_with_the_next_promotion(tiny: Dataset, log: EventLog, shared) -> None:
    fans(log, tiny, range(4))
    shared()
    before = ArtefactStore().find(served(tiny))
    fans(log, tiny, range(4, 5), kind=1)
    shared()
    log.erase("v4")
    assert shared().visitors == 4
    after = ArtefactStore().find(served(tiny))
    assert before is not None
    assert after is not None
    assert before.manifest.files == after.manifest.files


@pytest.mark.slow
def test_a_worse_snapshot_is_refused_and_the_old_snapshot_stays(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = load_dataset("sample")
    least = [str(item) for item in sample.item_ids[np.argsort(sample.ratings.item_counts)[:10]]]
    run, crowd = RunConfig(device="cpu"), range(2_500)

    def liked(items: list[str]) -> None:
        rows = [(f"v{n}", Event("rate", item, 5.0)) for n in crowd for item in items]
        monkeypatch.setattr(log, "ratings", lambda catalogue: rows)

    most = [str(item) for item in sample.item_ids[np.argsort(-sample.ratings.at_least(4).item_counts)[:10]]]
    liked(most)
    assert promote(sample, log, name="stream-popularity", run=run).promoted
    base = TrainingRequest(sample, "stream-popularity", run=run).folder
    kept = served_folder(base)
    liked(least)
    done = promote(sample, log, name="stream-popularity", run=run)
    assert not done.promoted
    assert "worse in ndcg@10 than the base" in done.why
    assert set(done.metrics) == {"base", "served"}
    assert served_folder(base) == kept != base


def test_one_visitor_counts_no_more_than_the_cap() -> None:
    rows = [("loud", Event("rate", str(n), 5.0)) for n in range(500)] + [("quiet", Event("rate", "7", 4.0))]
    assert capped(rows, 100) == rows[400:]


def test_items_of_another_edition_are_left_out_and_stars_are_in_the_scale_of_the_data(tiny: Dataset) -> None:
    rated = [("a", "nowhere", 5.0), ("b", str(tiny.item_ids[3]), 0.5), ("b", "105", 4.5)]
    rows = [(visitor, Event("rate", item, stars)) for visitor, item, stars in rated]
    events, visitors = as_interactions(rows, tiny, 4.0)
    assert (visitors, events.item_idx.tolist(), events.user_idx.tolist()) == (1, [4], [60])
    assert events.rating.tolist() == [4.5]


def test_three_snapshots_are_kept_and_each_rollback_serves_the_one_before(tiny: Dataset, log: EventLog, shared) -> None:
    for n in range(4):
        fans(log, tiny, range(2 * n, 2 * n + 2), kind=n)
        assert shared().version == n + 1
    root = served(tiny).parent
    assert sorted(p.name for p in root.glob("*-served")) == ["2-served", "3-served", "4-served"]
    assert [rollback(tiny, run=RUN).version for _ in range(3)] == [3, 2, 0]
    assert served(tiny) == TrainingRequest(tiny, "step", run=RUN).folder
    with pytest.raises(BadInput, match="model 'step' has no promoted snapshot on 'tiny'"):
        rollback(tiny, run=RUN)


def test_a_crash_before_the_switch_leaves_the_old_snapshot_and_is_swept(
    tiny: Dataset, log: EventLog, shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    fans(log, tiny, range(2))
    shared()
    kept = served(tiny)
    fans(log, tiny, range(2, 4))
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_serve", lambda root, kept: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shared()
    assert served(tiny) == kept
    assert shared().version == 3
    assert sorted(p.name for p in kept.parent.glob("*-served")) == ["1-served", "3-served"]


@pytest.mark.parametrize("content", ["", "[]", '{"kept": ["x"]}', '{"kept": 3}', "\0"])
def test_a_damaged_pointer_serves_the_base(tiny: Dataset, fresh_home: Path, content: str) -> None:
    base = TrainingRequest(tiny, "step", run=RUN).folder
    root = fresh_home / "snapshots" / base.name
    root.mkdir(parents=True)
    (root / "current.json").write_text(content)
    assert served_folder(base) == base


def test_counts_of_items_learn_in_the_same_way(shared, tiny: Dataset, log: EventLog) -> None:
    fans(log, tiny, range(2))
    assert shared("stream-item-knn").promoted
    assert shared("stream-blend").promoted
    with pytest.raises(BadInput, match="'ease' does not learn from single ratings"):
        shared("ease")


def test_the_commands_report_what_they_did(
    fresh_home: Path, log: EventLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny: Dataset
) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda name, **options: tiny)
    fans(log, tiny, range(2))
    assert main(["promote", "--dataset", "sample", "--model", "stream-popularity", "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["promoted"], report["version"], report["visitors"]) == (True, 1, 2)
    assert set(report["metrics"]["base"]["ndcg@10"]) == {"value", "rival", "low", "high"}
    assert main(["rollback", "--dataset", "sample", "--model", "stream-popularity", "--quiet"]) == 0
    assert "Now serving version 0" in capsys.readouterr().out
    assert main(["promote", "--dataset", "sample", "--set", "event_negatives=3", "--quiet"]) == 2
    assert "serves the presets alone" in capsys.readouterr().err


def test_the_map_is_that_of_the_snapshot_where_one_is_served(
    fresh_home: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch, tiny: Dataset
) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda name, **options: tiny)
    run = RunConfig(device="cpu")
    command = ["map", "--dataset", "sample", "--model", "step", "--device", "cpu", "--quiet", "--served"]
    assert main(command) == 0
    base = obtain(TrainingRequest(tiny, "step", run=run))
    assert known_map(base, tiny, tiny.like_threshold, "pca") is not None
    fans(log, tiny, range(8))
    assert promote(tiny, log, name="step", run=run).promoted
    snapshot = ArtefactStore().find(served_folder(base.folder))
    assert snapshot is not None
    assert known_map(snapshot, tiny, tiny.like_threshold, "pca") is None
    assert main(command) == 0
    assert known_map(snapshot, tiny, tiny.like_threshold, "pca") is not None


def test_by_default_all_incremental_models_that_the_app_serves_are_promoted_and_rolled_back(
    fresh_home: Path, log: EventLog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny: Dataset
) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda name, **options: tiny)
    fans(log, tiny, range(2))
    counts = ["stream-popularity", "recent-popularity"]
    for name in (*counts, "popularity"):
        obtain(TrainingRequest(tiny, name))
    for command, version in (("promote", 1), ("rollback", 0)):
        assert main([command, "--dataset", "sample", "--json", "--quiet"]) == 0
        results = json.loads(capsys.readouterr().out)["results"]
        assert {name: done["version"] for name, done in results.items()} == dict.fromkeys(counts, version)
    assert main(["rollback", "--dataset", "sample", "--quiet"]) == 2
    assert "'step' has no promoted snapshot on 'tiny'" in capsys.readouterr().err


def test_films_passed_over_and_undone_ratings_are_not_learned(tiny: Dataset, log: EventLog, shared) -> None:
    one = str(tiny.item_ids[0])
    log.append(
        "v",
        "tiny",
        [rated(one, 5.0), Event("undo", one, event_id="u"), Event("pass", str(tiny.item_ids[4]), event_id="p")],
    )
    assert shared().ratings == 0


def test_forgetting_users_changes_no_list_of_the_others(tiny: Dataset) -> None:
    events, _ = as_interactions([("a", Event("rate", str(i), 5.0)) for i in tiny.item_ids[:8]], tiny, 4.0)
    for name in ("step", "stream-item-knn", "stream-blend", "recent-popularity"):
        model = obtain(TrainingRequest(tiny, name, run=RUN)).model.partial_fit(events)
        before = model.score(np.arange(tiny.n_users))
        model.forget_from(tiny.n_users)
        assert model.n_users == tiny.n_users
        assert torch.equal(model.score(np.arange(tiny.n_users)), before)
