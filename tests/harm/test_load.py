"""The short form of `benchmarks.load`: a few visitors at once over Streamlit's protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import streamlit

from benchmarks.load import VERSION, load
from benchmarks.server import Server


def test_visitors_at_once_lose_no_click_and_see_no_other_s_list(tmp_path: Path) -> None:
    if streamlit.__version__ != VERSION:
        pytest.skip(f"Streamlit {streamlit.__version__} may have another protocol than {VERSION}")
    server = Server(tmp_path)
    try:
        with ThreadPoolExecutor(1) as apart:  # Playwright may run an event loop in this thread
            assert apart.submit(load, server, visitors=4, seconds=4, every=1.0).result() == []
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()
