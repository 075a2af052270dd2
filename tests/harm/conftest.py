"""Shared by the tests of robustness."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LONG = bool(os.environ.get("RECENGINE_LONG"))
"""Whether the long forms run: more kills, more flips."""


def on_small_disk(script: str, folder: Path, megabytes: int) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a separate namespace in which `$DISK` is a disk of that many megabytes."""
    disk = folder / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={megabytes}m none '{disk}'"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False).returncode:
        pytest.skip("no disk can be mounted here: unshare -rm does not work")
    environment = os.environ | {"DISK": str(disk), "PYTHON": sys.executable}
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount}; {script}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
