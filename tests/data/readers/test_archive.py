"""Zips are read in place, by known names only, and never trusted about their size."""

import random
import zipfile
from pathlib import Path

import pytest

from recengine.data.readers import archive
from recengine.data.readers.archive import Folder, Zip, read
from recengine.data.sources import load_dataset, load_upload
from recengine.errors import BadInput
from tests.support.archives import zipped

RATINGS = b"userId,movieId,rating\n" + b"".join(b"%d,%d,4\n" % (i, i * 7919 % 997) for i in range(400))


def test_only_known_names_of_the_folder_with_the_ratings_are_seen() -> None:
    made = zipped({"a/ratings.csv": RATINGS, "a/secret": b"x", "b/movies.csv": b"x", "b/c/ratings.csv": b"y"})
    files = Zip("a.zip", made)
    assert set(files.members) == {"ratings.csv"}
    assert read(files, "ratings.csv") == RATINGS
    assert "secret" not in files


def test_nothing_is_written_when_a_zip_names_a_path_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "evil.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("../../ratings.csv", RATINGS)
    assert len(load_dataset(path).ratings) == 400
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "evil.zip"]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"plain text", zipped({"ratings.csv": RATINGS})[:-30]],
    ids=["empty", "a beginning", "a text", "cut off"],
)
def test_what_is_no_whole_zip_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"mine\.zip is not a whole zip file"):
        load_dataset(path)
    with pytest.raises(BadInput, match=r"mine\.zip is (not a whole zip file|empty)"):
        load_upload("mine.zip", content)


def test_a_damaged_member_is_refused_by_name() -> None:
    made = bytearray(zipped({"ratings.csv": RATINGS}))
    made[len(made) // 2] ^= 0xFF
    with pytest.raises(BadInput, match=r"ratings\.csv in mine\.zip is damaged"):
        load_upload("mine.zip", bytes(made))


def test_a_bomb_is_stopped_by_what_it_unpacks_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused for what it says it holds, and if it lies, for what comes out of it."""
    monkeypatch.setattr(archive, "FREE", 1 << 12)
    monkeypatch.setattr(archive, "BLOCK", 1 << 12)
    bomb = Zip("bomb.zip", zipped({"ratings.csv": b"0" * (1 << 20)}))
    seen: list[int] = []
    with pytest.raises(BadInput, match="1,048,576 bytes or more, beyond what is allowed"):
        seen.extend(len(block) for block in bomb.blocks("ratings.csv"))
    assert seen == []
    (liar := Zip("bomb.zip", zipped({"ratings.csv": b"0" * (1 << 20)}))).members["ratings.csv"].file_size = 20_000
    with pytest.raises(BadInput, match="is damaged"):
        seen.extend(len(block) for block in liar.blocks("ratings.csv"))
    assert sum(seen) <= 20_000


def test_the_limit_counts_all_members_together() -> None:
    noise = random.Random(0).randbytes(6000)
    made = zipped({"ratings.csv": noise, "movies.csv": noise})
    files = Zip("big.zip", made, limit=10_000)
    assert len(read(files, "ratings.csv")) == len(read(files, "ratings.csv")) == 6000  # reading again is free
    with pytest.raises(BadInput, match="10,000 in all"):
        read(files, "movies.csv")


def test_an_encrypted_member_is_refused() -> None:
    made = bytearray(zipped({"ratings.csv": RATINGS}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        made[made.index(mark) + offset] |= 1
    with pytest.raises(BadInput, match=r"damaged.*(encrypted|password)"):
        load_upload("mine.zip", bytes(made))


def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ratings\.csv cannot be read"):
        read(Folder(tmp_path), "ratings.csv")
