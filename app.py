"""The app: `streamlit run app.py`. Serves the pages, the posters, and warms up what the first visitor needs."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # Streamlit puts the folder of pages/main.py there, not this one
    sys.path.insert(0, str(ROOT))

from recengine.serving.posters import poster_svg  # noqa: E402 - needs the path above

POSTER_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
log = logging.getLogger("recengine.app")


async def poster(request: Request) -> Response:
    """Draw a poster from its address alone (title, year, genres), so that nobody's data can be read through it."""
    asked = request.query_params
    year = asked.get("y", "")
    body = _drawn(asked.get("t", ""), int(year) if year.isdecimal() and len(year) == 4 else None, asked.get("g", ""))
    return Response(body, media_type="image/svg+xml", headers=POSTER_HEADERS)


@lru_cache(maxsize=2048)
def _drawn(title: str, year: int | None, genres: str) -> str:
    return poster_svg(title, year, genres)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the default data set and model in a thread, so that the first page waits less."""

    def warm_up() -> None:
        try:
            from pages.ui.models import warm_up

            warm_up()
        except Exception:  # the page meets the same fault and tells the person
            log.exception("warming up failed")

    task = asyncio.create_task(asyncio.to_thread(warm_up))
    yield {}
    task.cancel()


def script_error(fault: Exception) -> bool:
    """Show one sentence for a fault of ours; the traceback goes to the log."""
    log.error("a page failed", exc_info=fault)
    st.error("Something went wrong here, and the log says what.", icon=":material/error:")
    st.page_link("for_you.py", label="Start again", icon=":material/refresh:")
    return True


app = st.App(
    str(ROOT / "pages" / "main.py"),
    lifespan=lifespan,
    routes=[Route("/poster/v1.svg", poster)],
    middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)],
    on_script_error=script_error,
)
