"""The event log: no acknowledged event is lost or counts twice, and what stands follows from the events alone."""

import base64
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from recengine.errors import BadInput
from recengine.evaluation.duel import Vote
from recengine.serving.event_log import MOST_LINKS, STARS, Event, EventLog, imported, located, rated
from tests.support.postgres import connect

Open = Callable[[], EventLog]
STEPS = 10_000 if os.environ.get("RECENGINE_LONG") else 500


@pytest.fixture
def open_log(database: str) -> Iterator[Open]:
    """Return a function that opens the log of an empty home; each call opens it anew."""
    opened: list[EventLog] = []

    def open_one() -> EventLog:
        opened.append(EventLog())
        return opened[-1]

    yield open_one
    for log in opened:
        log.close()


def act(kind: str, item: str, id: str) -> Event:
    return Event(kind, item, event_id=id)


def what(log: EventLog, visitor: str = "ann") -> list[tuple[str, str, float | None]]:
    return [(row.item_id, row.kind, row.stars) for row in log.standing(visitor, "sample")]


def test_the_latest_event_of_each_item_stands_in_the_order_of_rating(open_log: Open) -> None:
    log = open_log()
    assert log.append("ann", "sample", [rated("1", 4.0), rated("2", 0.5), act("pass", "3", "p"), rated("1", 5.0)]) == 4
    assert what(log) == [("2", "rate", 0.5), ("3", "pass", None), ("1", "rate", 5.0)]
    assert what(open_log()) == what(log)
    assert log.standing("bob", "sample") == log.standing("ann", "ml-100k") == []


def test_an_undo_restores_exactly_what_was_before_it(open_log: Open) -> None:
    log = open_log()
    log.append("ann", "sample", [rated("1", 4.0), rated("2", 3.0)])
    before = log.standing("ann", "sample")
    log.append("ann", "sample", [rated("1", 1.0)])
    log.append("ann", "sample", [act("undo", "1", "u1")])
    assert log.standing("ann", "sample") == before
    log.append("ann", "sample", [act("clear", "2", "c"), act("undo", "2", "u2")])
    assert log.standing("ann", "sample") == before
    log.append("ann", "sample", [act("undo", "1", "u3"), act("undo", "1", "u4")])
    assert what(log) == [("2", "rate", 3.0)]


def test_an_event_that_comes_again_changes_nothing(open_log: Open) -> None:
    log = open_log()
    first = rated("1", 4.0, event_id="a" * 32)
    assert [log.append("ann", "sample", [first]) for _ in range(3)] == [1, 0, 0]
    assert log.append("bob", "sample", [first._replace(stars=1.0)]) == 0
    assert len(log.events("ann")) == 1
    assert log.events("bob") == []


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (act("steal", "1", "a"), "kind 'steal' is unknown; expected one of: rate, pass, seen, watchlist, clear, undo"),
        (rated("1", 5.5), "stars=5.5 are outside the scale"),
        (rated("1", 0.0), "stars=0.0 are outside the scale"),
        (rated("1", float("nan")), "stars=nan are outside the scale"),
        (act("rate", "1", "a"), "stars are outside the scale"),
        (act("pass", "1", "two words"), "event_id 'two words' is not an id"),
    ],
)
def test_an_invalid_event_is_refused_with_all_that_came_with_it(open_log: Open, event: Event, message: str) -> None:
    log = open_log()
    with pytest.raises(BadInput, match=message):
        log.append("ann", "sample", [rated("7", 4.0), event])
    assert log.events("ann") == []


def refuses(database: str, change: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="events are never"), connect(database).begin() as raw:
        raw.execute(sa.text(change))


def test_events_are_never_changed_and_only_an_erasure_deletes_them(open_log: Open, database: str) -> None:
    log = open_log()
    log.append("ann", "sample", [rated("1", 4.0)])
    refuses(database, "UPDATE event SET stars = 1")
    refuses(database, "DELETE FROM event")
    assert what(log) == [("1", "rate", 4.0)]


def test_erasing_removes_one_visitor_and_records_it(open_log: Open, database: str) -> None:
    log = open_log()
    log.append("ann", "sample", [rated("1", 4.0), rated("2", 4.0)])
    log.append("bob", "sample", [rated("1", 2.0)])
    assert log.erase("ann") == 2
    assert log.events("ann") == log.standing("ann", "sample") == []
    assert what(log, "bob") == [("1", "rate", 2.0)]
    with connect(database).connect() as raw:
        assert raw.execute(sa.text("SELECT visitor, events FROM erasure")).all() == [("ann", 2)]
    log.append("ann", "sample", [rated("1", 4.0)])
    refuses(database, "DELETE FROM event WHERE visitor = 'ann'")  # the erasure is over: later events are guarded again


def test_votes_are_kept_once_move_with_their_voter_and_are_erased_with_the_rest(open_log: Open) -> None:
    log = open_log()
    for voter, id in (("ann", "1"), ("bob", "2"), ("ann", "1")):
        log.vote("sample", Vote(voter, "taste", "ease"), id)
    log.vote("other", Vote("ann", "mf", "ease"), "3")
    assert log.votes("sample") == [Vote("ann", "taste", "ease"), Vote("bob", "taste", "ease")]
    log.move("ann", "account")
    assert [vote.voter for vote in open_log().votes("sample")] == ["account", "bob"]
    log.erase("account")
    assert log.votes("sample") == [Vote("bob", "taste", "ease")]
    assert log.votes("other") == []


def test_a_link_opens_what_was_shared_until_its_owner_takes_it_back(open_log: Open) -> None:
    log = open_log()
    token = log.share("ann", b"a list")
    assert log.share("ann", b"a list") == token, "a second click makes no second link"
    other = log.share("bob", b"a list")
    assert open_log().shared(token) == log.links("ann")[0]
    assert [(link.token, link.content) for link in log.links("ann")] == [(token, b"a list")]
    assert not log.revoke("bob", token), "only the owner can"
    assert log.revoke("ann", token)
    assert log.shared(token) is None
    assert log.links("ann") == []
    assert log.shared(other) is not None


def test_links_move_with_their_owner_and_are_erased_with_the_rest(open_log: Open, database: str) -> None:
    log = open_log()
    token = log.share("ann", b"a list")
    log.move("ann", "account")
    assert log.links("ann") == []
    assert log.links("account")[0].token == token
    log.append("account", "sample", [act("watchlist", "1", "w")])
    log.erase("account")
    assert log.shared(token) is None
    assert log.standing("account", "sample") == []
    with connect(database).connect() as raw:
        for table in ("event", "standing", "vote", "link"):
            assert raw.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar() == 0, table


def test_a_visitor_has_so_many_links_and_gets_more_by_taking_one_back(open_log: Open) -> None:
    log = open_log()
    tokens = [log.share("ann", bytes([n])) for n in range(MOST_LINKS)]
    with pytest.raises(BadInput, match="20 at most"):
        log.share("ann", b"one more")
    log.share("bob", b"one more")
    log.revoke("ann", tokens[3])
    assert log.share("ann", b"one more") not in tokens


def test_tokens_are_random_and_nothing_but_a_token_is_looked_up(open_log: Open) -> None:
    """Of 192 random bits each is 1 half of the time: 64 tokens with a bit that never changes have a chance of 2^-55."""
    log = open_log()
    tokens = [log.share(str(n), b"a list") for n in range(64)]
    bits = [int.from_bytes(base64.urlsafe_b64decode(token), "big") for token in tokens]
    ever, always = 0, 2**192 - 1
    for number in bits:
        ever, always = ever | number, always & number
    assert (ever, always) == (2**192 - 1, 0)
    token = tokens[0]
    for wrong in ("", "%", "_" * 32, token[:-1], token.swapcase(), f"{token} ", f"{token}\n", "' OR 1=1 --", "é" * 32):
        assert log.shared(wrong) is None


def test_the_latest_events_come_oldest_first(open_log: Open) -> None:
    log = open_log()
    log.append("ann", "sample", [rated(str(n), 3.0) for n in range(9)])
    assert [event.item_id for event in log.events("ann", "sample", latest=3)] == ["6", "7", "8"]


def test_threads_that_append_at_once_lose_nothing(open_log: Open) -> None:
    logs = [open_log(), open_log()]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: logs[n % 2].append(f"v{n % 4}", "sample", [rated(str(n), 2.5)]), range(80)))
    kept = [event.item_id for visitor in range(4) for event in logs[0].events(f"v{visitor}")]
    assert sorted(map(int, kept)) == list(range(80))
    assert sum(len(logs[1].standing(f"v{visitor}", "sample")) for visitor in range(4)) == 80


def of_file(source: str, rows: list[tuple[str, float, str, int]]) -> list[tuple[Event, str]]:
    """Return rows (item id, stars, date, time) as events, each with its date."""
    return [(Event("rate", item, stars, time, source=source), date) for item, stars, date, time in rows]


def test_a_mark_of_a_file_has_an_id_of_its_own_and_stands_until_it_is_taken_back(open_log: Open) -> None:
    log = open_log()
    marks = [(Event(kind, "7", source="letterboxd"), "2024-01-01") for kind in ("seen", "watchlist")]
    assert log.append("ann", "sample", imported("ann", "sample", marks)) == 2
    assert what(log) == [("7", "watchlist", None)]
    log.append("ann", "sample", [Event("undo", "7", event_id="u1")])
    assert what(log) == [("7", "seen", None)]


def test_a_file_that_is_imported_twice_changes_nothing(open_log: Open) -> None:
    log = open_log()
    rows = [("2", 4.0, "2024-05-31", 1717113600), ("1", 3.0, "2024-01-01", 1704067200), ("3", 5.0, "", 0)]
    events = imported("ann", "sample", of_file("imdb", rows))
    for new in (3, 0):
        assert log.append("ann", "sample", imported("ann", "sample", of_file("imdb", rows[::-1]))) == new
    assert what(log) == [("3", "rate", 5.0), ("1", "rate", 3.0), ("2", "rate", 4.0)]
    others = [("bob", "sample", "imdb"), ("ann", "ml-1m", "imdb"), ("ann", "sample", "csv")]
    of_others = [event for *who, source in others for event in imported(*who, of_file(source, rows))]
    assert len({event.event_id for event in [*of_others, *events]}) == 12
    (changed,) = imported("ann", "sample", of_file("imdb", [("1", 3.5, "2024-01-01", 1704067200)]))
    assert log.append("ann", "sample", [changed]) == 1
    assert [event.source for event in log.events("ann", source="imdb")] == ["imdb"] * 4
    assert log.events("ann", source="app") == []


def test_only_items_of_a_catalogue_are_located_in_it() -> None:
    here, elsewhere = rated("7", 4.0), rated("nowhere", 5.0)
    assert located([elsewhere, here], {"7": 3}) == [here._replace(item_idx=3)]


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from recengine.serving.event_log import Event, EventLog
url, visitor, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = EventLog(url)

def send(n):
    event = Event("rate", str(n % 7), 0.5 + n % 10 / 2, 1, f"e{n}")
    log.append(visitor, "sample", [event])
    log.append(visitor, "sample", [event])

with ThreadPoolExecutor(10) as threads:
    list(threads.map(send, range(first, last)))
"""
"""A script that appends as one replica of the app, in ten threads at once; it sends every event twice."""


@pytest.mark.slow
def test_two_replicas_with_twenty_writers_lose_and_skip_nothing(open_log: Open, database: str) -> None:
    """A reader that continues from the last number it saw reads every event: none is added behind it."""
    log, each = open_log(), 100
    ids = [[f"e{replica * each + n}" for n in range(each)] for replica in range(2)]
    spans = [(f"v{replica}", str(replica * each), str((replica + 1) * each)) for replica in range(2)]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, database, *span]) for span in spans]
    seen: list[str] = []
    last, engine = 0, connect(database)
    while True:
        done = not any(writer.poll() is None for writer in writers)
        with engine.connect() as raw:
            new = raw.execute(sa.text(f"SELECT seq, event_id FROM event WHERE seq > {last} ORDER BY seq")).all()
        seen += [row.event_id for row in new]
        last = new[-1].seq if new else last
        if done:
            break
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(seen) == sorted(ids[0] + ids[1])
    for replica in range(2):
        events = log.events(f"v{replica}")
        assert sorted(event.event_id for event in events) == sorted(ids[replica])
        assert what(log, f"v{replica}") == modelled(events)


class Operations(RuleBasedStateMachine):
    """The log and a plain list of the same events: after any operations, both agree."""

    url: str

    @initialize()
    def start(self) -> None:
        self.log = EventLog(self.url)
        for who in ("ann", "bob"):
            self.log.erase(who)
        self.done: dict[str, list[Event]] = {"ann": [], "bob": []}
        self.count = 0

    def _append(self, who: str, *events: Event) -> None:
        assert self.log.append(who, "sample", events) == len(events)
        self.done[who] += events

    def _new(self, kind: str, item: int, stars: float | None = None) -> Event:
        self.count += 1
        return Event(kind, str(item), stars, 1, f"e{self.count}")

    @rule(who=st.sampled_from(["ann", "bob"]), item=st.integers(0, 4), stars=st.sampled_from(STARS))
    def rate(self, who: str, item: int, stars: float) -> None:
        self._append(who, self._new("rate", item, stars))

    @rule(who=st.sampled_from(["ann", "bob"]), item=st.integers(0, 4), kind=st.sampled_from(["undo", "clear", "pass"]))
    def other(self, who: str, item: int, kind: str) -> None:
        self._append(who, self._new(kind, item))

    @rule(who=st.sampled_from(["ann", "bob"]), items=st.lists(st.integers(0, 6), max_size=5))
    def import_file(self, who: str, items: list[int]) -> None:
        self._append(who, *(self._new("rate", item, 3.5) for item in items))

    @rule(who=st.sampled_from(["ann", "bob"]))
    def send_again(self, who: str) -> None:
        assert self.log.append(who, "sample", self.done[who][-3:]) == 0

    @rule()
    def restart(self) -> None:
        self.log.close()
        self.log = EventLog(self.url)

    @rule()
    def rebuild(self) -> None:
        before = {who: self.log.standing(who, "sample") for who in self.done}
        self.log.rebuild()
        assert before == {who: self.log.standing(who, "sample") for who in self.done}

    @rule(who=st.sampled_from(["ann", "bob"]))
    def erase(self, who: str) -> None:
        assert self.log.erase(who) == len(self.done[who])
        self.done[who] = []

    @invariant()
    def agrees_with_the_list(self) -> None:
        for who, events in self.done.items():
            assert self.log.events(who) == events
            assert [(row.item_id, row.kind, row.stars) for row in self.log.standing(who, "sample")] == modelled(events)

    def teardown(self) -> None:
        self.log.close()


def modelled(events: list[Event]) -> list[tuple[str, str, float | None]]:
    """Return what stands by the simplest algorithm: a stack for each item."""
    stacks: dict[str, list[tuple[int, Event]]] = {}
    for position, event in enumerate(events):
        stack = stacks.setdefault(event.item_id, [])
        if event.kind != "undo":
            stack.append((position, event))
        elif stack:
            stack.pop()
    tops = sorted((stack[-1] for stack in stacks.values() if stack), key=lambda top: top[0])
    return [(event.item_id, event.kind, event.stars) for _, event in tops if event.kind != "clear"]


@pytest.mark.slow
def test_the_log_agrees_with_a_simple_model_after_any_operations(database: str) -> None:
    Operations.url = database
    run_state_machine_as_test(
        Operations,
        settings=settings(
            max_examples=STEPS // 50,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


APPENDER = """
import sys
from recengine.serving.event_log import EventLog, rated
log, n = EventLog(), int(sys.argv[1])
while True:
    log.append("ann", "sample", [rated(str(n % 7), 0.5 + n % 10 / 2, event_id=f"e{n}")])
    print(n, flush=True)  # acknowledged
    n += 1
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_acknowledged_rating(open_log: Open, database: str) -> None:
    """Many processes in turn, each killed while it appends; each continues where the last one stopped."""
    luck, start, acknowledged = random.Random(5), 0, -1
    kills = 100 if os.environ.get("RECENGINE_LONG") else 25 if database.startswith("sqlite") else 8
    for _ in range(kills):
        child = subprocess.Popen([sys.executable, "-c", APPENDER, str(start)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(luck.randrange(1, 12)):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")
        acknowledged = int(next((line for line in reversed(rest) if line), acknowledged))
        child.wait()
        log = open_log()
        kept = [event.event_id for event in log.events("ann")]
        assert kept == [f"e{n}" for n in range(len(kept))], "an event is lost or counts twice"
        assert len(kept) in (acknowledged + 1, acknowledged + 2)  # the last may be kept but not yet acknowledged
        start = len(kept)
        held = log.standing("ann", "sample")
        log.rebuild()
        assert log.standing("ann", "sample") == held
        assert set(held) <= set(log.events("ann"))
        log.close()


@pytest.mark.parametrize("back", [1, 3_600, 86_400 * 365, 1_700_000_000])
def test_a_clock_that_goes_back_loses_no_rating_and_keeps_the_order(
    open_log: Open, monkeypatch: pytest.MonkeyPatch, back: int
) -> None:
    log, now = open_log(), 1_800_000_000
    for number, moment in enumerate((now, now - back, now - back + 1, now + 5)):
        monkeypatch.setattr("recengine.serving.event_log.time.time", lambda moment=moment: moment + 0.5)
        assert log.append("ann", "sample", [rated(str(number), 4.0), act("pass", f"p{number}", f"id{number}")]) == 2
    assert log.append("ann", "sample", [act("undo", "2", "u")]) == 1
    assert [row.item_id for row in log.standing("ann", "sample")] == ["0", "p0", "1", "p1", "p2", "3", "p3"]
    moments = [event.timestamp for event in log.events("ann")]
    assert moments == sorted(moments)
    assert moments[0] == now
    assert moments[-1] == now + 5
    monkeypatch.setattr("recengine.serving.event_log.time.time", lambda: 0.0)  # no clock at all
    log.append("bob", "sample", [rated("1", 5.0), rated("1", 2.0)])
    assert what(log, "bob") == [("1", "rate", 2.0)]


def test_dates_of_a_file_move_no_clock(open_log: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    monkeypatch.setattr("recengine.serving.event_log.time.time", lambda: 1_800_000_000.0)
    rows = [("1", 4.0, "2060-01-01", 2_840_140_800), ("2", 3.0, "2001-01-01", 978_307_200), ("3", 3.0, "", 0)]
    assert log.append("ann", "sample", imported("ann", "sample", of_file("imdb", rows))) == 3
    log.append("ann", "sample", [rated("4", 5.0)])
    moments = {event.item_id: event.timestamp for event in log.events("ann")}
    assert moments == {"1": 2_840_140_800, "2": 978_307_200, "3": 1_800_000_000, "4": 1_800_000_000}
