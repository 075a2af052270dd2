"""Posters and facts of films from TMDB: asked for in the background, kept on the disk, never waited for.

Nothing is asked, and nothing leaves the machine, without a key (`TMDB_API_KEY`). What TMDB answers is text and pictures
from outside: pictures are checked by their first bytes, and texts are escaped where they are drawn.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import requests

from recengine.files import atomic_file

API, IMAGES = "https://api.themoviedb.org/3", "https://image.tmdb.org/t/p"
NOTICE = "This product uses the TMDB API but is not endorsed or certified by TMDB."
"""The sentence that TMDB's terms of use ask for where its data stand."""
KEPT = 180 * 86_400
"""Seconds that an answer is kept: TMDB's terms allow six months."""
ABSENT = 7 * 86_400
"""Seconds until a film that TMDB does not have is asked for again."""
PER_SECOND = 30
"""Requests a second at most; TMDB allows about 40."""
_TRIES, _LONGEST_WAIT, _WAITING = 3, 60.0, 500
_TIMEOUT = (5, 10)
_LARGEST = 2_000_000
_CAST = 5
_SIZES = {"poster": "w342", "backdrop": "w780"}
"""Picture -> the size in which it is asked for; also the ending of its file, and with `_path` its field."""
_PICTURE_PATH, _VIDEO = re.compile(r"/[\w-]{1,80}\.(?:jpg|png)"), re.compile(r"[\w-]{6,20}")
_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


class Facts(NamedTuple):
    """What TMDB knows of a film; empty where it does not.

    runtime : minutes; watch : names of services that stream it in the country asked for; trailer, more : addresses
    """

    plot: str = ""
    runtime: int = 0
    cast: tuple[str, ...] = ()
    trailer: str = ""
    watch: tuple[str, ...] = ()
    more: str = ""


@cache
def service(key: str | None, home: Path) -> Tmdb | None:
    """Return the one service of this process for a key and a home, or None without a key."""
    return Tmdb(key, home / "tmdb", api=API, images=IMAGES) if key else None


class Tmdb:
    """A cache of TMDB in a folder, filled by one thread in the order of asking.

    country : ISO 3166 code of the country whose streaming services are named
    sleep   : waits that many seconds, so that tests need no time
    """

    def __init__(
        self,
        key: str,
        folder: Path,
        *,
        api: str,
        images: str,
        country: str = "US",
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._key, self._folder, self._api, self._images = key, folder, api, images
        self._country, self._sleep = country, sleep
        self._wanted: queue.Queue[tuple[int, str]] = queue.Queue(_WAITING)
        self._asked: dict[tuple[int, str], float] = {}
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def facts(self, tmdb_id: int) -> Facts | None:
        """Return what is known of a film by now, or None; what is missing or old is asked for."""
        record = self._record(tmdb_id)
        if record is None:
            self._want(tmdb_id, "poster")
            return None
        return _facts(record, self._country)

    def has_backdrop(self, tmdb_id: int) -> bool:
        """Tell whether a film's wide picture is here by now; one that TMDB has is asked for."""
        if not _picture_path(self._record(tmdb_id) or {}, "backdrop"):
            return False
        if self.picture(tmdb_id, "backdrop") is not None:
            return True
        self._want(tmdb_id, "backdrop")
        return False

    def picture(self, tmdb_id: int, which: str = "poster") -> tuple[bytes, str] | None:
        """Return a picture of a film and its media type, or None as long as it is not here; asks for nothing."""
        if self._record(tmdb_id) is None:
            return None
        try:
            content = self._path(tmdb_id, which).read_bytes()
        except OSError:
            return None
        kind = _kind_of(content)
        return (content, kind) if kind else None

    def join(self) -> None:
        """Wait until all that was asked for has been answered or given up."""
        self._wanted.join()

    def _path(self, tmdb_id: int, ending: str) -> Path:
        return self._folder / f"{int(tmdb_id)}.{ending}"

    def _record(self, tmdb_id: int) -> dict[str, Any] | None:
        """Return the stored answer, {} for a film that TMDB does not have, or None where there is none or it is old."""
        path = self._path(tmdb_id, "json")
        try:
            age = time.time() - path.stat().st_mtime
            record = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(record, dict) or age > (KEPT if record else ABSENT):
            for ending in ("json", *_SIZES):
                with suppress(OSError):
                    self._path(tmdb_id, ending).unlink()
            return None
        return record

    def _want(self, tmdb_id: int, which: str) -> None:
        """Put a film on the list unless it was asked for in the last hour, and start the thread for it."""
        wanted, now = (tmdb_id, which), time.monotonic()
        with self._starting:
            if now - self._asked.get(wanted, -3600.0) < 3600:
                return
            with suppress(queue.Full):  # somebody will look at it again
                self._wanted.put_nowait(wanted)
                self._asked[wanted] = now
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="tmdb", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        with requests.Session() as session:
            while True:
                tmdb_id, which = self._wanted.get()
                try:
                    if which == "poster":
                        self._fetch(session, tmdb_id)
                    else:
                        self._fetch_picture(session, tmdb_id, self._record(tmdb_id) or {}, which)
                except (requests.RequestException, OSError, ValueError):
                    pass  # the drawn poster stays, and the film is asked for again in an hour
                finally:
                    self._wanted.task_done()

    def _fetch(self, session: requests.Session, tmdb_id: int) -> None:
        query = {"api_key": self._key, "append_to_response": "credits,videos,watch/providers"}
        body = self._get(session, f"{self._api}/movie/{tmdb_id}", query)
        record = json.loads(body) if body is not None else {}
        if not isinstance(record, dict):
            raise ValueError("TMDB answered with something else than an object")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._fetch_picture(session, tmdb_id, record, "poster")
        with atomic_file(self._path(tmdb_id, "json")) as file:  # last: with it the film is known
            file.write(json.dumps(record).encode())

    def _fetch_picture(self, session: requests.Session, tmdb_id: int, record: dict[str, Any], which: str) -> None:
        if path := _picture_path(record, which):
            picture = self._get(session, f"{self._images}/{_SIZES[which]}{path}", {})
            if picture is not None and _kind_of(picture):
                with atomic_file(self._path(tmdb_id, which)) as file:
                    file.write(picture)

    def _get(self, session: requests.Session, url: str, query: dict[str, str]) -> bytes | None:
        """Return the body of an answer, None for a film that is not there. Raises where the answer is no use."""
        for tried in range(1, _TRIES + 1):
            self._sleep(1 / PER_SECOND)
            with session.get(url, params=query, timeout=_TIMEOUT, stream=True) as answer:
                if answer.status_code == 404:
                    return None
                if answer.status_code == 429 or answer.status_code >= 500:
                    if tried < _TRIES:
                        self._sleep(_wait_of(answer.headers.get("Retry-After", ""), tried))
                    continue
                answer.raise_for_status()
                body = b""
                for part in answer.iter_content(1 << 16):
                    body += part
                    if len(body) > _LARGEST:
                        raise ValueError("TMDB's answer is too large")
                return body
        raise requests.RequestException("TMDB is busy")


def _wait_of(retry_after: str, tried: int) -> float:
    """Return the seconds that a busy server asks for, or that grow with each try."""
    return min(float(retry_after), _LONGEST_WAIT) if retry_after.isdecimal() else 2.0**tried


def _picture_path(record: dict[str, Any], which: str) -> str:
    """Return where TMDB keeps a picture of a film, "" where it has none or says something else."""
    path = str(record.get(f"{which}_path") or "")
    return path if _PICTURE_PATH.fullmatch(path) else ""


def _kind_of(content: bytes) -> str | None:
    return next((kind for start, kind in _PICTURES.items() if content.startswith(start)), None)


def _facts(record: dict[str, Any], country: str) -> Facts:
    """Return what an answer holds; whatever has another shape than TMDB documents is left out."""
    runtime = record.get("runtime")
    offers = _dict(_dict(_dict(record.get("watch/providers")).get("results")).get(country))
    cast = (_text(row.get("name")) for row in _rows(_dict(record.get("credits")).get("cast")))
    trailers = (
        f"https://www.youtube.com/watch?v={row['key']}"
        for row in _rows(_dict(record.get("videos")).get("results"))
        if row.get("site") == "YouTube" and row.get("type") == "Trailer" and _VIDEO.fullmatch(_text(row.get("key")))
    )
    watch = (_text(row.get("provider_name")) for row in _rows(offers.get("flatrate")))
    more = _text(offers.get("link"))
    return Facts(
        plot=_text(record.get("overview"))[:1000],
        runtime=runtime if isinstance(runtime, int) and 0 < runtime < 10_000 else 0,
        cast=tuple(filter(None, cast))[:_CAST],
        trailer=next(trailers, ""),
        watch=tuple(dict.fromkeys(filter(None, watch)))[:_CAST],
        more=more if more.startswith("https://www.themoviedb.org/") else "",
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
