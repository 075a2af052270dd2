"""A process that dies between a click and its effect: at every line from the message to the list."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from recengine.serving.event_log import EventLog
from tests.app.conftest import ROOT
from tests.harm.conftest import LONG
from tests.serving.test_event_log import modelled

ACTS: list[dict[str, Any]] = [
    {"kind": "rate", "item": "839", "stars": 5.0},
    {"kind": "rate", "item": "927", "stars": 4.5},
    {"kind": "pass", "item": "12"},
    {"kind": "undo", "item": "927"},
    {"kind": "rate", "item": "839", "stars": 4.0},
]
ACTS = [{"id": f"{number:032x}", **act} for number, act in enumerate(ACTS)]
FILES = [f"recengine/serving/{name}.py" for name in ("event_log", "sessions")]
FILES += ["pages/home.py"]
FILES += [f"pages/ui/{name}.py" for name in ("board", "own_list", "to_rate", "visitor_lists", "visitor_ratings")]
ON_THE_WAY = {str(ROOT / name): name for name in FILES}
"""Files whose lines are failpoints."""
Point = tuple[str, int]


def send(app: AppTest, acts: list[dict[str, Any]]) -> dict[str, Any]:
    """Send acts, as a board does, and return the answer: `acknowledged`, ids that are kept, and `cards` of the list."""
    app.session_state["board-hand"] = {"events": acts}
    app.run()
    assert not app.exception, app.exception
    boards = {element.proto.id.rpartition("-")[2]: element.proto.json for element in app.get("bidi_component")}
    return {**json.loads(boards["hand"]), "cards": json.loads(boards.get("list", '{"cards": []}'))["cards"]}


def click_through(app: AppTest, report: Callable[[str], None]) -> None:
    """Do one act after another, each sent with those not yet kept, and report what is kept."""
    kept: list[str] = []
    for until in range(1, len(ACTS) + 1):
        kept = send(app, [act for act in ACTS[:until] if act["id"] not in kept])["acknowledged"]
        report(kept[-1])


def follow_lines(seen: Callable[[Point], None]) -> None:
    """Call `seen` before every line of `FILES`, and after every return, in threads that start after this."""

    def trace(frame: Any, event: str, arg: Any) -> Any:
        name = ON_THE_WAY.get(frame.f_code.co_filename)
        if name is None:
            return None
        if event in ("line", "return"):
            seen((name, frame.f_lineno))
        return trace

    threading.settrace(trace)


def in_a_child(work: Callable[[Callable[[str], None]], None]) -> tuple[list[str], bool]:
    """Do some work in a copy of this process; return what it reported before it ended, and whether it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            work(lambda text: os.write(writing, f"{text}\n".encode()) and None)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as reports:
        lines = reports.read().splitlines()
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), f"a child ended with {status} after {lines}"
    return lines, status != 0


def die_everywhere(share: int) -> None:
    """Run the app once for each failpoint, die there, go on in a new process, and check what is kept.

    share : one failpoint in `share` is tried
    """
    from pages.ui import visitor_ratings
    from recengine.data.sources import load_dataset
    from recengine.experiments.train import TrainingRequest, obtain
    from recengine.models.streaming.step import Step
    from recengine.serving.sessions import OnlineSession
    from tests.app.conftest import settle

    Step.preset_epochs = 1
    obtain(TrainingRequest(load_dataset("sample"), "step"))
    app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
    app.query_params["model"] = "step"
    app.run()
    app.switch_page("home.py")
    settle(app)
    send(app, [])
    mine = app.session_state["visitor"]

    def reset() -> None:
        """Close all connections, since this process is about to be forked, and erase the visitor."""
        log = EventLog()
        log.erase(mine)
        log.close()
        visitor_ratings.event_log().close()
        visitor_ratings._event_log.clear()  # type: ignore[attr-defined]

    points: dict[Point, int] = {}

    def record(report: Callable[[str], None]) -> None:
        follow_lines(lambda point: report(f"{point[0]} {point[1]}"))
        click_through(app, lambda id: None)

    reset()
    for line in in_a_child(record)[0]:
        name, number = line.split(" ")
        points[name, int(number)] = points.get((name, int(number)), 0) + 1

    def die_at(point: Point, visits: int) -> Callable[[Callable[[str], None]], None]:
        left = [visits]

        def seen(here: Point) -> None:
            left[0] -= here == point
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        def work(report: Callable[[str], None]) -> None:
            follow_lines(seen)
            click_through(app, report)

        return work

    def go_on(report: Callable[[str], None]) -> None:
        """Act as the new process, to which the browser sends again what is not acknowledged."""
        kept = send(app, [])["acknowledged"]
        kept = send(app, [act for act in ACTS if act["id"] not in kept])["acknowledged"]
        items = [card["item"] for card in send(app, [])["cards"]]
        held = app.session_state["rate session"]
        replayed = OnlineSession(held.model)
        replayed.replay(held.events)
        assert held.state() == replayed.state()
        report(json.dumps([kept, held.state().hex(), items]))

    reset()
    undisturbed, deaths = in_a_child(go_on), 0
    chosen = [(point, k) for point, times in sorted(points.items()) for k in {1, (times + 1) // 2, times}]
    for point, visits in chosen[::share]:
        reset()
        acknowledged, died = in_a_child(die_at(point, visits))
        deaths += died  # the last visit may not recur: the lines that a connection pool runs vary
        log = EventLog()
        events = log.events(mine)
        ids = [event.event_id for event in events]
        assert ids == [act["id"] for act in ACTS][: len(ids)], f"{point}: an act is lost, or counts twice"
        assert len(acknowledged) <= len(ids) <= len(acknowledged) + 1, (
            f"{point}: acknowledged {acknowledged}, kept {ids}"
        )
        standing = [(row.item_id, row.kind, row.stars) for row in log.standing(mine, "sample")]
        assert standing == modelled(events), point
        log.close()
        assert in_a_child(go_on) == undisturbed, f"{point}: what follows differs from a full replay"
    print(json.dumps({"tried": len(chosen[::share]), "deaths": deaths, "files": sorted({name for name, _ in points})}))


def test_a_kill_between_a_click_and_its_effect_leaves_every_kept_act_once(tmp_path: Path) -> None:
    code = f"from tests.harm.test_crashes import die_everywhere; die_everywhere({1 if LONG else 49})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RECENGINE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["deaths"] >= max(20, 0.95 * summary["tried"])
    assert summary["files"] == sorted(FILES)
