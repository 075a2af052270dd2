"""Zips and files made by tests."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path


def zipped(files: Mapping[str, str | bytes], **options: bool) -> bytes:
    """Return a zip of these members; `options` are `ZipFile`'s."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def written(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    """Return the path of a new file with this content, text as UTF-8."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
