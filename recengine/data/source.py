"""`DatasetSource`: all that is known of a registered data set before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from recengine.data.dataset import Dataset
from recengine.data.readers.archive import Files, Zip, read
from recengine.errors import BadInput
from recengine.files import sha256_of


class Reader(Protocol):
    """Reads the files of a source; `None` stands for what comes with the package."""

    def __call__(self, source: DatasetSource, files: Files | None, /) -> Dataset: ...


@dataclass(frozen=True)
class DatasetSource:
    """A data set by name: where its zip is, how a genuine one is known, who reads it, and its terms.

    addresses : of the zip, tried in turn after the mirror and the cache; none: it comes with the package
    size      : bytes of the zip; sha256 : of the zip, in hexadecimal digits
    members   : sha256 by member, for which a zip that was packed again is genuine too
    rolling   : the publisher replaces it now and then under the same name
    verified  : its checksum was compared with a real file, not only taken from public records
    """

    name: str
    title: str
    n_ratings: int
    n_users: int
    n_items: int
    licence: str
    citation: str
    reader: Reader
    addresses: tuple[str, ...] = ()
    size: int = 0
    sha256: str = ""
    members: Mapping[str, str] = field(default_factory=dict, repr=False)
    rolling: bool = False
    verified: bool = True

    @property
    def description(self) -> str:
        """Return a sentence on what it holds."""
        checked = "" if self.verified else " Checksum from public records, unverified here."
        return f"{self.n_ratings:,} ratings of {self.n_items:,} films by {self.n_users:,} users.{checked}"

    def problem_with(self, file: Path | bytes, label: str) -> str | None:
        """Return None for a genuine zip, else in a few words what is wrong with it.

        Genuine: the recorded size and sha256, or the recorded sha256 of every member that is read.
        """
        size = _size_of(file)
        if size == self.size and sha256_of(file) == self.sha256:
            return None
        if not self.members:
            wrong = f"its size is {size:,} bytes instead of {self.size:,}" if size != self.size else "wrong sha256"
            return f"{wrong}: it may be a new edition" if self.rolling else wrong
        try:
            archive = Zip(label, file)
            for member, expected in self.members.items():
                if member not in archive:
                    return f"it lacks {member}"
                if sha256_of(read(archive, member)) != expected:
                    return f"wrong sha256 of {member}"
        except BadInput as error:
            return str(error)
        return None

    def may_be(self, file: Path | bytes, label: str) -> bool:
        """Tell, without hashing, whether a zip may be a genuine one: by its size, or by holding all members."""
        if _size_of(file) == self.size:
            return True
        return bool(self.members) and all(member in Zip(label, file) for member in self.members)


def _size_of(file: Path | bytes) -> int:
    return len(file) if isinstance(file, bytes) else file.stat().st_size
