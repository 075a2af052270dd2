"""Data sets by name, path or upload: what there is, what is here, and `load_dataset`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from recengine import settings
from recengine.data.dataset import Dataset, build_dataset
from recengine.data.download import OnProgress, download
from recengine.data.readers.archive import MEMBER_LIMIT, UPLOAD_LIMIT, Folder, Upload, Zip
from recengine.data.readers.movielens import EDITIONS, Edition, edition_of, load_edition, problem_with
from recengine.data.readers.sessions import is_session_folder, load_sessions
from recengine.data.readers.tabular import load_layout, load_single
from recengine.data.sample.build import LICENCE, sample_dataset
from recengine.errors import BadInput, suggest

OFFICIAL = "https://files.grouplens.org/datasets/movielens"
HUGGING_FACE = "https://huggingface.co/datasets/Recommenders/MovieLens/resolve/main"


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a registered data set before it is loaded; `size` is that of its zip in bytes."""

    name: str
    title: str
    size: int
    n_ratings: int
    n_users: int
    n_items: int
    licence: str
    present: bool
    description: str


def list_datasets() -> list[DatasetInfo]:
    """Return the registered data sets, the embedded sample first."""
    sample = DatasetInfo(
        "sample",
        "RecEngine sample",
        0,
        149_890,
        2_000,
        1_229,
        LICENCE,
        True,
        "Real films, simulated audience; comes with the package.",
    )
    return [sample, *(_info(edition) for edition in EDITIONS.values())]


def is_present(name: str) -> bool:
    """Say whether a registered data set can be loaded without fetching it; BadInput for an unknown name."""
    return name == "sample" or _here(_edition(name).name) is not None


def fetch(name: str, on_progress: OnProgress | None = None) -> Path:
    """Return the path of a registered data set's genuine zip, fetching it when it is not here.

    Tried in turn: the mirror, the cache, GroupLens, Hugging Face. A mirror folder is read in place. The sample
    needs no fetching: its path is that of the package's data. `on_progress(done_bytes, total_bytes)` may raise
    to cancel. Raises BadInput with the remedy when a mirror's file is not genuine or no address delivers.
    """
    if name == "sample":
        return Path(__file__).parent
    edition = _edition(name)
    here = _here(name)
    if here and problem_with(edition, here, here.name) is None:
        return here
    target = _cache() / f"{name}.zip"
    if here and here != target:
        raise _not_genuine(edition, here)
    mirror = settings.mirror() or ""
    if mirror and "://" not in mirror and not Path(mirror).expanduser().is_dir():
        raise BadInput(f"RECENGINE_MIRROR is {mirror!r}, which is no folder; correct it or leave it unset")
    bases = [mirror.rstrip("/")] if "://" in mirror else []
    bases += [OFFICIAL, HUGGING_FACE] if edition.at_hugging_face else [OFFICIAL]
    return download(
        [f"{base}/{name}.zip" for base in bases],
        target,
        size=edition.size,
        limit=2 * edition.size if edition.rolling or edition.members else edition.size,
        problem_with=lambda path: problem_with(edition, path, path.name),
        on_progress=on_progress,
    )


def load_dataset(name: str | Path, *, on_progress: OnProgress | None = None, min_ratings_per_user: int = 0) -> Dataset:
    """Load a data set by its registered name, by path, or by the stem of a zip in the mirror folder.

    A path is a folder or zip in the tabular layout, a folder of Yoochoose or trivago sessions, a genuine MovieLens
    zip, or one CSV: a rating per row (userId,movieId,rating[,timestamp]) or a user per row and an item per column.
    A registered set that is not here is fetched first, with `on_progress(done_bytes, total_bytes)`; ask `is_present`
    to say so beforehand.
    Users with fewer than `min_ratings_per_user` are dropped, which the cleaning report says.
    Raises BadInput, with the remedy, for what is unknown, damaged, in no known layout or cannot be fetched.
    """
    text = str(name)
    if text == "sample":
        return _with_minimum(sample_dataset(), min_ratings_per_user)
    if text in EDITIONS:
        path = _here(text) or fetch(text, on_progress)
        edition = EDITIONS[text]
        if problem_with(edition, path, str(path)) is not None:
            raise _not_genuine(edition, path)
        return load_edition(edition, Zip(str(path), path), min_ratings_per_user=min_ratings_per_user)
    path = _path_of(text)
    if path.is_dir() and is_session_folder(path):
        return load_sessions(path, min_ratings_per_user=min_ratings_per_user)
    if path.is_dir():
        _refuse_other_layouts(Folder(path))
        return load_layout(path.name, Folder(path), min_ratings_per_user=min_ratings_per_user)
    if _is_zip(path):
        return _load_zip(path.stem, str(path), path, min_ratings_per_user=min_ratings_per_user)
    return load_single(path.stem, Folder(path.parent), path.name, min_ratings_per_user=min_ratings_per_user)


def load_upload(filename: str, content: bytes, *, unpacked_limit: int = UPLOAD_LIMIT) -> Dataset:
    """Load an upload: one CSV, a zip in the tabular layout, or a genuine MovieLens zip.

    unpacked_limit : bytes that a zip may unpack to

    Whatever the bytes, the result is a data set or BadInput with one sentence.
    """
    label = "".join(c for c in PurePosixPath(filename.replace("\\", "/")).name if c.isprintable())[-80:] or "upload"
    name = Path(label).stem
    if not content:
        raise BadInput(f"{label} is empty; choose a CSV or a zip with ratings in it")
    if content.startswith(b"PK\x03\x04") or label.lower().endswith(".zip"):
        return _load_zip(name, label, content, limit=unpacked_limit)
    return load_single(name, Upload(label, content), label)


def _path_of(text: str) -> Path:
    """Return the file or folder that a text means: a path, or the stem of a zip in the mirror or cache."""
    try:
        path = Path(text).expanduser()
        if text and path.exists():
            return path
        found = None if {"/", "\\"} & set(text) else _here(text)
    except (OSError, ValueError, RuntimeError):  # too long, not allowed, no such home
        found = None
    if found is None:
        raise _unknown(text)
    return found


def _load_zip(
    name: str, label: str, source: Path | bytes, *, limit: int = MEMBER_LIMIT, min_ratings_per_user: int = 0
) -> Dataset:
    edition = edition_of(source, label)
    if edition:
        return load_edition(edition, Zip(label, source), min_ratings_per_user=min_ratings_per_user)
    files = Zip(label, source, limit)
    _refuse_other_layouts(files)
    return load_layout(name, files, min_ratings_per_user=min_ratings_per_user)


def _refuse_other_layouts(files: Folder | Zip) -> None:
    """Raise BadInput for what looks like MovieLens 100K, 1M or 10M without being a published zip."""
    if "ratings.csv" not in files and ("u.data" in files or "ratings.dat" in files):
        raise BadInput(
            f"{files.label} is laid out like MovieLens 100K, 1M or 10M but is not the zip that was published "
            "(its checksum is compared); download that zip again"
        )


def _with_minimum(data: Dataset, minimum: int) -> Dataset:
    """Return the data set without the users who have fewer ratings than `minimum`."""
    r = data.ratings
    if minimum < 2 or r.user_counts.min() >= minimum:
        return data
    ratings = pd.DataFrame(
        {
            "user_id": data.user_ids[r.user_idx],
            "item_id": data.item_ids[r.item_idx],
            "rating": r.rating,
            "timestamp": r.timestamp,
        }
    )
    return build_dataset(
        data.name,
        ratings,
        data.items,
        data.users,
        min_ratings_per_user=minimum,
        notes=data.cleaning.notes,
        licence=data.licence,
        simulated=data.simulated,
    )


def _info(edition: Edition) -> DatasetInfo:
    checked = "" if edition.verified else " Checksum from public records, unverified here."
    return DatasetInfo(
        name=edition.name,
        title=edition.title,
        size=edition.size,
        n_ratings=edition.n_ratings,
        n_users=edition.n_users,
        n_items=edition.n_items,
        licence=edition.licence,
        present=_here(edition.name) is not None,
        description=f"{edition.n_ratings:,} real ratings of {edition.n_items:,} films.{checked}",
    )


def _edition(name: str) -> Edition:
    if name not in EDITIONS:
        raise _unknown(name)
    return EDITIONS[name]


def _unknown(name: str) -> BadInput:
    in_mirror = {path.stem for folder in _folders() for path in folder.glob("*.zip")}
    known = ["sample", *EDITIONS, *sorted(in_mirror - EDITIONS.keys())]
    if Path(name).suffix or {"/", "\\"} & set(name):
        return BadInput(f"there is no file or folder {name!r}; check the path, or choose one of {', '.join(known)}")
    return BadInput(
        f"data set {name!r} is unknown{suggest(name, known)}; choose one of {', '.join(known)}, or give a path"
    )


def _not_genuine(edition: Edition, path: Path) -> BadInput:
    problem = problem_with(edition, path, path.name)
    if edition.rolling:
        return BadInput(
            f"{path} is not the {edition.name} known here ({problem}); to confirm that you want it, copy it "
            "under another name and load it by its path"
        )
    return BadInput(
        f"{path} is not the published {edition.name} ({problem}); fetch it again with "
        f"`python -m recengine datasets fetch {edition.name}`, or replace the file"
    )


def _cache() -> Path:
    return settings.home() / "data"


def _folders() -> list[Path]:
    """Return the mirror when it is a folder, and the cache."""
    mirror = settings.mirror()
    return [Path(mirror).expanduser(), _cache()] if mirror and "://" not in mirror else [_cache()]


def _here(name: str) -> Path | None:
    """Return the zip of that stem in the mirror folder, else in the cache, else None."""
    return next((path for folder in _folders() if (path := folder / f"{name}.zip").is_file()), None)


def _is_zip(path: Path) -> bool:
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError as fault:
        raise BadInput(f"{path} cannot be read ({fault.strerror}); check it and try again") from fault
