"""How the package compiles its inner loops, and where it keeps what was compiled.

Compiling takes seconds, once: the result is kept in a folder of the package's own, next to its files where they can be
written, else in the home (`RECENGINE_HOME`). The folder is named by a hash of all files with compiled functions, since
numba sees that a function's own file has changed, but not the file of a function that it calls. `NUMBA_CACHE_DIR`, if
set, is taken instead. Importing this does not import numba, which takes half a second and 60 MB; to compile does.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from recengine import settings
from recengine.errors import BadInput

log = logging.getLogger(__name__)

ARITHMETIC = frozenset({"reassoc", "contract", "nsz"})
"""What the compiler may assume: sums may be taken in any order, and a zero needs no sign."""
PREFIX, KEPT = "kernels-", 3
"""How the folders are named, and how many of them are kept, the latest."""
COMPLETE = "complete"
"""The file in the folder that `serving.sessions.compile_loops` leaves when it is done."""


def compiled(function: Callable[..., Any], arithmetic: frozenset[str] = ARITHMETIC) -> Callable[..., Any]:
    """Return the function compiled, and kept on disk if a folder can be written."""
    import numba

    config: Any = numba.config  # its attributes are made when it is imported
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(arithmetic)}
    before = config.CACHE_DIR
    config.CACHE_DIR = before or kernel_folder()  # numba reads it here alone; "" stands for folders of its choice
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written, or the function has no file
        return numba.njit(**options)(function)
    finally:
        config.CACHE_DIR = before


@cache
def kernel_folder() -> str:
    """Return the folder for what is compiled, which exists; "" where none can be written."""
    package = Path(__file__).parents[1]
    files = (path.read_bytes() for path in sorted(package.rglob("*.py")))
    sources = b"".join(text for text in files if b"compiled\ndef " in text)
    name = PREFIX + hashlib.sha256(sources).hexdigest()[:16]
    for parent in (package / "__pycache__", _home()):
        if parent is None:
            continue
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            _drop_old(parent)
            if not any(folder.iterdir()):
                log.warning("The inner loops are compiled at their first use on this machine, which takes seconds.")
            return str(folder)
    log.warning("No folder can be written for what is compiled, so every process compiles again.")
    return ""


def _home() -> Path | None:
    try:
        return settings.home()
    except BadInput:
        return None


def _drop_old(parent: Path) -> None:
    """Remove all but the latest folders of other versions."""
    folders = sorted(parent.glob(f"{PREFIX}*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
