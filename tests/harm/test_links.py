"""Links and votes under harm: a process that dies at every line, and strangers who guess."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recengine.evaluation.duel import Vote
from recengine.serving.event_log import Event, EventLog, rated
from tests.harm.conftest import LONG
from tests.harm.test_crashes import Point, follow_lines, in_a_child

State = tuple[list[Any], ...]
VISITORS = ("ann", "account")


def token_of(log: EventLog, content: bytes) -> str:
    """Return the token of a link that shows this, "" where there is none."""
    return next((link.token for who in VISITORS for link in log.links(who) if link.content == content), "")


ACTS: list[Callable[[EventLog], object]] = [
    lambda log: log.append("ann", "sample", [rated("1", 4.5, event_id="r"), Event("watchlist", "2", event_id="w")]),
    lambda log: log.share("ann", b"one"),
    lambda log: log.vote("sample", Vote("ann", "mf", "ease"), "v"),
    lambda log: log.share("ann", b"two"),
    lambda log: log.revoke("ann", token_of(log, b"one")),
    lambda log: log.move("ann", "account"),
    lambda log: log.append("account", "sample", [Event("watchlist", "3", event_id="x")]),
    lambda log: log.erase("ann"),
    lambda log: log.erase("account"),
]


def state(url: str) -> State:
    """Return all that a database holds of the visitors, but for tokens, which are random."""
    log = EventLog(url)
    kept = (
        [(who, event.event_id) for who in VISITORS for event in log.events(who)],
        [(who, event.item_id, event.kind) for who in VISITORS for event in log.standing(who, "sample")],
        sorted((who, link.content) for who in VISITORS for link in log.links(who)),
        log.votes("sample"),
    )
    log.close()
    return kept


def act(url: str, start: int, report: Callable[[str], None]) -> None:
    """Do the acts from one on, and report each that has returned."""
    log = EventLog(url)
    for number in range(start, len(ACTS)):
        ACTS[number](log)
        report(f"done {number}")
    log.close()


def traced(work: Callable[[], None], seen: Callable[[Point], None]) -> None:
    """Do some work in a thread whose lines are followed."""
    follow_lines(seen)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_kill_at_any_line_leaves_each_act_whole_or_undone(tmp_path: Path) -> None:
    states: list[State] = []
    numbers = range(len(ACTS))
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    states.append(state(whole))
    for number in numbers:
        log = EventLog(whole)
        ACTS[number](log)
        log.close()
        states.append(state(whole))
    assert states[-1] == ([], [], [], [])
    assert len(states[4][2]) == 2
    assert [who for who, _ in states[6][2]] == ["account"]

    def record(report: Callable[[str], None]) -> None:
        url = f"sqlite:///{tmp_path / 'recorded.db'}"
        traced(lambda: act(url, 0, lambda _: None), lambda point: report(f"{point[0]} {point[1]}"))

    points: dict[Point, int] = {}
    for line in in_a_child(record)[0]:
        name, number = line.split(" ")
        points[name, int(number)] = points.get((name, int(number)), 0) + 1
    deaths = 0
    chosen = [(point, k) for point, times in sorted(points.items()) for k in sorted({1, (times + 1) // 2, times})]
    assert len(chosen) > 200, "the lines are not followed"
    chosen = chosen[:: 1 if LONG else 7]
    for trial, (point, visits) in enumerate(chosen):
        url, left = f"sqlite:///{tmp_path / f'{trial}.db'}", [visits]

        def die(here: Point, point: Point = point, left: list[int] = left) -> None:
            left[0] -= here == point
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        def work(report: Callable[[str], None], url: str = url, die: Callable[[Point], None] = die) -> None:
            traced(lambda: act(url, 0, report), die)

        reported, died = in_a_child(work)
        deaths += died
        done = len(reported)
        assert state(url) in (states[done], *states[done + 1 : done + 2]), f"{point}: an act is half done"
        act(url, done, lambda _: None)
        assert state(url) == states[-1], point
    assert deaths >= 0.95 * len(chosen)


def test_guesses_open_nothing_and_a_revoked_link_is_dead_in_every_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ratings.db'}"
    log = EventLog(url)
    token = log.share("ann", b"a list")
    for position in range(len(token)):  # all tokens that differ in one letter, as a first step of guessing them
        for letter in "AZaz09-_":
            guess = token[:position] + letter + token[position + 1 :]
            assert (log.shared(guess) is not None) == (guess == token)
    other = EventLog(url)
    assert other.shared(token) is not None
    log.revoke("ann", token)
    assert other.shared(token) is None
    other.close()
    log.close()
    assert b"a list" not in (tmp_path / "ratings.db").read_bytes(), "what was shared is gone from the disk"
