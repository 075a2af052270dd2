"""Where results go: consoles of any encoding, closed and full outputs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recengine.cli import main

TITLES = ["七人の侍", "Amélie", "Łódź – ☂", "Тень", "e\u0301 🎬", "قفص"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of films whose titles few encodings have together."""
    folder = tmp_path_factory.mktemp("wörld 片")
    with (folder / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(user, film, 3 + (user + film) % 3) for user in range(1, 8) for film in range(len(TITLES))]
        csv.writer(file).writerows([("userId", "movieId", "rating"), *rows])
    with (folder / "movies.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("movieId", "title", "genres"), *((n, t, "") for n, t in enumerate(TITLES))])
    return folder


def run_in(encoding: str, *arguments: object, shell: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process whose console has that encoding; `shell` redirects its streams."""
    command = [sys.executable, "-m", "recengine", *map(str, arguments)]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, capture_output=True, env=environment, timeout=120, check=False)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932", "koi8-r", "utf-8"])
def test_titles_that_a_console_cannot_write_are_escaped_in_tables_and_json(world: Path, encoding: str) -> None:
    command = (
        "recommend",
        "--dataset",
        world,
        "--model",
        "popularity",
        "--user",
        1,
        "--include-seen",
        "-k",
        len(TITLES),
    )
    table = run_in(encoding, *command)
    assert table.returncode == 0, table.stderr
    for title in TITLES:
        assert title.encode(encoding, "backslashreplace") in table.stdout
    answer = run_in(encoding, *command, "--json", "--quiet")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout.decode(encoding))["recommendations"]
    assert {row["title"] for row in rows} == set(TITLES)


@pytest.mark.parametrize("command", [["--help"], ["recommend", "--help"], ["models"], ["datasets"]])
def test_help_and_lists_can_be_written_in_ascii(command: list[str]) -> None:
    done = run_in("ascii", *command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_a_path_that_is_not_utf_8_is_valid_json(tmp_path: Path, world: Path) -> None:
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    home.mkdir()
    command = [sys.executable, "-m", "recengine", "train", "popularity", "--dataset", str(world), "--json", "--quiet"]
    for encoding in ("utf-8:strict", "utf-8:surrogateescape", "cp1252"):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "RECENGINE_HOME": str(home)}
        done = subprocess.run(command, capture_output=True, env=environment, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert Path(json.loads(done.stdout)["folder"]).parent == home / "models"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here stands for a full disk")
@pytest.mark.parametrize("command", [["models"], ["datasets", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_line(command: list[str]) -> None:
    done = run_in("utf-8", *command, shell=">/dev/full")
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"recengine: failed: OSError: ")


def test_closed_streams_do_not_mix_notes_into_results(world: Path) -> None:
    command = ("train", "mf", "--set", "epochs=2", "--set", "embedding_dim=4", "--dataset", world, "--json", "--force")
    done = run_in("utf-8", *command, shell="2>&-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["model"] == "mf"
    for shell in (">&-", ">&- 2>&-"):
        done = run_in("utf-8", *command, shell=shell)
        assert (done.returncode, done.stdout) == (0, b"")


def test_a_stream_that_is_not_a_console_is_written_as_it_is(capsys: pytest.CaptureFixture[str], world: Path) -> None:
    assert main(["similar", "--dataset", str(world), "--model", "item-knn", "--item", "0", "-k", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == TITLES[0]
