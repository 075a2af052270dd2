"""The app as a separate process and a Chromium to look at it, for the benchmarks and the browser tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OPTIONS = ["--server.headless=true", "--server.address=localhost"]
PATIENCE = 120.0
"""Seconds that the app may take to answer for the first time, on a busy machine."""
NO_CHROMIUM = "no Chromium here: install it, or set RECENGINE_CHROMIUM to its path"


def chromium() -> str | None:
    """Return the path of Chromium, if there is one."""
    return os.environ.get("RECENGINE_CHROMIUM") or shutil.which("chromium")


class Server:
    """`streamlit run app.py` on a free port, which replaces PORT in the secrets, below a base path such as /movies."""

    def __init__(
        self, home: Path, dataset: str = "sample", secrets: str = "", log: Path | None = None, base: str = ""
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}{base}"
        options = [*OPTIONS, *([f"--server.baseUrlPath={base}"] if base else [])]
        if secrets:
            (home / "secrets.toml").write_text(secrets.replace("PORT", str(self.port)), encoding="utf-8")
            options.append(f"--secrets.files={home / 'secrets.toml'}")
        plugin = str(ROOT / "examples" / "custom_function.py")
        environment = os.environ | {
            "RECENGINE_HOME": str(home),
            "RECENGINE_DATASET": dataset,
            "RECENGINE_MODELS": plugin,
        }
        if dataset == "sample":
            environment.pop("RECENGINE_MIRROR", None)
        self.home = home
        self.log = log or home / "server.log"
        home.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={self.port}", *options],
            cwd=ROOT,
            env=environment,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.pid = self._process.pid
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log.read_text()
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise TimeoutError(self.log.read_text())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
