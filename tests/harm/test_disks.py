"""The database of ratings on a full and on a closed disk: one sentence, nothing kept is lost, and then it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harm.conftest import on_small_disk

FILLED = """
import os, sys
from pathlib import Path
from recengine.errors import BadInput
from recengine.serving.event_log import EventLog, rated

def check(log):
    events = log.events("ann")
    assert [event.event_id for event in events] == kept, (len(events), len(kept))
    assert {row.item_id: row.stars for row in log.standing("ann", "sample")} == {e.item_id: e.stars for e in events}
    with log._engine.connect() as raw:
        assert raw.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"

place, log, kept = Path(os.environ["PLACE"]), EventLog(), []
refusals = 0
for free in range(0, 60_000, 1_500):  # a write fails at another place each time
    filler = place / "filler"
    left = os.statvfs(place)
    filler.write_bytes(bytes(max(0, left.f_bavail * left.f_frsize - free)))
    for number in range(len(kept), len(kept) + 400):
        try:
            log.append("ann", "sample", [rated(str(number % 50), 0.5 + number % 10 / 2, event_id=f"e{number}")])
            kept.append(f"e{number}")
        except BadInput as fault:
            refusals += 1
            said = str(fault)
            break
    check(log)
    filler.unlink()
    log.append("ann", "sample", [rated("7", 3.0, event_id=f"e{len(kept)}")])  # with room again, the same log goes on
    kept.append(f"e{len(kept)}")
    if free % 15_000 == 0:
        log.close()
        log = EventLog()  # or another one
    check(log)
print(refusals, len(kept), said, sep="|")
"""


def test_a_full_disk_loses_no_kept_rating(tmp_path: Path) -> None:
    script = f"""
    export RECENGINE_HOME="$PLACE/home"
    "$PYTHON" - <<'END'
{FILLED}
END
    """
    done = on_small_disk(script, tmp_path, megabytes=6)
    assert done.returncode == 0, done.stderr[-2000:]
    refusals, kept, said = done.stdout.strip().split("|")
    assert int(refusals) >= 30
    assert int(kept) > 100
    assert said.startswith("ratings cannot be kept just now (")
    assert "full" in said or "I/O" in said
    assert "free some space" in said


CLOSED = """
from recengine.errors import BadInput
from recengine.serving.event_log import EventLog, rated
try:
    EventLog().append("ann", "sample", [rated("1", 5.0)])
except BadInput as fault:
    print(fault)
"""


OPENED = "$PYTHON -c 'from recengine.serving.event_log import EventLog; EventLog()'"


@pytest.mark.parametrize("before", ["", "mkdir $PLACE/home", OPENED])
def test_a_closed_folder_is_one_sentence(tmp_path: Path, before: str) -> None:
    script = f"""
    export RECENGINE_HOME="$PLACE/home"
    {before}
    mount -o remount,ro "$PLACE"
    "$PYTHON" -c '{CLOSED}'
    """
    done = on_small_disk(script, tmp_path, megabytes=6)
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = done.stdout.splitlines()
    assert line.startswith("ratings cannot be kept just now (")
    assert "open their folder" in line


SERVED = """
import asyncio, json, os, subprocess, sys, urllib.error, urllib.request
from pathlib import Path
from benchmarks.load import Visitor
from benchmarks.server import Server

async def look(page):
    visitor = Visitor(server.url)
    await (await visitor.arrive(page)).close()
    assert not visitor.errors, visitor.errors
    return [text for text in visitor.html if "stored just now" in text or "cannot be" in text], visitor

place, harm, cure = Path(os.environ["PLACE"]), sys.argv[1], sys.argv[2]
(place / "home").mkdir()
server = Server(place / "home", log=Path(sys.argv[3]))
try:
    subprocess.run(harm, shell=True, check=True)
    said = {page: asyncio.run(look(page))[0] for page in ("", "rate", "train", "data")}
    try:
        urllib.request.urlopen(server.url + "/healthz")
        health = 200
    except urllib.error.HTTPError as answer:
        health = answer.code
    subprocess.run(cure, shell=True, check=True)
    again, visitor = asyncio.run(look(""))
    films = sum(text.count('class="name"') for text in visitor.html)
    print(json.dumps({"said": said, "health": health, "again": again, "films": films}))
finally:
    server.stop()
"""


@pytest.mark.parametrize(
    ("harm", "cure", "why"),
    [
        ("dd if=/dev/zero of=$PLACE/filler bs=4k 2>/dev/null || true", "rm $PLACE/filler", "No space left on device"),
        ("mount -o remount,ro $PLACE", "mount -o remount,rw $PLACE", "Read-only file system"),
    ],
)
def test_the_app_says_so_and_goes_on_when_there_is_room_again(tmp_path: Path, harm: str, cure: str, why: str) -> None:
    script = f"""
    "$PYTHON" - '{harm}' '{cure}' '{tmp_path / "server.log"}' <<'END'
{SERVED}
END
    """
    done = on_small_disk(script, tmp_path, megabytes=30)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    (first,) = found["said"][""]
    assert first == f"Nothing can be stored just now ({why}): free some space or open the folder, then start again."
    assert all(len(said) <= 1 for said in found["said"].values())
    assert found["health"] == 503
    assert found["again"] == []
    assert found["films"] >= 10
