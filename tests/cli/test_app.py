"""The command `app`: what it says where Streamlit is missing, and that it serves the pages."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_without_streamlit_the_extra_is_named() -> None:
    code = "import sys; sys.modules['streamlit'] = None; from recengine.cli import main; sys.exit(main(['app']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 2
    expected = "app needs Streamlit, which is not installed; install it with `pip install 'recengine[app]'`"
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_app_answers_on_the_port_that_was_asked_for(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "STREAMLIT_SERVER_HEADLESS": "true"}
    command = [sys.executable, "-m", "recengine", "app", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/poster/v1.svg?t=Alien", timeout=5) as answer:
                    assert answer.read().startswith(b"<svg")
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < ends, (tmp_path / "log").read_text()
                time.sleep(0.3)
    finally:
        process.terminate()
        process.wait()
