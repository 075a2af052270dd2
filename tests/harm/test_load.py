"""The short form of `benchmarks.load`: a few visitors at once over Streamlit's own protocol."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit

from benchmarks.load import VERSION, load
from tests.browser.conftest import Server


def test_visitors_at_once_lose_no_click_and_see_only_their_own(tmp_path: Path) -> None:
    if streamlit.__version__ != VERSION:
        pytest.skip(f"Streamlit {streamlit.__version__} may have another protocol than {VERSION}")
    server = Server(tmp_path)
    try:
        assert load(server, visitors=5, seconds=6, every=1.5) == []
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()
