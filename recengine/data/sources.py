"""The registry of data sets, and loading one by name, by path or from an upload."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from recengine import settings
from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.download import OnProgress, download
from recengine.data.readers import movielens
from recengine.data.readers.archive import (
    GZIP,
    MEMBER_LIMIT,
    UPLOAD_LIMIT,
    Files,
    Folder,
    Gunzipped,
    Upload,
    Zip,
    is_zip,
    upload_label,
)
from recengine.data.readers.sessions import is_session_folder, load_sessions
from recengine.data.readers.tabular import described_items, load_layout, load_single
from recengine.data.readers.typed import read_frame
from recengine.data.reading import Interpretation, Reading
from recengine.data.sample.build import SAMPLE
from recengine.data.source import DatasetSource
from recengine.errors import BadInput, suggest

SOURCES: dict[str, DatasetSource] = {source.name: source for source in (SAMPLE, *movielens.SOURCES)}
"""Every data set that has a name, the embedded one first. A new one needs the file of its reader and a line here."""


UPLOAD_SUFFIXES = ("csv", "tsv", "txt", "inter", "jsonl", "json", "parquet", "gz", "zip")
"""What an upload may be called; its content tells what it is."""


def source_of(name: str) -> DatasetSource:
    """Return a registered data set's source; BadInput names the closest one."""
    if name not in SOURCES:
        raise _unknown(name)
    return SOURCES[name]


def is_present(name: str) -> bool:
    """Tell whether a registered data set can be loaded without fetching it; BadInput for an unknown name."""
    return not source_of(name).addresses or _local_zip(name) is not None


def fetch(name: str, on_progress: OnProgress | None = None) -> Path:
    """Return the path of a registered data set's genuine zip, fetching it when it is not here.

    Tried in turn: the mirror, the cache, the source's addresses. A mirror folder is read in place. What comes with
    the package needs no fetching: its path is that of the package's data. `on_progress(done_bytes, total_bytes)` may
    raise to cancel. Raises BadInput with the remedy when a mirror's file is not genuine or no address delivers.
    """
    source = source_of(name)
    if not source.addresses:
        return Path(__file__).parent
    local = _local_zip(name)
    if local and source.problem_with(local, local.name) is None:
        return local
    target = _cache() / f"{name}.zip"
    if local and local != target:
        raise _not_genuine(source, local)
    mirror = settings.mirror() or ""
    if mirror and "://" not in mirror and not Path(mirror).expanduser().is_dir():
        raise BadInput("RECENGINE_MIRROR", mirror, remedy="correct it or leave it unset", problem="is not a folder")
    mirrored = [f"{mirror.rstrip('/')}/{name}.zip"] if "://" in mirror else []
    return download(
        [*mirrored, *source.addresses],
        target,
        size=source.size,
        limit=2 * source.size if source.rolling or source.members else source.size,
        problem_with=lambda path: source.problem_with(path, path.name),
        on_progress=on_progress,
    )


def load_dataset(name: str | Path, *, reading: Reading | None = None, on_progress: OnProgress | None = None) -> Dataset:
    """Load a data set by its registered name, by path, or by the stem of a zip in the mirror folder.

    A path is a folder or zip in the tabular layout, a folder of Yoochoose or trivago sessions, a genuine zip of a
    registered data set, or one file: delimited text with a rating or an event per row, or with a user per row and an
    item per column, JSON lines or parquet, each perhaps packed with gzip. `reading` states how the ratings are to be
    read; what it leaves open is inferred, and the data set carries the result. A registered set that is not here is
    fetched first, with `on_progress(done_bytes, total_bytes)`; ask `is_present` to announce it. Raises BadInput, with
    the remedy, for what is unknown, damaged, in no known layout, may be read in several ways, or cannot be fetched.
    """
    text = str(name)
    if text in SOURCES:
        _refuse_reading(reading, text)
        return _load_source(SOURCES[text], on_progress)
    path = _path_of(text)
    if path.name in ("", ".."):  # "." is called as it is called elsewhere
        path = path.resolve()
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        problem = "is a folder that may not be read"
        raise BadInput("dataset", text, remedy="allow it, or choose another", problem=problem)
    if path.is_dir() and is_session_folder(path):
        _refuse_reading(reading, text)
        return load_sessions(path)
    name = path.name or path.resolve().name
    if path.is_dir():
        _refuse_other_layouts(Folder(path))
        return load_layout(name, Folder(path), reading=reading)
    if is_zip(path, path.name):
        return _load_zip(path.stem, str(path), path, reading=reading)
    return _load_file(path.name, Folder(path.parent), MEMBER_LIMIT, reading)


def _load_file(member: str, files: Files, limit: int, reading: Reading | None) -> Dataset:
    """Load a single file, unpacked first where it is packed with gzip."""
    if next(files.blocks(member), b"").startswith(GZIP):
        files = Gunzipped(files, limit)
    name = member[: -len(".gz")] if member.lower().endswith(".gz") else member
    return load_single(Path(name).stem, files, member, reading=reading)


def _refuse_reading(reading: Reading | None, name: str) -> None:
    """Raise BadInput for options of reading with data whose form is known."""
    if reading is not None and (stated := reading.texts()):
        option, text = next(iter(stated.items()))
        problem = f"is not for {name}, whose form is known"
        raise BadInput(option, text, remedy="leave it out", problem=problem)


def _load_source(source: DatasetSource, on_progress: OnProgress | None) -> Dataset:
    if not source.addresses:
        return source.reader(source, None)
    path = _local_zip(source.name) or fetch(source.name, on_progress)
    if source.problem_with(path, str(path)) is not None:
        raise _not_genuine(source, path)
    return source.reader(source, Zip(str(path), path))


def load_upload(
    filename: str, content: bytes, *, reading: Reading | None = None, unpacked_limit: int = UPLOAD_LIMIT
) -> Dataset:
    """Load an upload: whatever `load_dataset` takes as one file or a zip.

    reading        : how the ratings are to be read; what it leaves open is inferred
    unpacked_limit : bytes that a zip or a file packed with gzip may unpack to

    Whatever the bytes, the result is a data set or BadInput with one sentence.
    """
    label = upload_label(filename)
    if not content:
        raise BadInput(label, problem="is empty", remedy="choose a CSV or a zip with ratings in it")
    if is_zip(content, label):
        return _load_zip(Path(label).stem, label, content, limit=unpacked_limit, reading=reading)
    return _load_file(label, Upload(label, content), unpacked_limit, reading)


def from_frame(
    frame: pd.DataFrame,
    *,
    name: str = "frame",
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Make a data set of a frame of ratings or events; numeric ids stay numbers and text stays as it is.

    items, users : further columns, by `item_id` and `user_id`
    reading      : how the frame is to be read; what it leaves open is inferred

    Raises BadInput, naming the row, for what cannot be read, and where two readings are plausible.
    """
    interpretation = Interpretation(reading)
    ratings, described = read_frame(name, frame, interpretation)
    return build_dataset(
        name,
        ratings,
        described_items(ratings["item_id"], described, interpretation.notes) if items is None else items,
        users,
        interpretation=interpretation,
    )


def _path_of(text: str) -> Path:
    """Return the file or folder that a text means: a path, or the stem of a zip in the mirror or cache."""
    try:
        path = Path(text).expanduser()
        if text and path.exists():
            return path
        local = None if {"/", "\\"} & set(text) else _local_zip(text)
    except (OSError, ValueError, RuntimeError):  # too long, not allowed, no such home
        local = None
    if local is None:
        raise _unknown(text)
    return local


def _load_zip(
    name: str, label: str, file: Path | bytes, *, reading: Reading | None, limit: int = MEMBER_LIMIT
) -> Dataset:
    """Load a zip: as the registered data set that it is a genuine copy of, whatever its name, or by its layout."""
    for source in SOURCES.values():
        if source.may_be(file, label) and source.problem_with(file, label) is None:
            _refuse_reading(reading, source.name)
            return source.reader(source, Zip(label, file))
    files = Zip(label, file, limit)
    _refuse_other_layouts(files)
    return load_layout(name, files, reading=reading)


def _refuse_other_layouts(files: Folder | Zip) -> None:
    """Raise BadInput for what looks like MovieLens 100K, 1M or 10M without being a published zip."""
    if "ratings.csv" not in files and ("u.data" in files or "ratings.dat" in files):
        problem = (
            "is laid out like MovieLens 100K, 1M or 10M but is not the zip that was published (its checksum differs)"
        )
        raise BadInput(files.label, problem=problem, remedy="download that zip again")


def _unknown(name: str) -> BadInput:
    in_mirror = {path.stem for folder in _folders() for path in folder.glob("*.zip")}
    known = [*SOURCES, *sorted(in_mirror - SOURCES.keys())]
    if Path(name).suffix or {"/", "\\"} & set(name):
        remedy = f"check the path, or choose one of {', '.join(known)}"
        return BadInput("dataset", name, remedy=remedy, problem="is not a file or folder")
    return BadInput(
        "dataset",
        name,
        remedy=f"choose one of {', '.join(known)}, or give a path",
        problem=f"is unknown{suggest(name, known)}",
    )


def _not_genuine(source: DatasetSource, path: Path) -> BadInput:
    problem = source.problem_with(path, path.name)
    if source.rolling:
        remedy = "to confirm that you want it, copy it under another name and load it by its path"
        return BadInput(str(path), problem=f"is not the {source.name} known here ({problem})", remedy=remedy)
    remedy = f"fetch it again with `python -m recengine datasets fetch {source.name}`, or replace the file"
    return BadInput(str(path), problem=f"is not the published {source.name} ({problem})", remedy=remedy)


def _cache() -> Path:
    return settings.home() / "data"


def _folders() -> list[Path]:
    """Return the mirror when it is a folder, and the cache."""
    mirror = settings.mirror()
    return [Path(mirror).expanduser(), _cache()] if mirror and "://" not in mirror else [_cache()]


def _local_zip(name: str) -> Path | None:
    """Return the zip of that stem in the mirror folder, else in the cache, else None."""
    return next((path for folder in _folders() if (path := folder / f"{name}.zip").is_file()), None)
