"""Data that cannot be loaded, through the command line: exit 2, one line, nothing half-written."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from recengine.cli import main
from recengine.data.sources import SOURCES, load_dataset

RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{u},{i},4,{i}\n" for u in range(9) for i in range(9))


def zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mine/ratings.csv", RATINGS)
    return path.read_bytes()


def spoil(kind: str, folder: Path) -> str:
    """Write the spoiled source and return what --dataset is given."""
    whole = zipped(folder / "whole.zip")
    contents = {
        "truncated.zip": whole[: len(whole) // 2],
        "notazip.zip": b"this is no archive",
        "empty.csv": b"",
        "ragged.csv": RATINGS.encode() + b"1,2,3,4,5\n",
        "nan.csv": RATINGS.encode() + b"1,99,nan,4\n",
        "range.csv": RATINGS.encode() + b"1,99,11,4\n",
        "wrongsum.zip": whole,
    }
    if kind == "folder":
        (folder / "bare").mkdir()
        return str(folder / "bare")
    if kind == "wrongsum.zip":  # a registered name whose zip in the mirror is another file
        (folder / "ml-1m.zip").write_bytes(whole)
        return "ml-1m"
    if kind == "offline":
        return "ml-20m"
    (folder / kind).write_bytes(contents[kind])
    return str(folder / kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated.zip", "truncated.zip"),
        ("notazip.zip", "not a whole zip"),
        ("empty.csv", "empty"),
        ("ragged.csv", "fields"),
        ("nan.csv", "nan"),
        ("range.csv", "11"),
        ("folder", "ratings.csv"),
        ("wrongsum.zip", "ml-1m"),
        ("offline", "RECENGINE_MIRROR"),
    ],
)
def test_a_source_that_cannot_be_loaded_exits_2_with_one_line(
    kind: str, message: str, tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    given = spoil(kind, tmp_path)
    monkeypatch.setenv("RECENGINE_MIRROR", str(tmp_path))
    for name, source in SOURCES.items():  # nothing listens on port 9 of this machine
        if source.addresses:
            monkeypatch.setitem(SOURCES, name, replace(source, addresses=(f"https://127.0.0.1:9/{name}.zip",)))
    assert main(["train", "popularity", "--dataset", given, "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert "Traceback" not in err
    assert not [path for path in fresh_home.rglob("*") if path.is_file()]


def test_what_counts_as_liked_follows_from_the_scale_on_the_command_line_as_in_the_app(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{user},{item},{1 + (user * item) % 10}" for user in range(40) for item in range(20)]
    (tmp_path / "ten.csv").write_text("userId,movieId,rating\n" + "\n".join(rows) + "\n")
    data = load_dataset(tmp_path / "ten.csv")
    assert data.like_threshold == 7.75  # three quarters of the way from 1 to 10
    command = ["evaluate", "popularity", "--dataset", str(tmp_path / "ten.csv"), "--split", "leave-last"]
    assert main([*command, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["split"]["positive"] == 7.75
