"""Zips made by tests."""

import io
import zipfile
from collections.abc import Mapping


def zipped(files: Mapping[str, str | bytes], **options: bool) -> bytes:
    """Return a zip of these members; `options` are `ZipFile`'s."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()
