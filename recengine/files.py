"""Files: read with a sentence when that fails, and written atomically."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from recengine.errors import BadInput


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


def put_in_place(temporary: Path, target: Path) -> None:
    """Give a finished file its name, so that a loss of power leaves the old state or the new one."""
    sync(temporary)
    temporary.chmod(0o644)
    os.replace(temporary, target)
    sync(target.parent)


@contextmanager
def whole_text_file(target: Path) -> Iterator[TextIO]:
    """Give a file to write; it gets its name only when the block ends without an error."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            yield file
        put_in_place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(source: Path | bytes) -> str:
    """Return the sha256 of a file or of bytes, in hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
