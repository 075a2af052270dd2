"""`Files`: what a folder, a zip or an upload holds, read in blocks; a zip is never extracted and never trusted."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from recengine.errors import BadInput

BLOCK = 1 << 24
KNOWN = frozenset(
    [f"{table}.{kind}" for table in ("ratings", "movies", "links", "tags", "users") for kind in ("csv", "dat")]
    + ["u.data", "u.item", "u.user", "u.genre"]
    + [f"u{split}.{part}" for split in "12345ab" for part in ("base", "test")]
)
"""The only names that are ever read from an archive of a data set."""
RATINGS = frozenset(["ratings.csv", "ratings.dat", "u.data"])

MEMBER_LIMIT = 4 << 30
UPLOAD_LIMIT = 600 << 20
"""Bytes that an upload may unpack to."""
RATIO_LIMIT = 20
"""Times its packed size that a member may unpack to, once that is more than `FREE`; ratings pack five times or so."""
FREE = 64 << 20
MOST_MEMBERS = 10_000
_GZIP = zlib.MAX_WBITS | 16
"""Tells zlib that a gzip header stands in front."""
GZIP = b"\x1f\x8b"
_ZIPS = b"PK\x03\x04", b"PK\x05\x06"
"""The first bytes of a zip, and of one without files."""
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted
    NotImplementedError,  # an unusual compression
    ValueError,
    LookupError,
    struct.error,
)


class Files(Protocol):
    """Named contents: a folder's, a zip's or one upload's."""

    @property
    def label(self) -> str:
        """Return the name that messages give it."""
        ...

    def __contains__(self, member: str) -> bool: ...

    def blocks(self, member: str) -> Iterator[bytes]:
        """Return the member's bytes in blocks, from the beginning each time."""
        ...


def is_zip(source: Path | bytes, name: str) -> bool:
    """Tell whether a file or an upload is a zip, by its name or its first bytes."""
    if name.lower().endswith(".zip"):
        return True
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            return stream.read(4) in _ZIPS
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise BadInput(str(source), problem=problem, remedy="check it and try again") from error


def upload_label(filename: str) -> str:
    """Return what messages call an upload: the last part of its name, without control characters, 80 at most."""
    name = PurePosixPath(filename.replace("\\", "/")).name
    return "".join(c for c in name if c.isprintable())[-80:] or "upload"


def label_of(files: Files, member: str) -> str:
    """Return what messages call a member."""
    return member if member == files.label else f"{member} in {files.label}"


def read(files: Files, member: str) -> bytes:
    """Return all bytes of a member."""
    return b"".join(files.blocks(member))


def seekable(files: Files, member: str) -> IO[bytes]:
    """Open a member to read it here and there: what has to be unpacked goes to a temporary file, not to memory."""
    if isinstance(files, Folder):
        return files.open(member)
    if isinstance(files, Upload):
        return io.BytesIO(files.content)
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    for block in files.blocks(member):
        unpacked.write(block)
    unpacked.seek(0)
    return unpacked


class Folder:
    """The files directly in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = str(path)

    def __contains__(self, member: str) -> bool:
        return self._file(member).is_file()

    def _file(self, member: str) -> Path:
        """Return the path of a member; `Ratings.csv` is ratings.csv, unless both are there."""
        path = self.path / member
        if member in KNOWN and not path.exists() and self.path.is_dir():
            return min((other for other in self.path.iterdir() if other.name.lower() == member), default=path)
        return path

    def open(self, member: str) -> IO[bytes]:
        return self._file(member).open("rb")

    def blocks(self, member: str) -> Iterator[bytes]:
        try:
            with self.open(member) as stream:
                while block := stream.read(BLOCK):
                    yield block
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise BadInput(str(self.path / member), remedy="check it and try again", problem=problem) from error


class Upload:
    """One file's content in memory, whatever the member's name."""

    def __init__(self, label: str, content: bytes) -> None:
        self.label = label
        self.content = content

    def __contains__(self, member: str) -> bool:
        return True

    def blocks(self, member: str) -> Iterator[bytes]:
        yield self.content


class Gunzipped:
    """The files of a source that are packed with gzip, unpacked; `limit` caps the bytes that come out of each."""

    def __init__(self, files: Files, limit: int = MEMBER_LIMIT) -> None:
        self.files, self.label, self.limit = files, files.label, limit

    def __contains__(self, member: str) -> bool:
        return member in self.files

    def blocks(self, member: str) -> Iterator[bytes]:
        packed = unpacked = 0
        stream = zlib.decompressobj(_GZIP)
        problem = "it ends early"
        try:
            for block in self.files.blocks(member):
                packed += len(block)
                while block:
                    out = stream.decompress(block, BLOCK)
                    unpacked += len(out)
                    if unpacked > min(self.limit, max(FREE, RATIO_LIMIT * packed)):
                        raise _too_large(self.label, unpacked, self.limit, "send the plain file")
                    if out:
                        yield out
                    block = stream.unconsumed_tail
                    if stream.eof:  # another may follow in the same file
                        block, stream, problem = stream.unused_data, zlib.decompressobj(_GZIP), ""
                    else:
                        problem = "it ends early"
        except zlib.error as error:
            problem = _message(error)
        if problem:
            raise BadInput(self.label, remedy="pack it again", problem=f"is damaged ({problem})")


class Zip:
    """The known members of a zip, all from the one folder of it that holds the ratings.

    limit : of the bytes unpacked from all members, counted as they come, whatever the archive claims
    known : the only paths in that folder that are read, in lower case
    first : those of which one at least must be there
    """

    def __init__(
        self,
        label: str,
        source: Path | bytes,
        limit: int = MEMBER_LIMIT,
        *,
        known: Collection[str] = KNOWN,
        first: Collection[str] = RATINGS,
    ) -> None:
        self.label = label
        self.limit = limit
        self._source = source
        try:
            with zipfile.ZipFile(self._open()) as archive:
                members = [info for info in archive.infolist() if not info.is_dir()]
        except _ERRORS as error:
            problem = f"is not a whole zip file ({_message(error)})"
            raise BadInput(label, remedy="download or export it again", problem=problem) from error
        if not members:
            raise BadInput("This zip", problem="is empty", remedy=f"download or export {label} again")
        if len(members) > MOST_MEMBERS:
            raise BadInput(label, None, "ratings.csv and a few other files", problem=f"holds {len(members):,} files")
        by_folder: dict[PurePosixPath, dict[str, zipfile.ZipInfo]] = {}
        for info in members:
            path = PurePosixPath(info.filename.replace("\\", "/"))
            for folder in path.parents[:2] if "__MACOSX" not in path.parts else ():
                if (name := str(path.relative_to(folder)).lower()) in known:
                    by_folder.setdefault(folder, {})[name] = info
        rated = [p for p, names in by_folder.items() if names.keys() & set(first)]
        self.members = by_folder[min(rated, key=lambda p: (len(p.parts), str(p)))] if rated else {}
        self._unpacked: dict[str, int] = {}

    def _open(self) -> IO[bytes]:
        return io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def __contains__(self, member: str) -> bool:
        return member in self.members

    def blocks(self, member: str) -> Iterator[bytes]:
        info, done = self.members[member], 0
        self._check(member, info.file_size)  # the size that it claims
        try:
            with self._open() as raw, zipfile.ZipFile(raw) as archive, archive.open(info) as stream:
                while block := stream.read(BLOCK):
                    done += len(block)
                    self._check(member, done)
                    yield block
        except BadInput:
            raise
        except _ERRORS as error:
            problem = f"is damaged ({_message(error)})"
            field = f"{member} in {self.label}"
            raise BadInput(field, remedy="download or export the file again", problem=problem) from error

    def _check(self, member: str, size: int) -> None:
        """Raise BadInput if a member of that size, with what was unpacked before, is more than is allowed."""
        self._unpacked[member] = size
        packed_too_well = size > max(FREE, RATIO_LIMIT * self.members[member].compress_size)
        if packed_too_well or sum(self._unpacked.values()) > self.limit:
            raise _too_large(f"{member} in {self.label}", size, self.limit, "send the plain CSV")


def _too_large(label: str, size: int, limit: int, remedy: str) -> BadInput:
    allowed = f"({limit:,} in all, {RATIO_LIMIT} times the packed size)"
    problem = f"unpacks to {size:,} bytes or more, beyond what is allowed {allowed}"
    return BadInput(label, remedy=remedy, problem=problem)


def _message(error: Exception) -> str:
    """Return the message of an error, shortened where it quotes the file at length."""
    text = str(error)
    return text if len(text) <= 200 else f"{text[:100]} … {text[-80:]}"
