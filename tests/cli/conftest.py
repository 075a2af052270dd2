"""What the tests of the command line share: a data set as files, a function that runs a command, CSV files."""

import csv
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from recengine.cli import main
from recengine.data.dataset import Dataset

Out = tuple[int, str, str]


@pytest.fixture(scope="module")
def folder(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `tiny` as ratings.csv and movies.csv; film 141 has no rating, user 61 likes nothing."""
    directory = tmp_path_factory.mktemp("tiny")
    r = tiny.ratings
    rows = zip(tiny.user_ids[r.user_idx], tiny.item_ids[r.item_idx], r.rating, r.timestamp, strict=True)
    write(directory / "ratings.csv", ["userId", "movieId", "rating", "timestamp"], [*rows, (61, 101, 1.0, 5)])
    films = zip(tiny.items["item_id"], tiny.items["title"] + " (1999)", tiny.items["genres"], strict=True)
    write(directory / "movies.csv", ["movieId", "title", "genres"], [*films, (141, "=1+1 (2000)", "Comedy")])
    return directory


@pytest.fixture
def newer(folder: Path, tmp_path: Path) -> Path:
    """Return the data set after a rating, an item and a user were added."""
    directory = tmp_path / "newer"
    shutil.copytree(folder, directory)
    with (directory / "ratings.csv").open("a", encoding="utf-8") as file:
        file.write("1,108,5.0,999\n1,999,5.0,999\n777,101,5.0,999\n777,102,4.5,999\n")
    return directory


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Out]:
    """Return a function that runs a command and gives (exit status, standard output, standard error)."""

    def run_command(*arguments: Any) -> Out:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        return status, *capsys.readouterr()

    return run_command


def write(path: Path, header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def json_of(out: Out) -> dict[str, Any]:
    """Return the JSON object, which must be all of standard output and on one line."""
    status, output, _ = out
    assert status == 0, out[2]
    assert output.count("\n") == 1
    assert output.endswith("\n")
    value = json.loads(output, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(value, dict)
    return value
