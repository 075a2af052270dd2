"""A model folder over HTTP: recommendations for users of the data and for new ones, similar items, and health.

    app = create_app(open_folder(Path("ease-100k")))        # an ASGI application; `serve` runs it with uvicorn

The routes and what they take and give stand on the page `/docs`, which needs no network. A folder that is replaced,
as `train` does atomically, is loaded next to the model that answers and takes its place between two requests; one that
cannot be read changes nothing but what `/health` says. Errors have one form: `{"error": {field, value, expected,
remedy, message}}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recengine import __version__
from recengine.errors import BadInput
from recengine.experiments.model_folder import ModelFolder
from recengine.serving.http_schema import Batch, Health, Lists, Neighbours, Refusal, Wanted
from recengine.serving.service import Service

MOST_BYTES = 2_000_000
"""Size of a request's body, at most."""
WATCH_SECONDS = 1.0
"""How often the folder is looked at."""
AT_ONCE = 16
"""Users of a request beyond which it is answered in a thread, so that others need not wait for it."""


LONGEST_TEXT = 1_000
"""Letters of a text in a refusal, which may quote what was sent."""


_NOT_JSON = BadInput("body", None, "a JSON object", problem="could not be read")


class BodyLimit:
    """Reads a body before anything is made of it, and refuses one of more than `MOST_BYTES`, whatever it claims."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        parts: list[Message] = []
        size = 0
        while not parts or parts[-1].get("more_body", False):
            parts.append(await receive())
            size += len(parts[-1].get("body", b""))
            if size > MOST_BYTES:
                error = BadInput("body", expected=f"{MOST_BYTES:,} bytes at most", problem="is too large")
                await _refusal(error, 413)(scope, receive, send)
                return
        kept = iter(parts)

        async def replay() -> Message:
            return next(kept, None) or await receive()

        await self.app(scope, replay, send)


def create_app(opened: ModelFolder, *, watch: float = WATCH_SECONDS) -> FastAPI:
    """Return the application that serves a model folder.

    watch : seconds between two looks at the folder
    """
    service = Service(opened)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def follow() -> None:
            while True:
                await asyncio.sleep(watch)
                await asyncio.to_thread(service.refresh)

        task = asyncio.create_task(follow())
        yield
        task.cancel()

    refusals: dict[int | str, dict[str, Any]] = {code: {"model": Refusal} for code in (404, 413, 422)}
    app = FastAPI(title="RecEngine", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    app.router.route_class = DirectRoute
    app.add_middleware(BodyLimit)
    app.add_exception_handler(BadInput, _bad_input)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unread)
    _add_routes(app, service, refusals)
    _add_docs(app)
    return app


def _add_routes(app: FastAPI, service: Service, refusals: dict[int | str, dict[str, Any]]) -> None:
    """Declare the routes. They answer in the event loop: a list takes less time than a change of threads costs."""
    listed: dict[str, Any] = {"response_model": None, "responses": {200: {"model": Lists}, **refusals}}

    @app.get("/health", response_model=Health)
    async def health() -> dict[str, Any]:
        """Say which model answers."""
        opened, data = service.opened, service.opened.dataset
        return {
            "status": "ok",
            "model": opened.model.name,
            "dataset": data.name,
            "fingerprint": opened.manifest.origin.data,
            "users": data.n_users,
            "items": data.n_items,
            "loaded_at": service.loaded_at,
            "stale": service.stale,
        }

    @app.get("/users/{user_id}/recommendations", **listed)
    async def of_user(user_id: str, asked: Annotated[Wanted, Query()]) -> Response:
        """Recommend items to a user of the data."""
        return _answer(service.lists(Batch(users=[user_id], k=asked.k, include_seen=asked.include_seen)))

    @app.post("/recommendations", **listed)
    async def of_batch(asked: Batch) -> Response:
        """Recommend items to users of the data and to new ones, filtered if asked."""
        heavy = len(asked.users) + len(asked.new_users) > AT_ONCE
        return _answer(await asyncio.to_thread(service.lists, asked) if heavy else service.lists(asked))

    @app.get("/items/{item_id}/similar", **listed)
    async def of_item(item_id: str, asked: Annotated[Neighbours, Query()]) -> Response:
        """List the items that are most similar to one."""
        return _answer(service.similar(item_id, asked.k))


def _answer(text: str) -> Response:
    return Response(text, media_type="application/json")


class DirectRoute(APIRoute):
    """A route that reads `asked` by its model alone; FastAPI reads what that refuses, and says what is wrong with it.

    FastAPI's own reading takes longer than most answers; declared as they are, routes are described all the same.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        thorough = super().get_route_handler()
        model = get_type_hints(self.endpoint).get("asked")
        if model is None:
            return thorough

        async def handle(request: Request) -> Response:
            try:
                if request.method == "GET":
                    asked = model.model_validate(dict(request.query_params))
                elif request.headers.get("content-type") == "application/json":
                    asked = model.model_validate_json(await request.body())
                else:
                    return await thorough(request)
            except ValidationError:
                return await thorough(request)
            return await self.endpoint(asked=asked, **request.path_params)

        return handle


def _add_docs(app: FastAPI) -> None:
    """Declare the page `/docs`, whose script comes from this server and from nowhere else."""
    with suppress(ModuleNotFoundError):
        page = str(files("swagger_ui_bundle") / "vendor")
        newest = max(Path(page).glob("swagger-ui-*"))
        app.mount("/docs/static", StaticFiles(directory=newest))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        static = f"{request.scope.get('root_path', '')}/docs/static"
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="RecEngine",
            swagger_js_url=f"{static}/swagger-ui-bundle.js",
            swagger_css_url=f"{static}/swagger-ui.css",
            swagger_favicon_url=f"{static}/favicon-32x32.png",
        )


def _bad_input(request: Request, error: Exception) -> JSONResponse:
    """Return an error of ours: 404 where the address names an id that the data do not have, 422 for any other."""
    assert isinstance(error, BadInput)
    unknown = request.method == "GET" and error.field in ("user", "item")
    return _refusal(error, 404 if unknown else 422)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Return the first error of a request that has not the form it should have."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")) or "body"
    if first["type"] == "json_invalid":
        return _refusal(_NOT_JSON, 422)
    message = str(first["msg"])
    problem = f"is not accepted ({message[:1].lower()}{message[1:]})"
    return _refusal(BadInput(where, _short(first.get("input")), problem=problem), 422)


def _unread(request: Request, error: Exception) -> JSONResponse:
    """Return why a request found no route, or why its body could not be read."""
    assert isinstance(error, HTTPException)
    problem = {404: "is no address of this service", 405: f"takes no {request.method}"}.get(error.status_code)
    refused = BadInput("address", request.url.path, remedy="see /docs", problem=problem) if problem else _NOT_JSON
    return _refusal(refused, error.status_code, error.headers)


def _refusal(error: BadInput, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    parts = {"field": error.field, "value": error.value, "expected": error.expected, "remedy": error.remedy}
    parts["message"] = error.sentence()
    return JSONResponse({"error": {name: _short(part) for name, part in parts.items()}}, status, headers)


def _short(value: Any) -> Any:
    """Return a value as it may stand in an answer: no number that JSON lacks, and no letter that UTF-8 does."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    text = str(value).encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
