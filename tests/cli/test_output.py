"""Where results go: consoles of any encoding, closed and full outputs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
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


def run_in(encoding: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> bytes:
    """Run a command whose console has that encoding, and perhaps another way with errors; return what it prints."""
    name, _, errors = encoding.partition(":")
    console = io.TextIOWrapper(io.BytesIO(), encoding=name, errors=errors or "strict")
    monkeypatch.setattr(sys, "stdout", console)
    with suppress(SystemExit):  # of --help
        assert main([*map(str, arguments)]) == 0
    console.flush()
    return console.buffer.getvalue()  # type: ignore[attr-defined]


def run_behind(shell: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process whose streams a shell redirects."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "recengine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=200, check=False)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932", "koi8-r", "utf-8"])
def test_titles_that_a_console_cannot_write_are_escaped_in_tables_and_json(
    world: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    command = ("recommend", "--dataset", world, "--model", "popularity", "--user", 1, "--include-seen", "-k", 6)
    table = run_in(encoding, monkeypatch, *command)
    for title in TITLES:
        assert title.encode(encoding, "backslashreplace") in table
    answer = run_in(encoding, monkeypatch, *command, "--json", "--quiet")
    assert {row["title"] for row in json.loads(answer.decode(encoding))["recommendations"]} == set(TITLES)


@pytest.mark.parametrize("command", [["--help"], ["recommend", "--help"], ["models"], ["datasets"]])
def test_help_and_lists_can_be_written_in_ascii(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    assert run_in("ascii", monkeypatch, *command).isascii()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8:surrogateescape", "cp1252"])
def test_a_path_that_is_not_utf_8_is_valid_json(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    monkeypatch.setenv("RECENGINE_HOME", str(home))
    answer = run_in(encoding, monkeypatch, "train", "popularity", "--dataset", world, "--json", "--quiet")
    assert Path(json.loads(answer)["folder"]).parent == home / "models"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here stands for a full disk")
@pytest.mark.parametrize("command", [["models"], ["datasets", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_line(command: list[str]) -> None:
    done = run_behind(">/dev/full", *command)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"recengine: failed: OSError: ")


@pytest.mark.slow
def test_closed_streams_do_not_mix_notes_into_results(world: Path) -> None:
    command = ("train", "mf", "--set", "epochs=2", "--set", "embedding_dim=4", "--dataset", world, "--json", "--force")
    done = run_behind("2>&-", *command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["model"] == "mf"
    for shell in (">&-", ">&- 2>&-"):
        done = run_behind(shell, *command)
        assert (done.returncode, done.stdout) == (0, b"")
