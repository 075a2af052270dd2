"""The app: `streamlit run app.py`. Serves the pages, the posters, and warms up what the first visitor needs."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # Streamlit puts the folder of pages/main.py there, not this one
    sys.path.insert(0, str(ROOT))

from pages.hosting import identity, logs  # noqa: E402 - needs the path above
from pages.posters.poster import poster_svg  # noqa: E402 - needs the path above
from recengine import settings  # noqa: E402 - needs the path above

POSTER_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
COOKIE_SECONDS = 400 * 86_400
"""For how long a browser keeps who its visitor is: as long as browsers allow."""
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


async def health(_: Request) -> Response:
    """Say whether the database answers and the default model is ready; 503 where either is not."""

    def look() -> dict[str, str]:
        from pages.ui import caches, visitor_ratings

        found = {"database": "ok", "model": "ok"}
        try:
            visitor_ratings.event_log().ping()
        except Exception as fault:  # of whatever database it is
            log.error("the database does not answer", exc_info=fault)
            found["database"] = "does not answer"
        data = caches.shared_dataset(settings.default_dataset())
        if caches.known_model(data, caches.DEFAULT_MODEL, settings.default_device()) is None:
            found["model"] = "is not ready"
        return found

    found = await asyncio.to_thread(look)
    return JSONResponse(found, 200 if set(found.values()) == {"ok"} else 503)


class VisitorCookie:
    """Gives whoever asks for a page without a valid visitor's cookie a new one, which scripts cannot read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or identity.read(Request(scope).cookies.get(identity.COOKIE)):
            await self.app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    https = "https" in (scope["scheme"], Headers(scope=scope).get("x-forwarded-proto"))
                    rules = f"Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax" + ("; Secure" if https else "")
                    headers.append("Set-Cookie", f"{identity.COOKIE}={identity.issue()}; {rules}")
            await send(message)

        await self.app(scope, receive, with_cookie)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the default data set and model in a thread, so that the first page waits less."""
    if settings.hosted():  # elsewhere somebody wants to read whole tracebacks
        logs.configure()
    logs.tell("the app started")

    def warm_up() -> None:
        try:
            from pages.ui.caches import warm_up

            warm_up()
            # What is there by now stays: no collection of garbage need look through it.
            gc.collect()
            gc.freeze()
        except Exception:  # the page meets the same fault and tells the person
            log.exception("warming up failed")

    task = asyncio.create_task(asyncio.to_thread(warm_up))
    yield {}
    task.cancel()


def script_error(fault: Exception) -> bool:
    """Show one sentence for a fault of ours; the traceback goes to the log."""
    log.error("a page failed", exc_info=fault)
    from pages.ui.messages import disk_error_message

    said = disk_error_message(fault) or "Something went wrong here, and the log says what."
    st.error(said, icon=":material/error:")
    st.page_link("for_you.py", label="Start again", icon=":material/refresh:")
    return True


app = st.App(
    str(ROOT / "pages" / "main.py"),
    lifespan=lifespan,
    routes=[Route("/poster/v1.svg", poster), Route("/healthz", health)],
    middleware=[Middleware(VisitorCookie), Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)],
    on_script_error=script_error,
)
