"""Homes that cannot be used: exit 2 and one sentence that names the variable, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recengine.serving.event_log import EventLog, rated

NOBODY = """
import json, os, sys
from recengine.cli import main
main(["train", "popularity", "--dataset", sys.argv[1], "--quiet"])  # imports what it needs, as a user who may
os.setgroups([])
os.setgid(54321)
os.setuid(54321)  # a container's random user, without an entry in /etc/passwd
print("as nobody")
for variables in json.loads(sys.argv[2]):
    for name in ("HOME", "RECENGINE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    print(main(["train", "popularity", "--dataset", sys.argv[1], "--quiet"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_a_home(folder: Path) -> None:
    variables = [{}, {"HOME": "/"}, {"HOME": ""}, {"HOME": "/", "RECENGINE_HOME": "/etc/x"}]
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        data = shutil.copytree(folder, f"{open_to_all}/data")
        Path(data).chmod(0o755)
        command = [sys.executable, "-c", NOBODY, data, json.dumps(variables)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.partition("as nobody\n")[2].split() == ["2"] * 4, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 4, done.stderr
    for line in lines:
        assert line.startswith("recengine: RECENGINE_HOME ")
        assert line.endswith("; set RECENGINE_HOME to a folder that can be written")


@pytest.mark.parametrize("below", ["", "below", "far/below"])
def test_a_home_that_is_a_file(run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path / "file" / below))
    status, output, noted = run("train", "popularity", "--dataset", folder, "--quiet")
    assert (status, output) == (2, ""), noted
    assert noted.startswith(f"recengine: RECENGINE_HOME '{tmp_path / 'file' / below}' cannot be written (")
    assert noted.count("\n") == 1


@pytest.mark.parametrize("name", [b"run?a=1", b"per%20cent", b"caf\xe9", "片".encode(), b"a'b\"c"])
def test_a_home_of_any_name_keeps_models_and_ratings_inside(
    run, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    home = os.fsencode(tmp_path) + b"/" + name
    monkeypatch.setenv("RECENGINE_HOME", os.fsdecode(home))
    EventLog().append("ann", "x", [rated("1", 5.0)])
    assert run("train", "popularity", "--dataset", folder, "--quiet")[0] == 0
    assert os.listdir(os.fsencode(tmp_path)) == [name]
    assert {b"ratings.db", b"models"} <= set(os.listdir(home))
