"""Many visitors at once, over Streamlit's protocol: the cost of a rating, and whether memory stays constant.

python -m benchmarks.load [--visitors 50] [--seconds 120] [--every 5]     # all at once, one rating each per 5 s
python -m benchmarks.load --soak 30 [--visitors 20]                       # coming and going, for 30 minutes

Each visitor has a separate cookie and speaks protobuf over a WebSocket, as a browser does: it opens the page Home,
sends the state of its board, and reads the output until the script has finished. The server is a separate process
on this machine, on the sample. Targets: no error, one event for each click, p95 <= 2 s, at most 60 ms of the server's
CPU a rating, no visitor sees another's data; in a soak less than 20 MB more after the first tenth, threads and open
files flat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import streamlit
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.server import Server
from pages.hosting.identity import COOKIE
from recengine.serving.event_log import EventLog

VERSION = "1.67.0"
"""The version of Streamlit whose protocol this is; it may change in others."""
PATIENCE = 60.0
"""Seconds after which an answer counts as an error."""


@dataclass
class Visitor:
    """A visitor with a board of films.

    headers : of its requests; boards : name -> (id of the widget, fragment, what it shows); html : other output
    sent : what was done; took : seconds of each answer
    """

    url: str
    luck: random.Random = field(default_factory=random.Random)
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    boards: dict[str, tuple[str, str, dict]] = field(default_factory=dict)
    html: list[str] = field(default_factory=list)
    sent: list[dict] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def arrive(self, page: str = "", query: str = "") -> ClientConnection:
        """Fetch the page for its cookie unless there is one, open the WebSocket, and wait for the page."""

        def fetch() -> str:
            asked = urllib.request.Request(f"{self.url}/{page}", headers=self.headers)
            with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
                cookies = answer.headers.get_all("Set-Cookie") or []
            return next(text.partition(";")[0] for text in cookies if text.startswith(COOKIE))

        self.cookie = self.cookie or await asyncio.to_thread(fetch)
        socket = await connect(
            f"{self.url.replace('http', 'ws', 1)}/_stcore/stream",
            subprotocols=["streamlit", "PLACEHOLDER_AUTH_TOKEN"],  # type: ignore[list-item]
            origin=self.url,  # type: ignore[arg-type]
            additional_headers={"Cookie": self.cookie} | self.headers,
            max_size=None,
        )
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = page, query
        await socket.send(message.SerializeToString())
        await self.read(socket)
        return socket

    async def read(self, socket: ClientConnection) -> None:
        """Read the output until the script has finished."""
        while True:
            message = ForwardMsg()
            message.ParseFromString(await asyncio.wait_for(socket.recv(), PATIENCE))  # type: ignore[arg-type]
            kind = message.WhichOneof("type")
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                if element.WhichOneof("type") == "bidi_component":
                    id = element.bidi_component.id
                    if "board-" in id:
                        shown = json.loads(element.bidi_component.json or "{}")
                        self.boards[id.rpartition("-")[2]] = (id, message.delta.fragment_id, shown)
                elif element.WhichOneof("type") == "html":
                    self.html.append(element.html.body)
                elif element.WhichOneof("type") == "alert":
                    self.html.append(element.alert.body)
                elif element.WhichOneof("type") == "exception":
                    self.errors.append(element.exception.message)
            elif kind == "script_finished":
                ended = ForwardMsg.ScriptFinishedStatus.Name(message.script_finished)
                if "SUCCESSFULLY" in ended:
                    return
                if "EARLY" not in ended:
                    self.errors.append(ended)
                    return

    async def rate(self, socket: ClientConnection) -> None:
        """Give a film to rate half stars, and wait for the new list; it must show this visitor's ratings alone."""
        shown = self.boards["hand"][2]
        known = {act["item"] for act in self.sent}
        film = self.luck.choice([card for card in shown["cards"] if card["item"] not in known] or shown["cards"])
        stars = self.luck.randint(1, 10) / 2
        self.sent.append({"id": uuid.uuid4().hex, "kind": "rate", "item": film["item"], "stars": stars})
        started = time.perf_counter()
        await self.send(socket, self.sent[-20:])
        self.took.append(time.perf_counter() - started)
        kept = self.boards["hand"][2].get("acknowledged", [])
        if kept != [act["id"] for act in self.sent][-len(kept) :] or self.sent[-1]["id"] not in kept:
            self.errors.append(f"shows {len(kept)} acts as kept, of {len(self.sent)} that were sent")

    async def send(self, socket: ClientConnection, events: object) -> None:
        """Send a state of the board with films to rate, and wait for the output that follows."""
        widget, fragment, _ = self.boards["hand"]
        message = BackMsg()
        message.rerun_script.page_name = ""
        message.rerun_script.fragment_id = fragment
        state = message.rerun_script.widget_states.widgets.add()
        state.id, state.json_value = widget, json.dumps({"events": events})
        await socket.send(message.SerializeToString())
        await self.read(socket)

    async def stay(self, all_here: asyncio.Barrier, seconds: float, every: float) -> None:
        """Come, wait for the others, rate at a steady pace, and go. An error is recorded, and ends the visit."""
        socket = None
        try:
            socket = await self.arrive()
        except Exception as error:  # anything may go wrong between here and the server
            self.errors.append(f"{type(error).__name__}: {error}")
        await all_here.wait()
        try:
            end = time.monotonic() + seconds
            await asyncio.sleep(self.luck.random() * every)
            while socket and time.monotonic() < end:
                began = time.monotonic()
                await self.rate(socket)
                await asyncio.sleep(max(0.0, every - (time.monotonic() - began)))
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")
        if socket:
            await socket.close()


def visitor_of(cookie: str) -> str:
    return cookie.partition("=")[2].partition(".")[0]


async def crowd(server: Server, visitors: int, seconds: float, every: float) -> tuple[list[Visitor], float]:
    """Let visitors come one by one and rate for some seconds; return them and the CPU time of the server."""
    present = [Visitor(server.url, random.Random(n)) for n in range(visitors)]
    all_here, process = asyncio.Barrier(visitors + 1), psutil.Process(server.pid)
    stays = []
    for visitor in present:
        stays.append(asyncio.create_task(visitor.stay(all_here, seconds, every)))
        await asyncio.sleep(every / visitors)
    await all_here.wait()
    before = sum(process.cpu_times()[:2])
    await asyncio.gather(*stays)
    return present, sum(process.cpu_times()[:2]) - before


def checked(present: list[Visitor], home: Path) -> list[str]:
    """Return what was wrong: errors of visitors, and logs that differ from what each visitor did."""
    wrong = [error for visitor in present for error in visitor.errors]
    log = EventLog(f"sqlite:///{home / 'ratings.db'}")
    for visitor in present:
        held = [event.event_id for event in log.events(visitor_of(visitor.cookie))]
        if held != [act["id"] for act in visitor.sent]:
            wrong.append(f"{len(held)} events of a visitor who clicked {len(visitor.sent)} times")
    log.close()
    return wrong


def load(server: Server, visitors: int, seconds: float, every: float) -> list[str]:
    """Measure a crowd, print what it took, and return what was wrong."""
    asyncio.run(crowd(server, 1, 3.0, 0.5))  # so that no measured visitor waits for what is done once
    present, spent = asyncio.run(crowd(server, visitors, seconds, every))
    took = np.array([t for visitor in present for t in visitor.took])
    wrong = checked(present, server.home)
    p50, p95 = np.percentile(took, [50, 95]) if len(took) else (np.nan, np.nan)
    print(
        f"{visitors} visitors, a rating per {every:g} s each, {seconds:g} s: {len(took)} ratings, {len(wrong)} errors; "
        f"p50 {1e3 * p50:.0f} ms, p95 {1e3 * p95:.0f} ms (target: 2,000); "
        f"{1e3 * spent / max(1, len(took)):.0f} ms of the server's CPU a rating (target: 60)",
        flush=True,
    )
    return wrong


def soak(server: Server, visitors: int, minutes: float) -> list[str]:
    """Let visitors come and go; print memory, threads and files after each tenth, and return what was wrong."""
    process, wrong = psutil.Process(server.pid), []
    for tenth in range(11):
        for _ in range(3):
            present, _ = asyncio.run(crowd(server, visitors, 60 * minutes / 33, 6.0))
            wrong += checked(present, server.home)
        memory = process.memory_info().rss / 1e6
        if tenth == 0:
            first = memory
        message = f"{memory:.0f} MB ({memory - first:+.0f}), {process.num_threads()} threads, {process.num_fds()} files"
        print(f"after {tenth + 1}/11 of {minutes:g} min: {message}, {len(wrong)} errors", flush=True)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    options = parser.parse_args()
    if streamlit.__version__ != VERSION:
        parser.error(f"Streamlit {streamlit.__version__} is installed; this speaks the protocol of {VERSION}")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            if options.soak:
                wrong = soak(server, options.visitors or 20, options.soak)
            else:
                wrong = load(server, options.visitors or 50, options.seconds, options.every)
        finally:
            server.stop()
    for error in sorted(set(wrong))[:10]:
        print(f"wrong: {error}")


if __name__ == "__main__":
    main()
