"""Live: a replay in each of its states, its figures to the last digit, and its sentences on single events."""

from __future__ import annotations

import html
import io
import json
import math
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import replay
from recengine.cli import main
from recengine.evaluation.report import Interval
from recengine.evaluation.stream_report import StreamReport
from recengine.jobs.events import StreamEvent
from recengine.serving.event_log import EventLog, rated
from tests.app.conftest import Open, Worker, markup, press
from tests.app.test_data import ratings_csv, upload

PAGE = "live.py"
HOSTILE = "<img src=x onerror=alert(1)> ![](http://away.example/a.png)"


class Ran(NamedTuple):
    """The output of a real replay: its progress lines and its result."""

    lines: list[dict[str, Any]]
    result: dict[str, Any]


@pytest.fixture(scope="module")
def ran() -> Ran:
    """Replay a little of the sample."""
    out, err = io.StringIO(), io.StringIO()
    models = ["--model", "recent-popularity", "--model", "stream-item-knn"]
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["stream", "--dataset", "sample", *models, "--events", "600", "--json", "--progress", "jsonl"])
    assert status == 0, err.getvalue()
    return Ran([json.loads(line) for line in err.getvalue().splitlines()], json.loads(out.getvalue()))


def reports(ran: Ran) -> list[dict[str, Any]]:
    return [line for line in ran.lines if line["event"] == "stream"]


def series_of(app: AppTest) -> list[dict[str, Any]]:
    """Return the series of the chart."""
    (chart,) = app.get("echarts_chart")
    return json.loads(chart.proto.spec)["series"]


def rows_of(app: AppTest, index: int = 0) -> dict[str, list[str]]:
    """Return model -> the texts of its cells in one table of the page."""
    table = re.findall(r'<table class="compare race">.*?</table>', markup(app))[index]
    rows = {}
    for row in re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2]):
        name, *cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)[1:]
        rows[html.unescape(name)] = [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in cells]
    return rows


def begun(app: AppTest, worker: Worker, ran: Ran, lines: int | None = None) -> AppTest:
    """Press Replay and wait until the worker has written that many lines."""
    press(app, "Replay")
    worker.after(len(ran.lines) if lines is None else lines)
    app.run()
    assert not app.exception
    return app


def test_an_empty_page_offers_one_replay_to_start(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE, replayed="stream-blend")
    assert "Nothing replayed yet" in markup(app)
    press(app, "Replay with Step, Stream-item-KNN, Recent-popularity")
    command = worker.jobs.all()[0].command
    assert command[:3] == ("stream", "--dataset", "sample")
    models = [command[i + 1] for i, part in enumerate(command) if part == "--model"]
    assert models == ["step", "stream-item-knn", "recent-popularity"]
    for option, value in (("--positive", "5.0"), ("--events", "20000"), ("--pace", "1000"), ("--hold", "{job}/hold")):
        assert command[command.index(option) + 1] == value


def test_the_command_shown_on_the_page_runs(open_app: Open, worker: Worker, ran: Ran) -> None:
    app = open_app(PAGE, replayed="recent-popularity", ratings="all", events="5000", speed="full")
    line = app.code[0].value.split()
    assert line[:4] == ["python", "-m", "recengine", "stream"]
    line[line.index("--events") + 1] = "50"
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main([*line[3:], "--json", "--quiet"]) == 0, err.getvalue()
    assert json.loads(out.getvalue())["results"].keys() == {"recent-popularity", "stream-popularity"}


def test_a_visitor_s_ratings_are_mixed_in_and_only_they_see_the_replay(
    open_app: Open, worker: Worker, ran: Ran
) -> None:
    app = open_app(PAGE, ratings="liked")
    assert not app.toggle
    EventLog().append(app.session_state["visitor"], "sample", [rated("839", 5.0), rated("460", 4.0), rated("12", 1.0)])
    app.run()
    (toggle,) = app.toggle
    assert "my 2 ratings" in toggle.label
    toggle.set_value(True).run()
    press(app, "Replay")
    job = worker.jobs.all()[0]
    assert job.owner == app.session_state["visitor"]
    assert (worker.jobs.root / job.id / "mine.csv").read_text().split() == ["item_id,rating", "839,5.0", "460,4.0"]
    assert "--mix" in job.command
    worker.ends()


def test_a_running_replay_shows_the_latest_figures_of_each_model(open_app: Open, worker: Worker, ran: Ran) -> None:
    half = [line for line in ran.lines if line["event"] != "stream" or line["done"] <= 300]
    worker.does(*half)
    app = begun(open_app(PAGE), worker, ran, len(half))
    last = half[-1]
    assert (last["done"], last["of"]) == (300, 600)
    page = markup(app)
    assert "<dt>Events</dt><dd>300 / 600</dd>" in page
    assert re.search(r"<dt>Pace</dt><dd>[\d,]+/s</dd>", page)
    moving = {"Stream-item-KNN": "stream-item-knn", "Running count": "stream-popularity"}
    for title, model in moving.items():
        strong = next(s for s in series_of(app) if s["name"] == title and s["lineStyle"]["width"] > 2)
        assert strong["data"][-1] == [300, 100 * last["moving"][model]]
        assert rows_of(app)[title] == [f"{100 * last['moving'][model]:.1f}%", f"{100 * last['recall'][model]:.1f}%"]
    assert [s["name"] for s in series_of(app) if s["lineStyle"].get("type") == "dashed"] == ["Stream-item-KNN"]
    values = [float(cells[0].removesuffix("%")) for cells in rows_of(app).values()]
    assert values == sorted(values, reverse=True)


def test_events_are_put_into_words_and_their_titles_are_escaped(open_app: Open, worker: Worker, ran: Ran) -> None:
    lines = json.loads(json.dumps(ran.lines))
    event = lines[-1]["last"][-1]
    event |= {"user_id": 42, "title": HOSTILE, "rating": 5.0}
    event["rank"] |= {"recent-popularity": 3, "stream-item-knn": 1_203}
    worker.does(*lines)
    page = markup(begun(open_app(PAGE), worker, ran))
    first = page.split("<article", 2)[1]
    assert html.escape(f"Viewer 42 rated {HOSTILE} 5 ★. Recent-popularity had ranked it 3rd.") in first
    assert first.startswith(' class="hit"')
    assert "1,203</span>" in first
    assert "<img src=x" not in page
    assert page.count("<article") == replay.LATEST


def test_pausing_and_resuming(open_app: Open, worker: Worker, ran: Ran) -> None:
    worker.does(*ran.lines)
    app = begun(open_app(PAGE), worker, ran)
    press(app, "Pause")
    (job,) = worker.jobs.all()
    assert job.state == "paused"
    assert (worker.jobs.root / job.id / "hold").exists()
    assert "paused" in app.get("progress")[0].proto.text
    again = open_app(PAGE)  # as after F5
    assert [b.label for b in again.button if b.label in ("Pause", "Resume", "Cancel")] == ["Resume", "Cancel"]
    press(again, "Resume")
    worker.ends()
    assert not (worker.jobs.root / job.id / "hold").exists()
    assert worker.jobs.all()[0].state == "done"


def test_figures_are_those_of_stream_to_the_last_digit(open_app: Open, worker: Worker, ran: Ran) -> None:
    worker.does(*ran.lines, result=ran.result)
    app = begun(open_app(PAGE), worker, ran)
    worker.ends()
    app.run()
    assert not app.exception
    page, results = markup(app), ran.result["results"]
    shown = re.findall(r'<td title="([^"]*)"><b>', page)
    assert shown == [str(v) for v in sorted((m["recall@10"]["value"] for m in results.values()), reverse=True)]
    best = max(results, key=lambda name: results[name]["recall@10"]["value"])
    assert f"<b>{replay.name_of(best)}</b> had <b>{100 * results[best]['recall@10']['value']:.1f}%</b>" in page
    for model, cell in results.items():
        value, low, high = (100 * cell["recall@10"][key] for key in ("value", "low", "high"))
        rest = cell["recall@10_rest"]["value"]
        assert rows_of(app)[replay.name_of(model)] == [
            f"{value:.1f}% {low:.1f} to {high:.1f}",
            f"{100 * rest:.1f}%",
        ]
        apart = [cell["groups"][group]["recall"] for group in cell["groups"]]
        shares = ["–" if part is None else f"{100 * part:.1f}%" for part in apart]
        assert rows_of(app, 1)[replay.name_of(model)][:4] == shares
    assert page.count("<li class=") == len(ran.result["ahead_of"])
    assert {button.proto.label for button in app.get("download_button")} == {"All events, CSV", "JSON"}


@pytest.mark.parametrize("code", [None, 1])
def test_an_interrupted_replay_keeps_its_results_so_far(
    open_app: Open, worker: Worker, ran: Ran, code: int | None
) -> None:
    worker.does(*ran.lines, last='{"event": "error", "text": "MemoryError: too much"}\n', code=1)
    app = begun(open_app(PAGE), worker, ran)
    if code is None:
        press(app, "Cancel")
        message = app.info[0].value
    else:
        worker.ends()
        app.run()
        message = app.error[0].value
    assert ("MemoryError" if code else "was cancelled; the results so far are below") in message
    assert series_of(app)[1]["data"][-1][0] == 600
    press(app, "Run it again")
    assert len(worker.jobs.all()) == 2


def test_a_replay_is_kept_under_all_its_options_but_the_speed(open_app: Open, worker: Worker, ran: Ran) -> None:
    worker.does(*ran.lines, result=ran.result)
    begun(open_app(PAGE), worker, ran)
    worker.ends()
    assert 'class="verdict"' in markup(open_app(PAGE, speed="50"))
    for other in ({"events": "5000"}, {"ratings": "all"}, {"replayed": "step"}):
        assert 'class="verdict"' not in markup(open_app(PAGE, **other))


def test_a_running_replay_is_not_started_twice_and_keeps_its_speed(open_app: Open, worker: Worker, ran: Ran) -> None:
    worker.does(*ran.lines)
    app = begun(open_app(PAGE), worker, ran)
    assert app.button(key="replay").disabled
    app.selectbox(key="speed").select("50").run()
    assert app.button(key="replay").disabled
    assert any("It is running at 1,000 events a second. Cancel it" in caption.value for caption in app.caption)
    worker.ends()
    app.run()
    assert not app.button(key="replay").disabled


def test_an_address_with_nonsense_is_the_default(open_app: Open) -> None:
    app = open_app(PAGE, replayed="<script>,ease,nope", ratings="x", events="9", speed="-1")
    assert app.multiselect(key="replayed").value == ["step", "stream-item-knn", "recent-popularity"]
    assert app.selectbox(key="speed").value == "1000"
    app.multiselect(key="replayed").set_value([]).run()
    assert "Choose at least one model" in markup(app)
    assert app.button(key="replay").disabled


def test_data_without_timestamps_names_what_stands_in_for_time(open_app: Open, worker: Worker) -> None:
    app = open_app("data.py")
    untimed = "\n".join(line.rpartition(",")[0] for line in ratings_csv().splitlines())
    upload(app, "mine.csv", untimed.encode())
    press(app, "Use it")
    app.switch_page(PAGE)
    app.run()
    assert any("replayed in the order of its rows" in caption.value for caption in app.caption)
    press(app, "Replay")
    (job,) = worker.jobs.all()
    assert job.owner
    assert Path(job.command[2]).name == "mine.csv"


# Charts and sentences by themselves -----------------------------------------------------------------------------


def test_parts_of_the_stream_hold_every_tested_event_once(ran: Ran) -> None:
    rows = reports(ran)
    points = replay.raw([StreamEvent.from_dict(row) for row in rows], "stream-item-knn")
    assert len(points) == replay.PARTS
    ends = [row["done"] for row in rows]
    tested = [row["evaluated"] for row in rows]
    at = [0, *(tested[ends.index(end)] for end, _ in points)]
    hits = sum(value / 100 * (b - a) for (_, value), a, b in zip(points, at, at[1:], strict=False))
    assert hits == pytest.approx(ran.result["results"]["stream-item-knn"]["recall@10"]["value"] * tested[-1], abs=0.01)


def test_chance_is_distinguished_from_a_real_difference(ran: Ran) -> None:
    ahead = {
        "step-frozen": Interval(0.02, -0.01, 0.05),
        "stream-item-knn": Interval(-0.06, -0.072, -0.05),
        "stream-popularity": Interval(math.nan),
    }
    report = StreamReport.from_dict(ran.result)
    result = replace(report, models={"step": report.models[report.first]}, ahead_of=ahead)
    assert replay.paired(result) == [
        (
            "Step is 2.0 points ahead of Step, frozen, 95% from -1.0 to 5.0: no difference beyond chance.",
            False,
        ),
        ("Step is 6.0 points behind Stream-item-KNN, 95% from 5.0 to 7.2.", True),
    ]


def test_a_copy_has_the_colour_of_its_model() -> None:
    models = ["step", "stream-item-knn", "stream-popularity", "step-frozen", "stream-item-knn-frozen"]
    assert list(replay.colours(models).values()) == [0, 1, 2, 0, 1]
