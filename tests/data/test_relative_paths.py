"""A data set is called as its folder or file is, however the way to it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from recengine.data.sources import load_dataset

CSV = "userId,movieId,rating\n" + "".join(f"{user},{item},{1 + user % 5}\n" for user in range(4) for item in range(3))


@pytest.mark.parametrize(
    "way", [".", "./", "./.", "below/..", "../films", "../films/.", "../films/below/..", "../link"]
)
def test_the_name_is_that_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    (tmp_path / "films" / "below").mkdir(parents=True)
    (tmp_path / "films" / "ratings.csv").write_text(CSV)
    (tmp_path / "link").symlink_to("films")
    monkeypatch.chdir(tmp_path / "films")
    assert load_dataset(way).name == ("link" if way == "../link" else "films")
    monkeypatch.chdir(tmp_path / "films" / "below")
    assert load_dataset("..").name == "films"
    assert load_dataset("../ratings.csv").name == "ratings"
