"""The database of ratings on a full or read-only disk: one sentence, no kept rating is lost, and it recovers."""

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

disk, log, kept = Path(os.environ["DISK"]), EventLog(), []
refusals = 0
for free in range(0, 60_000, 1_500):  # a write fails at another step each time
    filler = disk / "filler"
    left = os.statvfs(disk)
    filler.write_bytes(bytes(max(0, left.f_bavail * left.f_frsize - free)))
    for number in range(len(kept), len(kept) + 400):
        try:
            log.append("ann", "sample", [rated(str(number % 50), 0.5 + number % 10 / 2, event_id=f"e{number}")])
            kept.append(f"e{number}")
        except BadInput as error:
            refusals += 1
            texts = str(error)
            break
    check(log)
    filler.unlink()
    log.append("ann", "sample", [rated("7", 3.0, event_id=f"e{len(kept)}")])  # with room again, the same log goes on
    kept.append(f"e{len(kept)}")
    if free % 15_000 == 0:
        log.close()
        log = EventLog()  # or another one
    check(log)
print(refusals, len(kept), texts, sep="|")
"""


def test_a_full_disk_loses_no_kept_rating(tmp_path: Path) -> None:
    script = f"""
    export RECENGINE_HOME="$DISK/home"
    "$PYTHON" - <<'END'
{FILLED}
END
    """
    done = on_small_disk(script, tmp_path, megabytes=6)
    assert done.returncode == 0, done.stderr[-2000:]
    refusals, kept, texts = done.stdout.strip().split("|")
    assert int(refusals) >= 30
    assert int(kept) > 100
    assert texts.startswith("ratings cannot be kept just now (")
    assert "full" in texts or "I/O" in texts
    assert "free some space" in texts


CLOSED = """
from recengine.errors import BadInput
from recengine.serving.event_log import EventLog, rated
try:
    EventLog().append("ann", "sample", [rated("1", 5.0)])
except BadInput as error:
    print(error)
"""


OPENED = "$PYTHON -c 'from recengine.serving.event_log import EventLog; EventLog()'"


@pytest.mark.parametrize("before", ["", "mkdir $DISK/home", OPENED])
def test_a_closed_folder_is_one_sentence(tmp_path: Path, before: str) -> None:
    script = f"""
    export RECENGINE_HOME="$DISK/home"
    {before}
    mount -o remount,ro "$DISK"
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

disk, damage, cure = Path(os.environ["DISK"]), sys.argv[1], sys.argv[2]
(disk / "home").mkdir()
server = Server(disk / "home", log=Path(sys.argv[3]))
try:
    subprocess.run(damage, shell=True, check=True)
    texts = {page: asyncio.run(look(page))[0] for page in ("", "my_films", "train", "data")}
    try:
        urllib.request.urlopen(server.url + "/healthz")
        health = 200
    except urllib.error.HTTPError as answer:
        health = answer.code
    subprocess.run(cure, shell=True, check=True)
    again, visitor = asyncio.run(look("viewers"))
    films = sum(text.count('class="name"') for text in visitor.html)
    print(json.dumps({"texts": texts, "health": health, "again": again, "films": films}))
finally:
    server.stop()
"""


@pytest.mark.parametrize(
    ("damage", "cure", "why"),
    [
        ("dd if=/dev/zero of=$DISK/filler bs=4k 2>/dev/null || true", "rm $DISK/filler", "No space left on device"),
        ("mount -o remount,ro $DISK", "mount -o remount,rw $DISK", "Read-only file system"),
    ],
)
def test_the_app_reports_it_and_goes_on_when_there_is_room_again(
    tmp_path: Path, damage: str, cure: str, why: str
) -> None:
    script = f"""
    "$PYTHON" - '{damage}' '{cure}' '{tmp_path / "server.log"}' <<'END'
{SERVED}
END
    """
    done = on_small_disk(script, tmp_path, megabytes=30)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    (first,) = result["texts"][""]
    assert first == f"Nothing can be stored just now ({why}): free some space or open the folder, then start again."
    assert all(len(texts) <= 1 for texts in result["texts"].values())
    assert result["health"] == 503
    assert result["again"] == []
    assert result["films"] >= 10


def test_a_file_that_is_mounted_by_itself_is_written(tmp_path: Path) -> None:
    script = """
    echo old > "$DISK/list.csv"; echo old > "$DISK/inside.csv"
    mount --bind "$DISK/list.csv" "$DISK/inside.csv"
    "$PYTHON" -c '
import os, pathlib
from recengine.export import write_csv
write_csv(pathlib.Path(os.environ["DISK"], "inside.csv"), ["n"], [[1], [2]])
'
    tr "\\r\\n" ". " < "$DISK/list.csv"; ls -A "$DISK"
    """
    done = on_small_disk(script, tmp_path, megabytes=2)
    assert done.stdout.split() == ["n.", "1.", "2.", "inside.csv", "list.csv"], done.stderr
