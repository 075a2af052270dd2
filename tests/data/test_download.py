"""The downloader against a real server that fails in every way we know of."""

import hashlib
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recengine.data.download as module
from recengine.data.download import PATIENCE, download
from recengine.errors import BadInput
from tests.support.clock import Clock

CONTENT = random.Random(1).randbytes(300_000)
BLOCK = 1 << 16  # what arrives of a broken transfer is counted in such blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(
    handler: BaseHTTPRequestHandler,
    body: bytes,
    *,
    status: int = 200,
    length: int | None = -1,
    **headers: str,
) -> None:
    """Answer with headers; `length=None` announces none, and a larger one than the body is a cut connection."""
    handler.send_response(status)
    if length is not None:
        handler.send_header("Content-Length", str(len(body) if length < 0 else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


def whole(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT, ETag='"v1"')


def cut(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT[:BLOCK], length=len(CONTENT), ETag='"v1"')


def resumed(handler: BaseHTTPRequestHandler, upto: int = len(CONTENT)) -> None:
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    stated = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
    send(handler, CONTENT[start:upto], status=206, length=len(CONTENT) - start, Content_Range=stated, ETag='"v1"')


class Server:
    """Answers each request with the next of the given answers; `requests` keeps the headers that came."""

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        self.answers: list[Answer] = []
        self.requests: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append(dict(self.headers))
                server.answers.pop(0)(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self.http.server_address[1]}/x.zip"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let no time pass in a download but what it waits for and what a server lets pass."""
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def problem_with(path: Path) -> str | None:
    return None if hashlib.sha256(path.read_bytes()).hexdigest() == SHA256 else "wrong sha256"


def get(server: Server, folder: Path, *answers: Answer, urls: list[str] | None = None, **options: Any) -> Path:
    server.answers = list(answers)
    how: dict[str, Any] = {"size": len(CONTENT), "limit": len(CONTENT), "pause": 0.001} | options
    return download(urls or [server.url], folder / "data" / "x.zip", problem_with=problem_with, **how)


def refused(server: Server, folder: Path, *answers: Answer, **options: Any) -> str:
    """Return the complaint, having checked that nothing was left behind."""
    with pytest.raises(BadInput) as caught:
        get(server, folder, *answers, **options)
    assert list((folder / "data").iterdir()) == []
    assert "\n" not in str(caught.value)
    assert "RECENGINE_MIRROR" in str(caught.value)
    return str(caught.value)


def test_a_whole_file_arrives_with_rising_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = get(server, tmp_path, whole, on_progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.requests[0]["Accept-Encoding"] == "identity"
    assert [p.name for p in path.parent.iterdir()] == ["x.zip"]


def test_a_503_and_two_cuts_are_survived_by_resuming(server: Server, tmp_path: Path) -> None:
    def busy(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"", status=503, Retry_After="0")

    path = get(server, tmp_path, busy, cut, lambda h: resumed(h, 3 * BLOCK), resumed)
    assert path.read_bytes() == CONTENT
    assert [r.get("Range") for r in server.requests] == [None, None, f"bytes={BLOCK}-", f"bytes={3 * BLOCK}-"]
    assert server.requests[2]["If-Range"] == '"v1"'


def test_a_cut_without_an_announced_length_is_noticed(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path, lambda h: send(h, CONTENT[:BLOCK], length=None), resumed)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("stated", ["bytes 0-299999/300000", "bytes 65537-299999/300000", "nonsense", ""])
def test_a_false_content_range_is_not_pasted_in(server: Server, tmp_path: Path, stated: str) -> None:
    def lying(handler: BaseHTTPRequestHandler) -> None:
        send(handler, CONTENT[50_000:250_000], status=206, Content_Range=stated)

    path = get(server, tmp_path, cut, lying, whole)
    assert path.read_bytes() == CONTENT
    assert "Range" not in server.requests[2]


def test_a_file_that_changed_meanwhile_is_taken_from_its_start(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path, lambda h: send(h, b"old" * 30_000, length=len(CONTENT), ETag='"v0"'), whole)
    assert path.read_bytes() == CONTENT
    assert server.requests[1]["If-Range"] == '"v0"'


def test_a_server_that_sends_too_much_is_stopped(server: Server, tmp_path: Path) -> None:
    assert "offers 300,001 bytes" in refused(server, tmp_path, lambda h: send(h, CONTENT + b"x"))
    endless = refused(server, tmp_path, lambda h: send(h, CONTENT + b"x", length=None))
    assert "sends more than the expected 300,000 bytes" in endless


def test_a_wrong_checksum_is_refused_and_the_next_address_tried(server: Server, tmp_path: Path) -> None:
    def wrong(handler: BaseHTTPRequestHandler) -> None:
        send(handler, bytes(len(CONTENT)))

    assert "wrong sha256" in refused(server, tmp_path, wrong)
    assert get(server, tmp_path, wrong, whole, urls=[server.url] * 2).read_bytes() == CONTENT


def test_every_address_that_fails_is_named(server: Server, tmp_path: Path) -> None:
    def missing(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"", status=404)

    urls = [server.url, "http://127.0.0.1:9/x.zip", "nothing://x", "http://[bad/x.zip"]
    message = refused(server, tmp_path, missing, urls=urls)
    assert "answers 404 Not Found" in message
    assert "127.0.0.1:9: no connection" in message
    assert "x: it cannot be used" in message


def test_endless_cuts_end(server: Server, tmp_path: Path) -> None:
    message = refused(server, tmp_path, cut, *[lambda h: resumed(h, BLOCK)] * 20)
    assert "broke after 65,536 of 300,000 bytes" in message


def test_a_server_out_of_service_is_given_up(server: Server, tmp_path: Path) -> None:
    message = refused(server, tmp_path, *[lambda h: send(h, b"", status=503)] * 20)
    assert "answers 503 Service Unavailable" in message


def busy(seconds: str) -> Answer:
    return lambda handler: send(handler, b"", status=429, Retry_After=seconds)


def test_a_server_that_asks_to_wait_is_given_its_time(server: Server, tmp_path: Path, clock: Clock) -> None:
    assert get(server, tmp_path, busy("7"), whole).read_bytes() == CONTENT
    assert clock.slept == [7.0]
    soon = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert get(server, tmp_path, cut, busy(soon), resumed).read_bytes() == CONTENT


def test_a_server_that_asks_to_wait_for_longer_than_anybody_does_is_given_up_at_once(
    server: Server, tmp_path: Path, clock: Clock
) -> None:
    assert "answers 429 Too Many Requests and asks to wait 3600 s" in refused(server, tmp_path, busy("3600"))
    assert clock.slept == []


class Received:
    """The progress of a download, for which a server can wait before it lets time pass."""

    def __init__(self) -> None:
        self._done, self._changed = 0, threading.Condition()

    def __call__(self, done: int, _: int) -> None:
        with self._changed:
            self._done = done
            self._changed.notify_all()

    def wait_for(self, done: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done == done, timeout=60)


def test_no_address_takes_more_than_its_share_of_patience_to_drip(server: Server, tmp_path: Path, clock: Clock) -> None:
    received = Received()

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"", length=len(CONTENT))
        for done in range(1, len(CONTENT)):  # a byte every five seconds, for as long as the client reads
            handler.wfile.write(CONTENT[done - 1 : done])
            received.wait_for(done)
            clock.now += 5

    answers = {"urls": [server.url, server.url], "patience": 120.0, "on_progress": received}
    assert refused(server, tmp_path, *[dripping] * 99, **answers).count("it is too slow (") == 2
    assert 120 < clock.now <= 120 + 2 * 10
    assert len(server.requests) == 2


def test_no_address_takes_more_than_its_share_of_patience_to_fail(server: Server, tmp_path: Path, clock: Clock) -> None:
    answers = {"urls": [server.url, server.url], "patience": 120.0, "pause": 1.0}
    complaint = refused(server, tmp_path, *[lambda h: send(h, b"", status=500)] * 99, **answers)
    assert complaint.count("answers 500 Internal Server Error") == 2
    assert 2 < clock.now <= 120


@pytest.mark.slow
@pytest.mark.parametrize("sent", [0, 70_000])
def test_no_address_takes_more_than_its_share_of_patience_to_be_silent(
    server: Server, tmp_path: Path, clock: Clock, sent: int
) -> None:
    """A third more may pass in a last wait: the 45 seconds of all addresses together are never more than 60."""
    assert PATIENCE * 4 / 3 <= 60
    received, over, patience = Received(), threading.Event(), 6.0
    share = patience / 2

    def silent(handler: BaseHTTPRequestHandler) -> None:
        if sent:
            received(0, 0)
            send(handler, CONTENT[:sent], length=len(CONTENT))
            received.wait_for(sent)
        clock.now += share / 3  # what the client waits for in truth
        over.wait(60)
        handler.close_connection = True

    answers = {"urls": [server.url, server.url], "patience": patience, "pause": 0.05, "on_progress": received}
    complaint = refused(server, tmp_path, *[silent] * 99, **answers)
    over.set()
    assert complaint.count(f"it fell silent after {sent:,} of 300,000 bytes") == 2
    assert clock.now <= patience * 4 / 3


def test_a_slow_server_that_goes_on_delivering_is_waited_for(server: Server, tmp_path: Path, clock: Clock) -> None:
    received = Received()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"", length=len(CONTENT))
        for start in range(0, len(CONTENT), 30_000):
            handler.wfile.write(CONTENT[start : start + 30_000])
            received.wait_for(start + 30_000)
            clock.now += 12

    assert get(server, tmp_path, slow, patience=60.0, on_progress=received).read_bytes() == CONTENT
    assert clock.now > 60


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(CONTENT) - 1), max_size=4), resets=st.booleans())
def test_wherever_it_is_cut_the_file_is_whole(server: Server, tmp_path: Path, cuts: list[int], resets: bool) -> None:
    def cut_at(offset: int) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
            stated = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
            rest = CONTENT[start : max(start, offset)]
            send(handler, rest, status=206 if start else 200, length=len(CONTENT) - start, ETag='"v1"', **stated)
            if resets:  # a reset, not an end
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        return answer

    path = get(server, tmp_path, *[cut_at(offset) for offset in cuts], cut_at(len(CONTENT)), whole)
    assert path.read_bytes() == CONTENT
    path.unlink()


def test_a_lapsed_certificate_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    now = datetime.now(UTC)
    lapsed = authority.issue_cert("127.0.0.1", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    for certificate, good in ((authority.issue_cert("127.0.0.1"), True), (lapsed, False)):
        server = Server(certificate)
        try:
            if good:
                assert get(server, tmp_path, whole).read_bytes() == CONTENT
                (tmp_path / "data" / "x.zip").unlink()
            else:
                assert "no secure connection (its certificate may have lapsed)" in refused(server, tmp_path, whole)
                assert server.requests == []
        finally:
            server.http.shutdown()
            server.http.server_close()


def test_cancelling_leaves_nothing(server: Server, tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path, whole, on_progress=cancel)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_failed_fetch_leaves_the_older_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.zip").write_bytes(b"older")
    with pytest.raises(BadInput):
        get(server, tmp_path, lambda h: send(h, b"", status=404))
    assert [p.read_bytes() for p in (tmp_path / "data").iterdir()] == [b"older"]


def test_a_folder_that_cannot_be_made_is_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(BadInput, match=r"cannot be written.*RECENGINE_HOME"):
        get(server, tmp_path, whole)


def test_an_address_without_valid_tls_is_not_used(server: Server, tmp_path: Path) -> None:
    message = refused(server, tmp_path, urls=[server.url.replace("http:", "https:")])
    assert "no secure connection" in message
    assert server.requests == []
