"""A hostile visitor against the hosted app, over Streamlit's protocol: floods, forgeries, nonsense, ids of others."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import streamlit
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from benchmarks.load import VERSION, Visitor, visitor_of
from benchmarks.server import ROOT, Server
from pages.hosting.limits import LIMITS, SHARED
from recengine.serving.event_log import Event, EventLog
from tests.harm.conftest import LONG

FLOOD = 5_000 if LONG else 1_200
MET: set[str] = set()
"""Ids of the visitors of these tests."""


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the app as it is hosted for strangers."""
    if streamlit.__version__ != VERSION:
        pytest.skip(f"Streamlit {streamlit.__version__} may have another protocol than {VERSION}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECENGINE_HOSTED", "1")
        patch.setenv("STREAMLIT_LOGGER_MESSAGE_FORMAT", "%(message)s")
        patch.setenv("STREAMLIT_SERVER_ALLOWED_HOSTS", "localhost app.example")
        server = Server(tmp_path_factory.mktemp("hosted"))
    yield server
    server.stop()
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(lines) >= len(text.splitlines()) - 6, "apart from the address, the log is lines of JSON"
    through = [line for line in lines if any(str(ROOT / part) in str(line) for part in ("pages", "recengine"))]
    assert through == [], "an error went through our code"
    assert not [id for id in MET if id in text], "the log names a visitor"


@pytest.fixture
def log(hosted: Server) -> Iterator[EventLog]:
    made = EventLog(f"sqlite:///{hosted.home / 'ratings.db'}")
    yield made
    made.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in a thread, since Playwright may run an event loop in this one."""
    with ThreadPoolExecutor(1) as apart:
        apart.submit(lambda: asyncio.run(work())).result()


def from_address(number: int) -> dict[str, str]:
    """Return headers as from a proxy on this machine, which the server trusts."""
    return {"X-Forwarded-For": f"1.0.0.{number}"}


def rating(item: str, stars: float = 5.0) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "kind": "rate", "item": item, "stars": stars}


def mine(log: EventLog, visitor: Visitor) -> list[Event]:
    MET.add(visitor_of(visitor.cookie))
    return log.events(visitor_of(visitor.cookie))


async def sees(url: str, cookie: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what a visitor is shown: their list, and fifty films for each of three others of the data set."""
    visitor = Visitor(url, cookie=cookie, headers=from_address(9))
    await (await visitor.arrive()).close()
    cards = [card for _, _, shown in visitor.boards.values() for card in shown["cards"]]
    lists = []
    for user in (1, 2, 3):
        visitor.html = []
        await (await visitor.arrive("viewers", f"user={user}&k=50")).close()
        films = [text for text in visitor.html if 'class="name"' in text]
        assert len(films) >= 50
        lists += films
    assert not visitor.errors
    return cards, lists


def test_a_flood_is_limited_and_changes_nothing_for_other_visitors(hosted: Server, log: EventLog) -> None:
    async def scene() -> None:
        victim = Visitor(hosted.url, headers=from_address(1))
        socket = await victim.arrive()
        for item in ("839", "460", "927"):
            await victim.send(socket, [rating(item)])
        before = await sees(hosted.url, victim.cookie), mine(log, victim)

        flood = Visitor(hosted.url, headers=from_address(2))
        pipe = await flood.arrive()
        films = [card["item"] for card in flood.boards["hand"][2]["cards"]]
        began, sent = time.monotonic(), 0
        while sent < FLOOD:  # sixty at once, as fast as the server answers: more than sixty a second
            batch = [rating(films[n % len(films)], 0.5 + n % 10 / 2) for n in range(sent, sent + 60)]
            await flood.send(pipe, batch)
            sent += len(batch)
        lasted = time.monotonic() - began
        assert sent / lasted > 60
        kept = len(mine(log, flood))
        limit = LIMITS["rating"]
        assert limit.burst <= kept <= limit.burst + lasted / limit.seconds + 1

        assert (await sees(hosted.url, victim.cookie), mine(log, victim)) == before
        await victim.send(socket, [rating("12", 1.0)])  # an honest visitor is not affected
        assert len(mine(log, victim)) == 4
        assert not victim.errors + flood.errors

    run(scene)


def test_a_visitor_who_was_offline_for_long_loses_nothing(hosted: Server, log: EventLog) -> None:
    async def scene() -> None:
        visitor = Visitor(hosted.url, headers=from_address(11))
        socket = await visitor.arrive()
        films = [card["item"] for card in visitor.boards["hand"][2]["cards"]]
        acts = [rating(films[n % len(films)]) for n in range(62)]
        await visitor.send(socket, acts)
        assert [event.event_id for event in mine(log, visitor)] == [act["id"] for act in acts[:60]]
        rest = [act for act in acts if act["id"] not in visitor.boards["hand"][2]["acknowledged"]]
        assert rest == acts[60:]
        await asyncio.sleep(LIMITS["rating"].seconds * len(rest) + 1)
        await visitor.send(socket, rest)  # the browser sends again what is not acknowledged
        assert [event.event_id for event in mine(log, visitor)] == [act["id"] for act in acts]

    run(scene)


def test_many_cookies_from_one_address_have_a_limit_together(hosted: Server, log: EventLog) -> None:
    async def scene() -> None:
        began, kept = time.monotonic(), 0
        for _ in range(8):
            visitor = Visitor(hosted.url, headers=from_address(3))
            socket = await visitor.arrive()
            await visitor.send(socket, [rating("839") for _ in range(60)])
            kept += len(mine(log, visitor))
            await socket.close()
        limit, lasted = LIMITS["rating"], time.monotonic() - began
        assert kept <= SHARED * (limit.burst + lasted / limit.seconds)
        assert kept >= SHARED * limit.burst - 60

    run(scene)


@pytest.mark.parametrize("trusted", ["*", "127.0.0.1", "127.0.0.0/8,10.0.0.0/8"])
def test_an_invented_address_evades_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str) -> None:
    monkeypatch.setenv("RECENGINE_HOSTED", "on")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    server = Server(tmp_path / "home")
    log = EventLog(f"sqlite:///{tmp_path / 'home' / 'ratings.db'}")

    async def scene() -> None:
        began, kept = time.monotonic(), 0
        for number in range(8):  # each writes another address; the proxy adds the true one
            headers = {"X-Forwarded-For": f"9.9.{number}.1, 1.0.0.3"}
            visitor = Visitor(server.url, headers=headers)
            socket = await visitor.arrive()
            await visitor.send(socket, [rating("839") for _ in range(60)])
            kept += len(mine(log, visitor))
            await socket.close()
        limit, lasted = LIMITS["rating"], time.monotonic() - began
        assert SHARED * limit.burst - 60 <= kept <= SHARED * (limit.burst + lasted / limit.seconds)

    try:
        run(scene)
    finally:
        server.stop()
        log.close()


def test_no_visitor_can_use_another_s_id(hosted: Server, log: EventLog) -> None:
    async def scene() -> None:
        victim = Visitor(hosted.url, headers=from_address(4))
        socket = await victim.arrive()
        act = rating("839")
        await victim.send(socket, [act])
        before = await sees(hosted.url, victim.cookie)
        name, _, token = victim.cookie.partition("=")
        id, _, signature = token.partition(".")
        turned = signature[:-1] + ("0" if signature[-1] != "0" else "1")
        for forged in (id, f"{id}.", f"{id}.{'0' * 64}", f"{id}.{turned}", token.upper(), f'"{id}"', f"{token}.{id}"):
            thief = Visitor(hosted.url, cookie=f"{name}={forged}", headers=from_address(5))
            pipe = await thief.arrive(query=f"visitor={id}&user={id}&recengine_visitor={token}")
            shown = thief.boards["hand"][2]
            assert shown["acknowledged"] == []
            assert not any(card["stars"] for board in thief.boards.values() for card in board[2]["cards"])
            again = act | {"stars": 0.5}  # with the id of the other visitor's event, and an undo of it
            await thief.send(pipe, [again, {"id": uuid.uuid4().hex, "kind": "undo", "item": "839"}])
            await pipe.close()
        assert [(event.event_id, event.stars) for event in mine(log, victim)] == [(act["id"], 5.0)]
        assert await sees(hosted.url, victim.cookie) == before

    run(scene)


GOOD = {"id": "0" * 32, "kind": "rate", "item": "839", "stars": 5}
WRONG: dict[str, list[Any]] = {
    "id": ["", "../../x", "0" * 31, "0" * 33, "é" * 32, "0" * 10_000, None, ["0" * 32]],
    "kind": ["steal", "cleared", "rate;", "", "RATE", {"a": 1}, None],
    "item": ["", "-1", "1e9", "9" * 400, "' OR 1=1 --", 839, None],
    "stars": [-1, 0, 5.5, 1e308, True, "5", None, []],
}
NONSENSE: list[Any] = [None, 7, "x", {"0": GOOD}, [None, 7, "x", [], {}], [[[]]] * 500, [{"id": "0" * 32}]]
NONSENSE += [[GOOD | {name: value} for value in values] for name, values in WRONG.items()]


def test_nonsense_is_left_out_and_the_page_stays(hosted: Server, log: EventLog) -> None:
    async def scene() -> None:
        visitor = Visitor(hosted.url, headers=from_address(6))
        socket = await visitor.arrive()
        for events in NONSENSE:
            await visitor.send(socket, events)
            assert mine(log, visitor) == [], events
        await visitor.send(socket, [rating("839")])
        assert len(mine(log, visitor)) == 1
        assert not visitor.errors

    run(scene)


def test_broken_messages_break_nothing_but_the_session_that_sent_them(hosted: Server, log: EventLog) -> None:
    """Streamlit itself fails on a state that is not JSON, but only on the sender's page, until it is loaded again."""

    async def scene() -> None:
        bystander, breaker = (Visitor(hosted.url, headers=from_address(number)) for number in (7, 8))
        socket = await bystander.arrive()
        for name, value in (
            ("json_value", "{" * 5_000),
            ("json_value", "not json"),
            ("string_value", "x" * 100_000),
            ("trigger_value", True),
            ("bytes_value", b"\x80\x04."),
        ):
            pipe = await breaker.arrive()
            widget, fragment, _ = breaker.boards["hand"]
            message = BackMsg()
            message.rerun_script.page_name, message.rerun_script.fragment_id = "", fragment
            state = message.rerun_script.widget_states.widgets.add()
            state.id = widget
            setattr(state, name, value)
            await pipe.send(message.SerializeToString())
            await pipe.send(b"\xff" * 1_000)  # not a message
            await pipe.close()
        for visitor in (breaker, bystander):
            if visitor is breaker:
                visitor.errors, socket_of = [], await visitor.arrive()
            else:
                socket_of = socket
            await visitor.send(socket_of, [rating("839")])
            assert len(mine(log, visitor)) == 1
            assert not visitor.errors

    run(scene)


def test_no_other_site_can_act_for_a_visitor(hosted: Server, log: EventLog) -> None:
    """A page of another site can neither open the WebSocket nor upload, though the browser sends the cookie along."""

    async def scene() -> None:
        victim = Visitor(hosted.url, headers=from_address(10))
        await (await victim.arrive()).close()
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"{hosted.url.replace('http', 'ws', 1)}/_stcore/stream",
                origin="https://elsewhere.example",  # type: ignore[arg-type]
                additional_headers={"Cookie": victim.cookie},
            )
        assert refused.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as rebound:  # an attacker's host name that resolves to this server
            await connect(f"ws://elsewhere.example:{hosted.port}/_stcore/stream", host="localhost", port=hosted.port)
        assert rebound.value.response.status_code == 403

    run(scene)
    upload = urllib.request.Request(
        f"{hosted.url}/_stcore/upload_file/{uuid.uuid4()}/{uuid.uuid4()}",
        data=json.dumps({}).encode(),
        headers={"Origin": "https://elsewhere.example", "Content-Type": "multipart/form-data; boundary=x"},
        method="PUT",
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(upload)
    assert refused.value.code in (400, 403)
