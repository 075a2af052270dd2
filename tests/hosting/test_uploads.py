"""Uploads of visitors: kept under their fingerprint, for their owner alone, never without end."""

from __future__ import annotations

import os

import pytest

from pages.hosting import uploads
from recengine.data.reading import Reading
from recengine.data.sources import load_dataset, load_upload

CSV = b"who,what,stars\nann,tea,5\nann,jam,2\nbob,tea,4\n"
READING = Reading(user="who", item="what", rating="stars")
pytestmark = pytest.mark.usefixtures("fresh_home")


def kept(owner: str, name: str = "shop.csv", content: bytes = CSV, reading: Reading | None = None) -> uploads.Upload:
    return uploads.keep(owner, name, content, load_upload(name, content, reading=reading))


def test_c01_an_upload_is_found_again_by_its_owner_alone_and_read_as_it_was() -> None:
    reading = Reading(user="who", item="what", rating="stars", scale=(1.0, 5.0))
    upload = kept("ann", reading=reading)
    assert uploads.find("ann", upload.id) == upload
    assert uploads.find("bob", upload.id) is None
    assert uploads.all_of("bob") == []
    again = load_dataset(upload.path, reading=upload.reading)
    assert upload.id == uploads.PREFIX + again.fingerprint
    assert again.rating_range == (1.0, 5.0)
    assert again.inferences == ()


def test_the_same_content_is_one_upload_and_only_the_latest_are_kept() -> None:
    kept("ann", "first.csv", reading=READING)
    kept("ann", "second.csv", reading=READING)
    assert [upload.label for upload in uploads.all_of("ann")] == ["second.csv"]
    for number in range(uploads.KEPT + 2):
        upload = kept("ann", f"{number}.csv", CSV + f"bob,jam{number},3\n".encode(), READING)
        os.utime(upload.path.parent, ns=(number, number))
    assert len(uploads.all_of("ann")) == uploads.KEPT


def test_the_oldest_go_when_all_uploads_together_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    old = kept("ann", reading=READING)
    os.utime(old.path.parent, ns=(1, 1))
    monkeypatch.setattr(uploads, "ROOM", 2 * len(CSV))
    new = kept("bob", "new.csv", CSV + b"bob,jam,3\n", READING)
    assert uploads.all_of("ann") == []
    assert uploads.all_of("bob") == [new]


@pytest.mark.parametrize("id", ["", "..", "upload-../../x", "upload-", "upload-zz", "sample", "upload-" + "a" * 32])
def test_an_id_from_an_address_names_nothing_else(id: str) -> None:
    kept("ann", reading=READING)
    assert uploads.find("ann", id) is None
    uploads.forget("ann", id)
    assert len(uploads.all_of("ann")) == 1


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "<img src=x>.csv", "-rf.csv", ".hidden", "about.json", "a" * 500 + ".csv", "ü 🍵.csv", ""],
)
def test_any_name_is_kept_as_a_plain_file(name: str) -> None:
    upload = uploads.keep("ann", name, CSV, load_upload("shop.csv", CSV, reading=READING))
    assert upload.path.read_bytes() == CSV
    assert upload.path.name[0] not in "-."
    assert uploads.find("ann", upload.id) == upload
