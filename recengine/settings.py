"""The environment variables, read in one place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from recengine.errors import BadInput

_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of a folder that cannot be written, whatever is done about free space."""
_REMEDY = "set RECENGINE_HOME to a folder that can be written"


def home() -> Path:
    """Return the folder for data, models and ratings (`RECENGINE_HOME`, default `~/.recengine`), as a whole path.

    Raises BadInput where there is no home directory, as in a container that runs as a user without a name.
    """
    given = os.environ.get("RECENGINE_HOME")
    try:
        return Path(given or "~/.recengine").expanduser().absolute()
    except RuntimeError:
        problem = "is in the home directory of a user who has none" if given else "is unset, and HOME as well"
        raise BadInput("RECENGINE_HOME", given, remedy=_REMEDY, problem=problem) from None


def home_error(error: OSError) -> BadInput | None:
    """Return what a failure to write says about the home: BadInput if it lies there and must be another folder."""
    if error.errno not in _CLOSED or not isinstance(error.filename, str | bytes):
        return None
    folder, path = home(), Path(os.fsdecode(error.filename)).absolute()
    if path != folder and folder not in path.parents and path not in folder.parents:
        return None
    problem = f"cannot be written ({os.strerror(error.errno)})"
    return BadInput("RECENGINE_HOME", str(folder), remedy=_REMEDY, problem=problem)


def hosted() -> bool:
    """Tell whether strangers use this app (`RECENGINE_HOSTED`): what they may ask for is then limited."""
    return _switch("RECENGINE_HOSTED")


def debug() -> bool:
    """Tell whether an internal error shows its traceback (`RECENGINE_DEBUG`)."""
    return _switch("RECENGINE_DEBUG")


def _switch(name: str) -> bool:
    """Return whether a variable is on; unset or blank is off. Raises BadInput for a word that is neither."""
    word = os.environ.get(name, "").strip().lower()
    if word not in ("", *_ON, *_OFF):
        expected = f"{', '.join(_ON)}, or {', '.join(_OFF)}"
        raise BadInput(name, os.environ[name], expected, problem="is neither on nor off")
    return word in _ON


def mirror() -> str | None:
    """Return the folder or URL that holds the data set zips (`RECENGINE_MIRROR`), tried before any other."""
    return os.environ.get("RECENGINE_MIRROR") or None


def default_dataset() -> str:
    """Return the data set to start with (`RECENGINE_DATASET`, default `sample`)."""
    return os.environ.get("RECENGINE_DATASET") or "sample"


def default_device() -> str:
    """Return the device to start with (`RECENGINE_DEVICE`, default `auto`)."""
    return os.environ.get("RECENGINE_DEVICE") or "auto"


def database() -> str | None:
    """Return the address of the database for ratings (`DATABASE_URL`), which may hold a password."""
    return os.environ.get("DATABASE_URL", "").strip() or None


def tmdb_key() -> str | None:
    """Return the key with which the app may ask TMDB for posters and facts (`TMDB_API_KEY`)."""
    return os.environ.get("TMDB_API_KEY", "").strip() or None
