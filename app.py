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
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # Streamlit puts the folder of pages/main.py there, not this one
    sys.path.insert(0, str(ROOT))

from pages.hosting import identity, logs  # noqa: E402 - needs the path above
from pages.hosting.head import PREVIEW, PageHead, origin_of  # noqa: E402 - needs the path above
from pages.main import PAGES  # noqa: E402 - needs the path above
from pages.posters.poster import poster_svg, tile_svg  # noqa: E402 - needs the path above
from pages.posters.tmdb import service  # noqa: E402 - needs the path above
from recengine import settings  # noqa: E402 - needs the path above
from recengine.errors import BadInput  # noqa: E402 - needs the path above

POSTER_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
COOKIE_SECONDS = 400 * 86_400
"""Lifetime of the visitor's cookie: as long as browsers allow."""
BASE = "/" + str(st.get_option("server.baseUrlPath")).strip("/")
"""The path below which all pages are: "/" unless `server.baseUrlPath` names another."""
MOVED = {"/for_you": "/viewers", "/similar": "/film", "/rate": "/"}
"""Earlier addresses of pages, which shared links still name -> where the page is today."""
log = logging.getLogger("recengine.app")


async def poster(request: Request) -> Response:
    """Draw a poster from title, year and genres in its address alone, so that it can reveal no data.

    TMDB's stands in for it where a page has asked for it and it has come; the address itself asks for nothing.
    """
    parameters = request.query_params
    headers = POSTER_HEADERS
    tmdb, number = service(settings.tmdb_key(), settings.home()), parameters.get("m", "")
    if tmdb is not None and number.isdecimal() and len(number) < 10:
        if picture := tmdb.picture(int(number), "backdrop" if "wide" in parameters else "poster"):
            return Response(picture[0], media_type=picture[1], headers=headers | {"Cache-Control": "max-age=86400"})
        headers = headers | {"Cache-Control": "no-store"}
    year = parameters.get("y", "")
    known_year = int(year) if year.isdecimal() and len(year) == 4 else None
    title = parameters.get("t", "")
    body = _tile(title) if "tile" in parameters else _poster(title, known_year, parameters.get("g", ""))
    return Response(body, media_type="image/svg+xml", headers=headers)


@lru_cache(maxsize=2048)
def _poster(title: str, year: int | None, genres: str) -> str:
    return poster_svg(title, year, genres)


@lru_cache(maxsize=2048)
def _tile(title: str) -> str:
    return tile_svg(title)


async def health(_: Request) -> Response:
    """Report whether the database answers and the default model is ready; 503 if either is not."""

    def check() -> dict[str, str]:
        from pages.ui import caches, datasets, visitor_ratings

        state = {"database": "ok", "model": "ok"}
        try:
            visitor_ratings.event_log().ping()
        except Exception as error:  # which one depends on the database
            log.error("the database does not answer", exc_info=error)
            state["database"] = "does not answer"
        data = datasets.shared_dataset(settings.default_dataset())
        if caches.known_model(data, caches.DEFAULT_MODEL, settings.default_device()) is None:
            state["model"] = "is not ready"
        return state

    state = await asyncio.to_thread(check)
    return JSONResponse(state, 200 if set(state.values()) == {"ok"} else 503)


async def shared(request: Request) -> Response:
    """Show what a link in the address opens, to anybody who has it."""

    def answer() -> Response:
        from pages.ui import shared_page, visitor_ratings

        link = visitor_ratings.event_log().shared(request.query_params.get("link", ""))
        picture = PREVIEW if link is None else f"{shared_page.PICTURE}?link={link.token}"
        address = f"{origin_of(request.scope, BASE)}/{picture}"
        return HTMLResponse(*shared_page.page(link, address), headers=shared_page.HEADERS)

    return await asyncio.to_thread(answer)


async def shared_picture(request: Request) -> Response:
    """Draw the picture that a preview of a link shows, as long as the link opens."""

    def answer() -> Response:
        from pages.ui import shared_page, visitor_ratings

        link = visitor_ratings.event_log().shared(request.query_params.get("link", ""))
        if link is None:
            return Response(status_code=404, headers=shared_page.HEADERS)
        return Response(shared_page.picture(link.content), media_type="image/png", headers=shared_page.HEADERS)

    return await asyncio.to_thread(answer)


class VisitorCookie:
    """Sets a new visitor cookie, hidden from scripts, where a page is requested without a valid one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or identity.visitor_of(Request(scope).cookies):
            await self.app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    schemes = (
                        Headers(scope=scope).get("x-forwarded-proto", "").lower().split(",")
                    )  # a proxy adds its own
                    secure = "; Secure" if "https" in (scope["scheme"], schemes[0].strip()) else ""
                    attributes = f"Path={BASE}; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
                    headers.append("Set-Cookie", f"{identity.cookie_name()}={identity.issue()}; {attributes}")
            await send(message)

        await self.app(scope, receive, with_cookie)


class MovedPages:
    """Leads earlier addresses of pages to those of today; links to a viewer named the root."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            path, query = "/" + scope["path"].removeprefix(BASE).strip("/"), scope["query_string"].decode("latin-1")
            to = "/viewers" if path == "/" and "user" in Request(scope).query_params else MOVED.get(path)
            if to is not None:
                await RedirectResponse(f"{BASE.rstrip('/')}{to}{'?' if query else ''}{query}", 307)(
                    scope, receive, send
                )
                return
        await self.app(scope, receive, send)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the default data set and model in a thread, so that the first page waits less."""
    if settings.hosted():  # run locally, whole tracebacks are more useful
        logs.configure()
    logs.log_event("the app started")

    def warm_up() -> None:
        try:
            from pages.ui.caches import warm_up

            warm_up()
            # Freeze the long-lived objects out of garbage collection.
            gc.collect()
            gc.freeze()
        except Exception:  # the page raises the same error and shows it
            log.exception("warming up failed")

    task = asyncio.create_task(asyncio.to_thread(warm_up))
    yield {}
    task.cancel()


def script_error(error: Exception) -> bool:
    """Show one sentence for an error of ours; the traceback goes to the log."""
    log.error("a page failed", exc_info=error)
    from pages.ui.messages import disk_error_message

    message = disk_error_message(error) or "Something went wrong. Details are in the log."
    st.error(message, icon=":material/error:")
    st.page_link("home.py", label="Start again", icon=":material/refresh:")
    return True


def check_environment() -> None:
    """End with one sentence where a variable of the environment cannot be meant, before anybody is served."""
    try:
        settings.hosted()
        settings.home()
        if address := settings.database():
            from recengine.serving.database import database_url

            database_url(address)
        dataset = settings.default_dataset()
        if dataset.encode(errors="replace").decode() != dataset:
            problem = "is not UTF-8, in which pages write it"
            raise BadInput("RECENGINE_DATASET", dataset, remedy="rename the folder", problem=problem)
    except BadInput as error:
        sys.exit(f"recengine: {error}")


def routes() -> list[Route]:
    """Return our routes: below the base path, where pages ask, and at the root, where a probe may."""
    bases = dict.fromkeys((BASE.rstrip("/"), ""))
    addresses = {"/poster/v1.svg": poster, "/healthz": health, "/shared": shared, "/shared.png": shared_picture}
    return [Route(f"{base}{address}", answer) for base in bases for address, answer in addresses.items()]


check_environment()
app = st.App(
    str(ROOT / "pages" / "main.py"),
    lifespan=lifespan,
    routes=routes(),
    middleware=[
        Middleware(MovedPages),
        Middleware(VisitorCookie),
        Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4),
        Middleware(PageHead, pages={page.address: (page.title, page.lead) for page in PAGES}, base=BASE),
    ],
    on_script_error=script_error,
)
