"""Visitors' uploads: each in a folder that only its owner can open, named by the fingerprint of its content."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.readers.archive import upload_label
from recengine.data.reading import Reading
from recengine.files import atomic_folder

KEPT = 5
"""The number of uploads of a visitor that are kept, the latest ones."""
ROOM = 4 << 30
"""The most bytes of all uploads together; beyond it the oldest are deleted."""
PREFIX = "upload-"
_NOTE = "about.json"
_ID = re.compile(rf"{PREFIX}[0-9a-f]{{16,64}}")


class Upload(NamedTuple):
    """A file that a visitor uploaded, and how it is read.

    id    : its name in the address
    label : the file's name as its owner knows it
    """

    id: str
    label: str
    path: Path
    reading: Reading


def file_name(name: str) -> str:
    """Return the name under which an upload is kept: the given name, as far as every file system allows it."""
    plain = re.sub(r"[^\w .()+-]", "_", upload_label(name)).lstrip(". -")
    while len(plain.encode()) > 120:
        plain = plain[1:]
    return plain if plain and plain != _NOTE else f"upload-{plain}"


def keep(owner: str, name: str, content: bytes, dataset: Dataset) -> Upload:
    """Keep a file that was read as `dataset`; one of the same content is replaced, old ones beyond a limit go."""
    upload = Upload(PREFIX + dataset.fingerprint, upload_label(name), Path(file_name(name)), dataset.reading)
    note = {"label": upload.label, "reading": upload.reading.texts()}
    folder = _folder(owner) / upload.id
    with atomic_folder(folder) as new:
        (new / upload.path).write_bytes(content)
        (new / _NOTE).write_text(json.dumps(note, ensure_ascii=False), encoding="utf-8")
    for old in all_of(owner)[KEPT:]:
        forget(owner, old.id)
    _make_room(folder)
    return upload._replace(path=folder / upload.path)


def all_of(owner: str) -> list[Upload]:
    """Return the uploads of a visitor, the latest first."""
    try:
        folders = [path for path in _folder(owner).iterdir() if _ID.fullmatch(path.name)]
    except OSError:
        return []
    dated = [(folder.stat().st_mtime_ns, upload) for folder in folders if (upload := _read(folder))]
    return [upload for _, upload in sorted(dated, key=lambda pair: pair[0], reverse=True)]


def find(owner: str, id: str) -> Upload | None:
    """Return a visitor's upload, or None if they have none of that id."""
    return _read(_folder(owner) / id) if _ID.fullmatch(id) else None  # an id may come from an address


def forget(owner: str, id: str) -> None:
    """Delete a visitor's upload."""
    if _ID.fullmatch(id):
        shutil.rmtree(_folder(owner) / id, ignore_errors=True)


def move(owner: str, to: str) -> dict[str, str]:
    """Give all uploads of a visitor to another one, and return old path -> new path of their folders."""
    moved = {}
    for upload in all_of(owner):
        old, new = upload.path.parent, _folder(to) / upload.id
        new.parent.mkdir(parents=True, exist_ok=True)
        if new.exists():  # the same content
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(new)
        moved[str(old)] = str(new)
    return moved


def erase(owner: str) -> list[str]:
    """Delete all uploads of a visitor, whole or not, and return their ids."""
    ids = [upload.id for upload in all_of(owner)]
    shutil.rmtree(_folder(owner), ignore_errors=True)
    return ids


def _folder(owner: str) -> Path:
    return settings.home() / "uploads" / hashlib.sha256(owner.encode()).hexdigest()[:32]


def _read(folder: Path) -> Upload | None:
    """Return the upload in a folder, or None where it is being made or removed."""
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, StopIteration):
        path = next(path for path in folder.iterdir() if path.name != _NOTE)
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        return Upload(folder.name, str(note["label"]), path, Reading.of_texts(note["reading"]))
    return None


def _make_room(newest: Path) -> None:
    """Delete the oldest uploads of all visitors until they fit; never the newest."""
    folders = [path for path in newest.parent.parent.glob(f"*/{PREFIX}*") if path != newest]
    sizes: dict[Path, int] = {}
    for folder in [*folders, newest]:
        with suppress(OSError):
            sizes[folder] = sum(path.stat().st_size for path in folder.iterdir())
    room = ROOM - sum(sizes.values())
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns if path.exists() else 0):
        if room >= 0:
            return
        shutil.rmtree(folder, ignore_errors=True)
        room += sizes.get(folder, 0)
