"""Test, then train: the order, what is evaluated, intervals over users, the command."""

import copy
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.errors import BadInput
from recengine.evaluation import prequential as module
from recengine.evaluation.prequential import (
    Group,
    Replay,
    Stream,
    StreamProgress,
    Throttle,
    bootstrapped,
    make_stream,
    prequential,
)
from recengine.evaluation.stream_report import StreamReport
from recengine.export import json_ready
from recengine.jobs.events import read_event
from recengine.jobs.progress import progress_of
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.models.streaming.step import Step, StepConfig
from recengine.training.config import RunConfig
from tests.models.streaming.slow_step import SlowStream, events
from tests.support.clock import Clock

SMALL: dict[str, dict[str, Any]] = {
    "step": {"embedding_dim": 8},
    "stream-item-knn": {},
    "stream-blend": {"embedding_dim": 8},
    "stream-popularity": {},
}


def replay_of(ranks: dict[str, list[int]], user: list[int], item: list[int] | None = None, start: int = 1) -> Replay:
    rows = Interactions.from_pairs(user, item or [0] * len(user), n_users=max(user) + 1, n_items=9)
    stream = make_stream(rows, bootstrap=(start + 0.5) / len(user))
    assert len(stream.bootstrap) == start
    return Replay(stream, 10, {n: np.array(r, np.int32) for n, r in ranks.items()}, dict.fromkeys(ranks, 1.0))


def fitted(stream: Stream) -> dict[str, Recommender]:
    run = RunConfig(device="cpu", epochs=2)
    made = {name: model_class(name)(model_class(name).Config.from_dict(options)) for name, options in SMALL.items()}
    return bootstrapped({name: model.fit(stream.bootstrap, run=run) for name, model in made.items()}, ["step"])


# The stream -----------------------------------------------------------------------------------------------------


def test_events_stand_in_the_order_of_time_and_ties_in_that_of_the_source() -> None:
    rows = Interactions.from_pairs(
        [0, 1, 0, 2, 1], [3, 1, 2, 0, 3], n_users=3, n_items=4, timestamp=[7, 5, 5, 9, 5], rating=[5] * 5
    )
    stream = make_stream(rows, bootstrap=0.4)
    assert stream.bootstrap.item_idx.tolist() == [1, 2]
    assert stream.rest.item_idx.tolist() == [3, 3, 0]
    assert stream.rest.user_idx.tolist() == [1, 0, 2]
    assert stream.known.tolist() == [True, True, False]
    assert stream.known_item.tolist() == [False, True, False]
    assert len(make_stream(rows, bootstrap=0.4, most=2).rest) == 2


@pytest.mark.parametrize("most", [None, 2])
def test_an_extra_user_s_events_are_spread_evenly_in_their_own_order(most: int | None) -> None:
    rows = Interactions.from_pairs([0, 1, 0, 1, 1, 0], [3, 1, 2, 0, 3, 1], n_users=2, n_items=5, rating=[5] * 6)
    extra = Interactions.from_pairs([0, 0], [4, 2], n_users=1, n_items=5, rating=[5, 4])
    alone, stream = (
        make_stream(rows, bootstrap=0.4, most=most),
        make_stream(rows, bootstrap=0.4, most=most, extra=extra),
    )
    assert stream.bootstrap.item_idx.tolist() == alone.bootstrap.item_idx.tolist()
    theirs = stream.rest.user_idx == 2
    assert stream.rest.item_idx[theirs].tolist() == [4, 2]
    assert stream.rest.item_idx[~theirs].tolist() == alone.rest.item_idx.tolist()
    assert not theirs[0]
    assert stream.known[theirs].tolist() == [False, True]
    assert stream.known[~theirs].tolist() == alone.known.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 0.001])
def test_a_share_that_leaves_nothing_to_start_from_or_to_replay_is_bad_input(share: float) -> None:
    with pytest.raises(BadInput, match=r"bootstrap=.* is out of range|bootstrap=.* cannot divide"):
        make_stream(events(20), bootstrap=share)


# What is made of the ranks --------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(hits=st.lists(st.booleans(), min_size=1, max_size=60), window=st.integers(1, 70))
def test_the_moving_average_is_over_the_last_evaluated_events(hits: list[bool], window: int) -> None:
    replay = replay_of({"a": [3 if hit else 30 for hit in hits]}, [0] * (len(hits) + 1))
    expected = [np.mean(hits[max(0, e + 1 - window) : e + 1]) for e in range(len(hits))]
    assert replay.moving("a", window) == pytest.approx(np.array(expected))


def test_new_people_and_films_are_told_apart() -> None:
    replay = replay_of({"a": [1, 1, 90, 10, 11]}, [0, 0, 1, 1, 2, 0], [0, 0, 1, 0, 0, 5])
    assert replay.evaluated.tolist() == [True, False, True, False, True]
    assert replay.groups("a") == {
        "known_user_known_item": Group(2, 0.5),
        "known_user_new_item": Group(1, 0.0),
        "new_user_known_item": Group(1, 1.0),
        "new_user_new_item": Group(1, 1.0),
    }


def test_an_interval_is_as_wide_as_people_differ_not_as_events_do() -> None:
    """24 users, each always right or always wrong: a hundred events of each count no more than one."""
    user = list(range(24)) + [u for u in range(24) for _ in range(100)]
    ranks = [1 if u % 2 else 99 for u in user[24:]]
    (value, low, high), _ = (part.get("a") for part in replay_of({"a": ranks}, user, start=24).intervals()[:1] * 2)
    assert value == pytest.approx(0.5)
    assert high - low > 0.3  # drawing 2,400 events would give 0.04


def test_m45_a_stream_of_few_users_has_no_interval() -> None:
    user = list(range(8)) + [u for u in range(8) for _ in range(100)]
    ranks = [1 if u % 2 else 99 for u in user[8:]]
    recall, ahead = replay_of({"a": ranks, "b": [99] * 800}, user, start=8).intervals()
    assert (recall["a"].value, ahead["b"].value) == (0.5, 0.5)
    assert np.isnan([*recall["a"][1:], *ahead["b"][1:]]).all()


def test_the_same_ranks_are_ahead_by_nothing_at_all_and_better_ones_by_more() -> None:
    rng = np.random.default_rng(0)
    user = list(range(27)) + rng.integers(0, 27, 300).tolist()
    ranks = rng.integers(1, 30, 300)
    replay = replay_of({"a": ranks.tolist(), "b": ranks.tolist(), "c": (ranks + 4).tolist()}, user, start=27)
    recall, ahead = replay.intervals()
    assert ahead["b"] == (0, 0, 0)
    assert recall["a"] == recall["b"]
    assert recall["a"][0] == pytest.approx((ranks <= 10).mean())
    assert ahead["c"][0] == pytest.approx((ranks <= 10).mean() - (ranks <= 6).mean())
    assert 0 < ahead["c"][1] < ahead["c"][0] < ahead["c"][2]
    later, _ = replay.intervals(since=60)
    assert later["a"][0] == pytest.approx((ranks[60:] <= 10).mean())


# Replaying ------------------------------------------------------------------------------------------------------


def test_models_learn_on_and_the_frozen_one_does_not() -> None:
    stream = make_stream(events(200))
    models = fitted(stream)
    before = {name: copy.deepcopy(model) for name, model in models.items()}
    replay = prequential(models, stream)
    assert list(replay.ranks) == [*SMALL, "step-frozen"]
    assert replay.done == len(stream.rest)
    for name, model in before.items():
        again = model.test_then_train(stream.rest, learns=name != "step-frozen")  # type: ignore[attr-defined]
        assert replay.ranks[name].tolist() == again.tolist(), name
    assert (replay.ranks["step"] != replay.ranks["step-frozen"]).any()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let no time pass in a replay but what it waits for."""
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.mark.usefixtures("clock")
def test_a_slow_replay_keeps_its_pace_and_comes_to_the_same_end() -> None:
    stream, reports = make_stream(events(300)), list[StreamProgress]()
    whole = prequential(fitted(stream), stream)
    slow = prequential(
        fitted(stream), stream, on_progress=lambda row, _: reports.append(row), throttle=Throttle(pace=240)
    )
    assert len(stream.rest) == 240
    assert reports[-1].seconds == pytest.approx(239 / 240, abs=1e-3)  # it is reported before the last wait
    assert reports[10].seconds_left == pytest.approx(229 / 240, rel=0.1)
    for name, ranks in whole.ranks.items():
        assert slow.ranks[name].tolist() == ranks.tolist(), name


@pytest.mark.usefixtures("clock")
def test_a_slow_replay_reports_each_second_at_least() -> None:
    stream, reports = make_stream(events(3_600, n_users=60, n_items=60)), list[int]()

    def on_progress(row: StreamProgress, _: object) -> None:
        reports.append(row.done)
        if len(reports) == 2:
            raise KeyboardInterrupt

    for pace, done in ((2_000, [10, 20]), (4, [4, 8])):
        reports.clear()
        with pytest.raises(KeyboardInterrupt):
            prequential(fitted(stream), stream, on_progress=on_progress, throttle=Throttle(pace=pace))
        assert reports == done


def test_a_replay_stands_still_while_a_file_is_there_and_counts_no_time_for_it(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, hold = make_stream(events(300)), tmp_path / "hold"
    reports, stood = list[StreamProgress](), list[int]()

    def sleep(seconds: float) -> None:
        clock.now += seconds
        stood.append(len(reports))
        if clock.now > 0.6:
            hold.unlink()

    def on_progress(row: StreamProgress, _: object) -> None:
        reports.append(row)
        if len(reports) == 5:
            hold.touch()

    monkeypatch.setattr(clock, "sleep", sleep)
    prequential(fitted(stream), stream, on_progress=on_progress, throttle=Throttle(hold=hold))
    assert set(stood) == {5}
    assert len(stood) > 5
    assert reports[-1].done == len(stream.rest)
    assert reports[-1].seconds == 0


@pytest.mark.parametrize("pace", [0.0, -1.0, math.nan, math.inf])
def test_a_pace_that_is_none_is_bad_input(pace: float) -> None:
    with pytest.raises(BadInput, match="expected events a second, more than 0"):
        Throttle(pace=pace)


def test_a_model_that_cannot_learn_from_events_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'popularity' does not learn from single events"):
        bootstrapped({"popularity": model_class("popularity")()}, [])


# The command ----------------------------------------------------------------------------------------------------

Run = Callable[..., tuple[dict[str, Any], str, list[list[str]]]]


@pytest.fixture(scope="module")
def folder(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    r = tiny.ratings
    with (directory / "ratings.csv").open("w", newline="") as file:
        rows = zip(tiny.user_ids[r.user_idx], tiny.item_ids[r.item_idx], r.rating, r.timestamp, strict=True)
        csv.writer(file).writerows([("userId", "movieId", "rating", "timestamp"), *rows])
    return directory


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs `stream` and gives its JSON object, its standard error and its CSV."""

    def run_command(*arguments: Any) -> tuple[dict[str, Any], str, list[list[str]]]:
        capsys.readouterr()
        out = tmp_path / "events.csv"
        status = main(["stream", *map(str, arguments), "--out", str(out), "--json"])
        output, noted = capsys.readouterr()
        assert status == 0, noted
        with out.open(newline="") as file:
            return json.loads(output), noted, list(csv.reader(file))

    return run_command


PLAIN = [
    "event_negatives=0",
    "passes=1",
    "replay=0",
    "item_bias=false",
    "optimizer=sgd",
    "learning_rate=0.06",
    "l2=0",
    "item_init_std=0.1",
    "epochs=1",
]
"""R0's settings, apart from those that a test sets."""


def slow_replay(stream: Stream, config: dict[str, Any], masked: bool, most: int) -> list[tuple[int, int]]:
    """Return what ranks each event may have, from the random start on, bootstrap and all."""
    run = RunConfig(device="cpu", epochs=1)
    slow = SlowStream(Step(StepConfig.from_dict(config)).fit(stream.bootstrap.select(slice(0)), run=run))
    for user, item in zip(stream.bootstrap.user_idx.tolist(), stream.bootstrap.item_idx.tolist(), strict=True):
        slow.learn(user, item)
        slow.past.append((user, item))
    rest = zip(stream.rest.user_idx[:most].tolist(), stream.rest.item_idx[:most].tolist(), strict=True)
    return [slow.take(user, item, masked) for user, item in rest]


def check_rows(
    rows: list[list[str]], data: Dataset, stream: Stream, allowed: list[tuple[int, int]], value: dict[str, Any]
) -> None:
    assert rows[0] == ["model", "event", "user_id", "item_id", "evaluated", "rank", "hit"]
    step_rows = [row for row in rows if row[0] == "step"]
    assert len(step_rows) == len(allowed) == value["events"]
    hits = 0
    for e, (row, (low, high)) in enumerate(zip(step_rows, allowed, strict=True)):
        user, item = int(stream.rest.user_idx[e]), int(stream.rest.item_idx[e])
        assert row[1:4] == [str(e + 1), str(data.user_ids[user]), str(data.item_ids[item])]
        assert row[4] == str(int(stream.known[e]))
        if stream.known[e]:
            assert low <= int(row[5]) <= high, e
            assert row[6] == str(int(int(row[5]) <= value["k"]))
            hits += int(row[6])
        else:
            assert row[5:] == ["", "0"]
    assert value["evaluated"] == sum(stream.known[: len(step_rows)])
    assert value["recall@10"]["value"] == pytest.approx(hits / value["evaluated"])
    assert value["precision@10"]["value"] == pytest.approx(hits / value["evaluated"] / 10)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("loss", ["squared", "linear"])
def test_the_csv_agrees_event_by_event_with_a_slow_replay(loss: str, masked: bool, folder: Path, run: Run) -> None:
    chosen = [f"loss={loss}", "embedding_dim=16", *PLAIN]
    options = ["--dataset", folder, "--positive", 4, *[part for s in chosen for part in ("--set", s)]]
    value, _, rows = run(*options, *([] if masked else ["--include-seen"]), "--device", "cpu")
    data = load_dataset(str(folder))
    stream = make_stream(data.positives(4.0))
    config = dict(pair.split("=") for pair in chosen if not pair.startswith("epochs"))
    check_rows(rows, data, stream, slow_replay(stream, config, masked, len(stream.rest)), value)


@pytest.mark.real
@pytest.mark.parametrize(("loss", "masked"), [("squared", True), ("linear", False)])
def test_the_csv_of_ml_100k_agrees_with_a_slow_replay(loss: str, masked: bool, mirror: Path, run: Run) -> None:
    chosen = [f"loss={loss}", "embedding_dim=128", *PLAIN]
    options = ["--dataset", "ml-100k", "--events", 500, *[part for s in chosen for part in ("--set", s)]]
    value, _, rows = run(*options, *([] if masked else ["--include-seen"]), "--device", "cpu")
    data = load_dataset("ml-100k")
    stream = make_stream(data.positives(5.0), most=500)
    config = dict(pair.split("=") for pair in chosen if not pair.startswith("epochs"))
    check_rows(rows, data, stream, slow_replay(stream, config, masked, 500), value)


@pytest.mark.real
def test_the_streams_are_those_of_the_published_count_and_of_r0(mirror: Path, run: Run) -> None:
    """21,201 and 13,211 five-star events, 16,238 and 10,153 counted; the running count and R0's model."""
    r0 = ["loss=linear", "embedding_dim=128", "batch_size=512", *PLAIN]
    value, _, _ = run("--dataset", "ml-100k", "--include-seen", *[part for s in r0 for part in ("--set", s)])
    assert (value["bootstrap"] + value["events"], value["evaluated"]) == (21_201, 16_238)
    assert 0.03 < value["recall@10"]["value"] < 0.05
    assert value["stream-popularity"]["value"] == pytest.approx(0.091, abs=0.001)
    small, _, _ = run("--dataset", "ml-latest-small", "--model", "stream-popularity")
    assert (small["bootstrap"] + small["events"], small["evaluated"]) == (13_211, 10_153)
    assert small["recall@10"]["value"] == pytest.approx(0.069, abs=0.0015)  # equal counts go by the smaller id


def test_an_extra_user_is_mixed_in_as_the_guest(folder: Path, run: Run, tiny: Dataset, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("item_id,rating\n101,5\n102,1\n105,4.5\n")
    _, _, rows = run("--dataset", folder, "--positive", 4, "--model", "stream-popularity", "--mix", mine)
    theirs = [row for row in rows if row[2] == "guest"]
    assert [(row[3], row[4]) for row in theirs] == [("101", "0"), ("105", "1")]  # what they did not like is left out


def test_the_json_object_has_every_model_with_an_interval_and_the_count_always(folder: Path, run: Run) -> None:
    value, noted, rows = run(
        *("--dataset", folder, "--positive", 4, "--model", "stream-item-knn", "--model", "step", "--events", 200),
        *("--set", "norm_shrinkage=5", "--set", "step.embedding_dim=8", "--set", "step.epochs=2"),
        *("--progress", "jsonl"),
    )
    names = ["stream-item-knn", "step", "stream-popularity", "stream-item-knn-frozen", "step-frozen"]
    assert list(value["results"]) == names
    assert value["results"]["stream-item-knn"]["settings"]["norm_shrinkage"] == 5
    assert value["results"]["step-frozen"]["settings"]["embedding_dim"] == 8
    for name in names:
        assert value[name] == value["results"][name]["recall@10"]
        assert value[name]["low"] <= value[name]["value"] <= value[name]["high"]
    assert value["recall@10"] == value["stream-item-knn"]
    assert (value["events"], len(rows)) == (200, 1 + 5 * 200)
    assert value["events_per_second"] > 0
    assert value["seen"] == "masked"
    assert json.loads(json.dumps(json_ready(StreamReport.from_dict(value).to_dict()))) == value
    lines = [json.loads(line) for line in noted.splitlines()]
    reported = [line for line in lines if line["event"] == "stream"]
    assert [reported[0]["done"], reported[-1]["done"], reported[-1]["of"]] == [1, 200, 200]
    assert set(reported[-1]["moving"]) == set(reported[-1]["recall"]) == set(names)
    assert reported[-1]["recall"]["step"] == pytest.approx(value["step"]["value"], abs=1e-5)
    assert {"user_id", "item_id", "title", "rating", "rank"} == set(reported[-1]["last"][0])
    middle = progress_of([read_event(line) for line in noted.splitlines()[: lines.index(reported[99]) + 1]])
    assert middle.share == pytest.approx(0.5)
    assert middle.text == "event 100 of 200"
    assert middle.seconds_left == reported[99]["seconds_left"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "ease"], "model 'ease' does not learn from single events; expected one of: stream-popularity"),
        (["--bootstrap", "1.5"], "bootstrap=1.5 is out of range; expected a share between 0 and 1"),
        (["--positive", "9"], "9"),
        (
            ["--set", "mf.embedding_dim=3"],
            "expected KEY=VALUE, or MODEL.KEY=VALUE with one of: step, stream-popularity",
        ),
        (["-k", "0"], "k=0 is out of range"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stream", "--dataset", str(folder), "--quiet", *arguments]) == 2
    out, noted = capsys.readouterr()
    assert out == ""
    assert message in noted
    assert noted.count("\n") == 1
