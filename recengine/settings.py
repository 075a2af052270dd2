"""The environment variables, read in one place."""

import os
from pathlib import Path


def home() -> Path:
    """Return the folder for data, models and ratings (`RECENGINE_HOME`, default `~/.recengine`)."""
    return Path(os.environ.get("RECENGINE_HOME") or "~/.recengine").expanduser()


def mirror() -> str | None:
    """Return the folder or URL that holds the data set zips (`RECENGINE_MIRROR`), tried before any other."""
    return os.environ.get("RECENGINE_MIRROR") or None


def default_dataset() -> str:
    """Return the data set to start with (`RECENGINE_DATASET`, default `sample`)."""
    return os.environ.get("RECENGINE_DATASET") or "sample"


def default_device() -> str:
    """Return the device to start with (`RECENGINE_DEVICE`, default `auto`)."""
    return os.environ.get("RECENGINE_DEVICE") or "auto"
