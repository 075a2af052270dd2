"""Fetch a file over HTTP(S) so that its final name only ever holds a whole, checked file."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError
from urllib3.util.retry import Retry

from recengine.errors import BadInput
from recengine.files import atomic_file

OnProgress = Callable[[int, int], None]
PATIENCE = 45.0
"""Seconds that all addresses together may take without delivering; a third of them more may pass in a last wait."""
RESUMES = 8
"""How often a broken transfer is taken up again before the next address is tried."""
_GAIN = 1 << 16
"""Bytes gained that make up for earlier failures, and for which there is new patience."""
_CONNECT = 5.0
_BUSY = (429, 500, 502, 503, 504)


class _GaveUpError(Exception):
    """This address cannot deliver; the message gives the reason in a few words."""


class _BusyError(Exception):
    """This address answers, but not now."""


def download(
    urls: Sequence[str],
    target: Path,
    *,
    size: int,
    limit: int,
    problem_with: Callable[[Path], str | None],
    on_progress: OnProgress | None = None,
    pause: float = 0.5,
    patience: float = PATIENCE,
) -> Path:
    """Fetch `target` from the first address that delivers a file without a problem, and return its path.

    size         : expected bytes, for the progress and to notice a silent cut
    limit        : bytes at which a transfer is stopped
    problem_with : returns in a few words what is wrong with the finished file, or None
    on_progress  : called with (done_bytes, size); what it raises ends the download and leaves nothing behind
    pause        : seconds before the first retry, doubled each time
    patience     : seconds without any gain after which all addresses are given up

    Raises BadInput that names what each address answered.
    """
    answers: list[str] = []
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            out = stack.enter_context(atomic_file(target))
        except OSError as error:
            refusal = f"cannot be written ({error.strerror})"
            raise BadInput(str(target.parent), remedy="set RECENGINE_HOME elsewhere", problem=refusal) from error
        session = stack.enter_context(_session(pause))
        for url in urls:
            try:
                _receive(
                    session,
                    url,
                    out,
                    size=size,
                    limit=limit,
                    on_progress=on_progress,
                    pause=pause,
                    patience=patience / len(urls),
                )
                out.flush()
                problem = problem_with(Path(out.name))
            except _GaveUpError as error:
                problem = str(error)
            if problem is None:
                return target
            answers.append(f"{_host(url)}: {problem}")
        remedy = (
            f"set RECENGINE_MIRROR to a folder or address that holds it, put it into {target.parent}, "
            "or upload it in the app"
        )
        raise BadInput(target.name, remedy=remedy, problem=f"could not be fetched ({'; '.join(answers)})")


def _session(pause: float) -> requests.Session:
    """Return a session that tries to connect three times; what comes after that is for `_receive`."""
    retry = Retry(connect=2, read=False, status=0, backoff_factor=pause, respect_retry_after_header=False)
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "recengine"})
    return session


def _receive(
    session: requests.Session,
    url: str,
    out: IO[bytes],
    *,
    size: int,
    limit: int,
    on_progress: OnProgress | None,
    pause: float,
    patience: float,
) -> None:
    """Fill `out` with the whole file, taking up a broken transfer where it broke; raises _GaveUpError."""
    done, furthest, validator, tries = 0, 0, "", 0
    deadline = time.monotonic() + patience
    while True:
        headers = {"Range": f"bytes={done}-"} if done else {}
        if done and validator:
            headers["If-Range"] = validator
        wait = min(pause * 2**tries, 10.0)
        try:
            with session.get(url, headers=headers, stream=True, timeout=(_CONNECT, patience / 3)) as response:
                if response.status_code in _BUSY:
                    why = f"answers {response.status_code} {response.reason}".strip()
                    asked = Retry().get_retry_after(response.raw)
                    if asked is not None:
                        why, wait = f"{why} and asks to wait {asked:.0f} s", asked
                    raise _BusyError
                if done and response.status_code != 200 and not _continues(response, done):
                    done = 0  # it cannot resume: begin again
                    raise requests.exceptions.ChunkedEncodingError
                if not done and response.status_code != 200:
                    raise _GaveUpError(f"answers {response.status_code} {response.reason}".strip())
                done = done if response.status_code == 206 else 0
                validator = _validator(response)
                length = response.headers.get("Content-Length", "")
                whole = done + int(length) if length.isdecimal() else size
                if whole > limit:
                    raise _GaveUpError(f"offers {whole:,} bytes instead of {size:,}")
                out.seek(done)
                out.truncate()
                while block := response.raw.read1(_GAIN, decode_content=False):  # what has come, however little
                    done += len(block)
                    if done > limit:
                        raise _GaveUpError(f"sends more than the expected {limit:,} bytes")
                    _write(out, block)
                    if on_progress:
                        on_progress(done, max(size, done))
                    if done >= furthest + _GAIN:
                        furthest, tries, deadline = done, 0, time.monotonic() + patience
                    if time.monotonic() > deadline:
                        raise _GaveUpError(f"it is too slow ({done:,} of {size:,} bytes came)")
            if done >= whole:
                return
            why = f"the transfer ended after {done:,} of {whole:,} bytes"
        except _BusyError:
            pass
        except requests.exceptions.SSLError:
            raise _GaveUpError("no secure connection (its certificate may have lapsed)") from None
        except (requests.Timeout, ReadTimeoutError):
            why = f"it fell silent after {done:,} of {size:,} bytes"
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, HTTPError) as error:
            if error.args and isinstance(error.args[0], MaxRetryError):  # the session has tried already
                raise _GaveUpError("no connection") from None
            why = f"the transfer broke after {done:,} of {size:,} bytes"
        except requests.RequestException as error:
            raise _GaveUpError(f"it cannot be used ({type(error).__name__})") from None
        tries += 1
        if tries > RESUMES or time.monotonic() + wait > deadline:
            raise _GaveUpError(why)
        time.sleep(wait)


def _continues(response: requests.Response, done: int) -> bool:
    """Tell whether a partial answer truly begins at byte `done`."""
    stated = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("Content-Range", ""))
    return response.status_code == 206 and stated is not None and int(stated[1]) == done


def _validator(response: requests.Response) -> str:
    """Return what If-Range may hold: a strong ETag, else the date of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _write(out: IO[bytes], block: bytes) -> None:
    try:
        out.write(block)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise BadInput("the download", remedy="free some space and try again", problem=problem) from error


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url
