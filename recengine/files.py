"""Files: read with a sentence when that fails, and written atomically."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
import stat
import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeAlias

from recengine.errors import BadInput

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A value that JSON can hold, as a record's `to_dict` makes it."""
JsonObject: TypeAlias = Mapping[str, Any]
"""An object as `json.loads` returns it: nothing is known of its values until a record's `from_dict` has read them."""
_DESCRIPTOR = re.compile(r"/dev/std(in|out|err)|/(?:dev|proc/self)/fd/(\d+)")
STANDARD_OUTPUT = 1
"""The number of the open file that is standard output."""
_LINKS = 40
"""Links that are followed, as many as Linux follows."""


def read_input(path: Path) -> bytes:
    """Return the content of a file that the user named; BadInput where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise BadInput(str(path), remedy="name a file that is there", problem=problem) from None


def sync(path: Path) -> None:
    """Wait until a file's or a folder's bytes are on the disk. (Windows cannot sync a folder.)"""
    if os.name != "posix" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `target` atomically when the block ends without an error.

    A link stays, and what it names is replaced; a file that is replaced hands on its mode and owner. What cannot be
    replaced, a pipe, a device or an open file such as /dev/stdout, is written into.
    """
    if (opened := _open_in_place(target)) is not None:
        with opened:
            yield opened
        return
    target = target.resolve()
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")  # short: the name of the target may be as long as can be
    try:
        with temporary.open("xb") as file:
            yield file
        sync(temporary)
        with suppress(FileNotFoundError):
            _hand_on(target.stat(), temporary)
        _replace(temporary, target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def open_descriptor(target: Path) -> int | None:
    """Return the number of the open file that a path such as /dev/stdout or /dev/fd/3 names, links to it included."""
    for _ in range(_LINKS):
        if match := _DESCRIPTOR.fullmatch(str(target)):
            return {"in": 0, "out": 1, "err": 2}.get(match[1] or "", int(match[2] or 0))
        if not target.is_symlink():
            break
        target = target.parent / target.readlink()
    return None


def _open_in_place(target: Path) -> BinaryIO | None:
    """Return what is written into since it cannot be replaced, or None for a file, there or not."""
    descriptor = open_descriptor(target)
    if descriptor is not None:  # opened by its name, a file would be cut off, and a socket refused
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return os.fdopen(os.dup(descriptor), "wb")
    fixed = target.exists() and not (target.is_file() and os.access(target.resolve().parent, os.W_OK))
    return target.open("wb") if fixed else None


def _replace(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EPERM):
            raise
        shutil.copyfile(temporary, target)  # a file that is mounted by itself, as into a container, keeps its name


def _hand_on(replaced: os.stat_result, temporary: Path) -> None:
    """Give a file the owner, as far as that is allowed, and the mode of the one that it replaces."""
    if os.name == "posix":
        with suppress(PermissionError):
            os.chown(temporary, replaced.st_uid, replaced.st_gid)
    temporary.chmod(stat.S_IMODE(replaced.st_mode))


@contextmanager
def atomic_text_file(target: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces `target` like `atomic_file`; line ends are written as they are."""
    with atomic_file(target) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield text


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Make a folder of files that replaces `target` when the block ends without an error; a crash leaves either whole.

    Between two renames `target` is missing: a reader looks among `replaced_versions` then.
    """
    temporary = _hidden(target, "tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in (*temporary.iterdir(), temporary):
            sync(path)
        if target.exists():
            target.rename(_hidden(target, "old"))
        temporary.rename(target)
        sync(target.parent)
        for old in replaced_versions(target):
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def zip_of(folder: Path) -> bytes:
    """Return the files directly in a folder, and their names, as a zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return packed.getvalue()


def replaced_versions(target: Path) -> Iterator[Path]:
    """Return the folders that a new `target` is replacing, or was when its process died."""
    return target.parent.glob(f".{target.name}.*.old")


def remove_folder(target: Path) -> None:
    """Remove a folder at once: it has no name any more before its files go."""
    old = target.rename(_hidden(target, "tmp"))
    shutil.rmtree(old, ignore_errors=True)


def _hidden(target: Path, ending: str) -> Path:
    """Return a new hidden name next to `target`."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.{ending}")


def sha256_of(source: Path | bytes) -> str:
    """Return the sha256 of a file or of bytes, in hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
