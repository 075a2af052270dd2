"""TMDB's answers, from a server in its layout, with its faults."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pages.posters.tmdb import KEPT, Facts, Tmdb

JPEG = b"\xff\xd8\xff\xe0 a picture"
ALIEN = {
    "title": "Alien",
    "overview": "In space no one can hear you scream.",
    "runtime": 117,
    "poster_path": "/alien.jpg",
    "backdrop_path": "/nostromo.jpg",
    "credits": {"cast": [{"name": name} for name in ("Weaver", "Skerritt", "Hurt", "Holm", "Kotto", "Stanton")]},
    "videos": {
        "results": [
            {"site": "Vimeo", "type": "Trailer", "key": "123456"},
            {"site": "YouTube", "type": "Clip", "key": "clip-1234"},
            {"site": "YouTube", "type": "Trailer", "key": "LjLamj-b0I8"},
        ]
    },
    "watch/providers": {
        "results": {
            "US": {"link": "https://www.themoviedb.org/movie/348/watch", "flatrate": [{"provider_name": "Hulu"}]},
            "DE": {"flatrate": [{"provider_name": "Disney Plus"}]},
        }
    },
}


class Server:
    """Answers as TMDB does; `script` holds (status, headers, body) for the next requests, before the usual answers."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.keys: list[str] = []
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.films: dict[str, Any] = {"348": dict(ALIEN)}
        self.picture = JPEG
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                outer.requests.append(address.path)
                outer.keys += parse_qs(address.query).get("api_key", [])
                status, headers, body = outer.script.pop(0) if outer.script else outer.usual(address.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def usual(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/img/"):
            return 200, {}, self.picture
        film = self.films.get(path.rsplit("/", 1)[1])
        return (200, {}, json.dumps(film).encode()) if film is not None else (404, {}, b"{}")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def tmdb_of(server: Server, folder: Path, **options: Any) -> Tmdb:
    options.setdefault("sleep", Waits())
    return Tmdb("a key", folder, api=f"{server.address}/3", images=f"{server.address}/img", **options)


def test_facts_and_poster_come_in_the_background_and_stay(server: Server, tmp_path: Path) -> None:
    tmdb = tmdb_of(server, tmp_path)
    assert tmdb.facts(348) is None
    tmdb.join()
    assert tmdb.facts(348) == Facts(
        plot="In space no one can hear you scream.",
        runtime=117,
        cast=("Weaver", "Skerritt", "Hurt", "Holm", "Kotto"),
        trailer="https://www.youtube.com/watch?v=LjLamj-b0I8",
        watch=("Hulu",),
        more="https://www.themoviedb.org/movie/348/watch",
    )
    assert tmdb.picture(348) == (JPEG, "image/jpeg")
    assert server.requests == ["/3/movie/348", "/img/w342/alien.jpg"]
    assert server.keys == ["a key"]
    again = tmdb_of(server, tmp_path, country="DE")
    assert again.facts(348) == tmdb.facts(348)._replace(watch=("Disney Plus",), more="")  # type: ignore[union-attr]
    again.join()
    assert len(server.requests) == 2, "what is on the disk is not asked for again"


def test_a_backdrop_is_asked_for_when_its_film_is_known_and_someone_looks(server: Server, tmp_path: Path) -> None:
    tmdb = tmdb_of(server, tmp_path)
    assert not tmdb.has_backdrop(348), "nothing is known of the film"
    assert not server.requests
    tmdb.facts(348)
    tmdb.join()
    assert not tmdb.has_backdrop(348)
    tmdb.join()
    assert tmdb.has_backdrop(348)
    assert tmdb.picture(348, "backdrop") == (JPEG, "image/jpeg")
    assert server.requests[-1] == "/img/w780/nostromo.jpg"
    server.films["7"] = {"backdrop_path": "/../7.jpg"}
    tmdb.facts(7)
    tmdb.join()
    assert not tmdb.has_backdrop(7)
    assert server.requests[-1] == "/3/movie/7"


def test_a_film_that_is_not_there_is_asked_for_once_a_week(server: Server, tmp_path: Path) -> None:
    tmdb = tmdb_of(server, tmp_path)
    for _ in range(3):
        tmdb.facts(7)
        tmdb.join()
    assert tmdb.facts(7) == Facts()
    assert tmdb.picture(7) is None
    assert server.requests == ["/3/movie/7"]


def test_nothing_is_kept_longer_than_allowed(server: Server, tmp_path: Path) -> None:
    tmdb = tmdb_of(server, tmp_path)
    tmdb.facts(348)
    tmdb.join()
    old = time.time() - KEPT - 1
    os.utime(tmp_path / "348.json", (old, old))
    assert tmdb_of(server, tmp_path).picture(348) is None
    assert not (tmp_path / "348.img").exists()


@pytest.mark.parametrize(("headers", "wait"), [({"Retry-After": "3"}, 3.0), ({}, 2.0), ({"Retry-After": "9999"}, 60.0)])
def test_a_busy_server_is_given_the_time_it_asks_for(
    server: Server, tmp_path: Path, headers: dict[str, str], wait: float
) -> None:
    server.script = [(429, headers, b"")]
    waits = Waits()
    tmdb = tmdb_of(server, tmp_path, sleep=waits)
    tmdb.facts(348)
    tmdb.join()
    assert tmdb.facts(348) is not None
    assert wait in waits
    assert all(pause == pytest.approx(1 / 30) for pause in waits if pause != wait)


BAD: dict[str, list[tuple[int, dict[str, str], bytes]]] = {
    "down": [(500, {}, b"")] * 3,
    "key refused": [(401, {}, b'{"status_message": "Invalid API key"}')],
    "no JSON": [(200, {}, b"<html>")],
    "no object": [(200, {}, b"[1, 2]")],
    "endless": [(200, {}, b"x" * 2_100_000)],
}


@pytest.mark.parametrize("script", BAD.values(), ids=BAD.keys())
def test_a_bad_answer_leaves_the_drawn_poster_and_the_next_film_is_served(
    server: Server, tmp_path: Path, script: list[tuple[int, dict[str, str], bytes]]
) -> None:
    server.script = list(script)
    server.films["2"] = ALIEN
    tmdb = tmdb_of(server, tmp_path)
    assert tmdb.facts(348) is None
    tmdb.facts(2)
    tmdb.join()
    assert tmdb.facts(348) is None
    assert tmdb.picture(348) is None
    assert tmdb.facts(2) is not None


def test_what_is_no_picture_is_not_served(server: Server, tmp_path: Path) -> None:
    server.picture = b"<svg onload=alert(1)>"
    tmdb = tmdb_of(server, tmp_path)
    tmdb.facts(348)
    tmdb.join()
    assert tmdb.facts(348) is not None
    assert tmdb.picture(348) is None


@pytest.mark.parametrize("path", ["/../../etc/passwd", "http://192.0.2.9/x.jpg", "/a b.jpg", "/x.svg", None, 7])
def test_only_paths_of_posters_are_asked_for(server: Server, tmp_path: Path, path: object) -> None:
    server.films["348"] = ALIEN | {"poster_path": path}
    tmdb = tmdb_of(server, tmp_path)
    tmdb.facts(348)
    tmdb.join()
    assert tmdb.facts(348) is not None
    assert server.requests == ["/3/movie/348"]


def test_fields_of_another_shape_are_left_out(server: Server, tmp_path: Path) -> None:
    server.films["348"] = {
        "overview": 7,
        "runtime": "long",
        "credits": [],
        "videos": {"results": [{"site": "YouTube", "type": "Trailer", "key": "a b&c"}, 5]},
        "watch/providers": {"results": {"US": {"link": "javascript:alert(1)", "flatrate": [{"provider_name": None}]}}},
    }
    tmdb = tmdb_of(server, tmp_path)
    tmdb.facts(348)
    tmdb.join()
    assert tmdb.facts(348) == Facts()
