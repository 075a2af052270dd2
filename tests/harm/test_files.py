"""Hostile files against every parser of uploads: one sentence or a result, in little time and memory."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recengine.data.dataset import Dataset
from recengine.data.matching import Matcher
from recengine.data.readers.exports import MOST_BYTES, MOST_ROWS, read_export
from recengine.data.sample.build import sample_dataset
from recengine.data.sources import load_upload
from recengine.errors import BadInput
from tests.harm.conftest import LONG
from tests.support.archives import zipped

SECONDS, MEGABYTES = 2.0, 200.0
SIZE = 10_000_000
"""The largest upload, in bytes, that the hosted app accepts."""
HEAD = b"userId,movieId,rating\n"
GOOD = HEAD + b"1,10,4\n2,20,3.5\n1,20,5\n"
EXPORT = b"title,year,rating\nThe Matrix,1999,4\nHeat,1995,5\n"


def encrypted(content: bytes) -> bytes:
    """Return a zip whose members are marked as encrypted."""
    made = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = made.find(mark)
        while at >= 0:
            made[at + offset] |= 1
            at = made.find(mark, at + 4)
    return bytes(made)


def lying(content: bytes, size: int) -> bytes:
    """Return a zip in which each member claims to unpack to `size` bytes."""
    made = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = made.find(mark)
        while at >= 0:
            made[at + offset : at + offset + 4] = struct.pack("<I", size)
            at = made.find(mark, at + 4)
    return bytes(made)


def filled(line: bytes, head: bytes = HEAD) -> bytes:
    return head + line * ((SIZE - len(head)) // len(line))


def films(title: bytes) -> bytes:
    """Return a zip with ratings and sixty films of one title."""
    rows = b"".join(b'%d,"%s",Drama\n' % (n, title) for n in range(60))
    return zipped({"ratings.csv": GOOD, "movies.csv": b"movieId,title,genres\n" + rows})


def exported(title: Callable[[int], bytes]) -> bytes:
    """Return an export as large as the limit."""
    content = b"title,year,rating\n" + b"".join(b'"%s",1999,4\n' % title(n) for n in range(MOST_ROWS))
    return content[:MOST_BYTES].rpartition(b"\n")[0]


LUCK = random.Random(0)
FILES: dict[str, Callable[[], bytes]] = {
    "a bomb": lambda: zipped({"ratings.csv": HEAD + b"1" * (300 << 20)}),
    "a bomb of good rows": lambda: zipped({"ratings.csv": HEAD + (b"%d,1,4\n" % LUCK.randrange(99) * 300) * 70_000}),
    "a bomb next to the ratings": lambda: zipped({"ratings.csv": GOOD, "movies.csv": b"0" * (300 << 20)}),
    "a bomb that claims to be small": lambda: lying(zipped({"ratings.csv": b"0" * (100 << 20)}), 1000),
    "a small one that claims to be huge": lambda: lying(zipped({"ratings.csv": GOOD}), 0xFFFFFFF0),
    "a zip in a zip in a zip": lambda: zipped({"ratings.csv": zipped({"ratings.csv": zipped({"ratings.csv": GOOD})})}),
    "90,000 members": lambda: zipped({f"{n}/ratings.csv": b"" for n in range(90_000)}),
    "an encrypted zip": lambda: encrypted(zipped({"ratings.csv": GOOD, "movies.csv": b"x"})),
    "a zip that climbs": lambda: zipped({"../../../../etc/ratings.csv": GOOD, "C:\\ratings.csv": GOOD}),
    "a zip whose names differ": lambda: zipped({"x" * 60_000 + "/ratings.csv": GOOD}).replace(b"x", b"y", 1),
    "a zip with a long name": lambda: zipped({"x/" * 30_000 + "ratings.csv": GOOD}),
    "a huge field": lambda: HEAD + b"1,2," + b"4" * SIZE,
    "a quote that never ends": lambda: HEAD + b'1,2,"' + b"x\n" * (SIZE // 2),
    "a huge header": lambda: b"x" * SIZE,
    "a header of commas": lambda: b"," * SIZE,
    "a row of commas": lambda: HEAD + b"," * SIZE,
    "empty lines": lambda: b"\n" * SIZE,
    "quotes": lambda: HEAD + b'"' * SIZE,
    "NUL bytes": lambda: HEAD + bytes(SIZE),
    "nines": lambda: HEAD + b"9" * 100_000 + b"," + b"9" * 100_000 + b"," + b"9" * 100_000 + b"\n",
    "the same row again and again": lambda: filled(b"1,2,4\n"),
    "half a million users": lambda: HEAD + b"".join(b"%d,1,4\n" % n for n in range(500_000)),
    "100,000 columns of films": lambda: zipped(
        {"ratings.csv": GOOD, "movies.csv": b"movieId,title," + b",".join(b"c%d" % n for n in range(100_000)) + b"\n"}
    ),
    "titles of brackets": lambda: films(b"(" * 130_000),
    "titles of other titles": lambda: films(b"(a.k.a. x) " * 11_000),
    "titles of spaces": lambda: films(b"a" + b" " * 130_000 + b"(1999"),
    "an export of brackets": lambda: exported(lambda n: b"(" * 240),
    "an export of other titles": lambda: exported(lambda n: b"(a.k.a. %d) " % n * 17),
    "an export of spaces": lambda: exported(lambda n: b"a" + b" " * 240 + b"("),
    "an export of what is much alike": lambda: exported(lambda n: b"The Matri%d " % n * 15),
    "an export of ligatures": lambda: exported(lambda n: "\ufdfa".encode() * 82),
}


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher(sample_dataset())


def parsers(content: bytes, matcher: Matcher) -> dict[str, Callable[[], Any]]:
    """Return the parsers that a visitor's file may reach, by the name that it was sent under."""
    by_name: dict[str, Callable[[], Any]] = {}
    for name in ("mine.csv", "mine.zip"):
        by_name[f"a data set from {name}"] = lambda name=name: load_upload(name, content)
        by_name[f"an export from {name}"] = lambda name=name: matcher.report(read_export(name, content))
    return by_name


def resident(which: str) -> float:
    """Return the memory that this process holds (VmRSS) or held at its peak (VmHWM), in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1e3


def outcome(parse: Callable[[], Any]) -> str:
    """Return the result for a file: the type it was read as, or the one sentence that refuses it."""
    try:
        message = type(parse()).__name__
    except BadInput as refused:
        message = str(refused)
    assert "\n" not in message
    assert len(message) < 1000
    return message


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory cannot be measured here"
)
@pytest.mark.parametrize("kind", FILES)
def test_a_hostile_file_costs_little_time_and_memory(
    kind: str, matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECENGINE_HOSTED", "1")
    content = FILES[kind]()
    assert len(content) <= SIZE + 2_000_000
    for what, parse in parsers(content, matcher).items():
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before, started = resident("VmRSS"), time.process_time()
        message = outcome(parse)
        took, grown = time.process_time() - started, resident("VmHWM") - before
        assert took < SECONDS, f"{what}: {took:.2f} s of CPU; {message}"
        assert grown < MEGABYTES, f"{what}: {grown:.0f} MB; {message}"


NAMES = ["ratings.csv", "movies.csv", "links.csv", "tags.csv", "users.csv", "a/ratings.csv", "../../ratings.csv"]
NAMES += ["/ratings.csv", "C:\\ratings.csv", "ratings.csv/", "__MACOSX/ratings.csv", "RATINGS.CSV", "u.data", "x\0y"]
CELLS = [
    "userId",
    "movieId",
    "rating",
    "title",
    "timestamp",
    "genres",
    "imdbId",
    "tag",
    "1",
    "10",
    "4",
    "-1",
    "",
    "nan",
]
CELLS += ["1e400", "9" * 400, "=1+1", '"', '"x', "\u202e", "\ud7ff", "(" * 200, "x" * 9000, "2024-05-31", "★★½", "\x00"]
TABLES = st.lists(st.lists(st.sampled_from(CELLS), max_size=6).map(",".join), max_size=7).map("\n".join)
CONTENTS = st.binary(max_size=300) | TABLES.map(str.encode) | st.sampled_from([GOOD, EXPORT, HEAD])


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Return a zip of known and hostile names, perhaps nested, encrypted, lying or damaged."""
    made = zipped(draw(st.dictionaries(st.sampled_from(NAMES), CONTENTS, max_size=4)))
    if draw(st.booleans()):
        made = zipped({"ratings.csv": made} | draw(st.dictionaries(st.sampled_from(NAMES[1:]), CONTENTS, max_size=2)))
    for spoil in draw(st.lists(st.sampled_from([encrypted, lambda zip: lying(zip, 7)]), max_size=1)):
        made = spoil(made)
    content = bytearray(made)
    for position, byte in draw(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=3)):
        content[position % len(content)] = byte
    return bytes(content)


@settings(
    max_examples=3000 if LONG else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=CONTENTS | archives(), cut=st.integers(0, 4000) | st.none())
def test_any_file_is_read_or_refused_in_one_sentence(content: bytes, cut: int | None, matcher: Matcher) -> None:
    for what, parse in parsers(content[:cut], matcher).items():
        started = time.process_time()
        outcome(parse)
        assert time.process_time() - started < SECONDS, what


def test_the_good_ones_among_them_are_read(matcher: Matcher) -> None:
    assert isinstance(load_upload("mine.zip", zipped({"../../ratings.csv": GOOD})), Dataset)
    assert len(matcher.report(read_export("mine.zip", zipped({"ratings.csv": EXPORT}))).matched) == 2
