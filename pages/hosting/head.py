"""The head of the served HTML: what a browser paints before any script runs, and what a shared link shows.

Streamlit serves one file for all pages, titled "Streamlit". Here each page gets its title, its description, a
preview image and the colour scheme, without which a dark page begins with a white flash; and our fonts are loaded at
once instead of Streamlit's, so that no line moves when they come.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.ui.escape import html
from pages.ui.palette import THEME

STYLE, SCRIPT = (Path(__file__).with_name(f"head.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
FONTS = ("figtree-latin.woff2", "barlow-condensed-bold-latin.woff2")
PREVIEW = "app/static/preview.jpg"
"""The picture that a shared link shows, 1200 x 630."""
IMPORT = re.compile(r'(?:from|import)"\./([^"/]+\.js)"')
TITLE = re.compile(rb'(<link rel="preload"[^>]*SourceSans[^>]*>\s*)?<title>Streamlit</title>')
ELEMENTS = ("Html", "BidiComponent", "Selectbox", "PageLink", "Button", "TextInput", "FileUploader")
"""Modules of Streamlit for what Home draws. It asks for each when it comes, and then for what that imports, one
after the other; here all are asked for at once, while Python still runs the page."""
ICON = (b'"./favicon.png"', b'"./app/static/icon.svg"')
"""Streamlit's icon and ours."""


class PageHead:
    """Puts the head of the page that is asked for into Streamlit's HTML.

    pages : path below the base -> title and first sentence of the page; "" is the first page
    base  : the path below which all pages are, such as "/"
    """

    def __init__(self, app: ASGIApp, pages: Mapping[str, tuple[str, str]], base: str) -> None:
        self.app = app
        self.pages = pages
        self.base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or "." in scope["path"].rpartition("/")[2]:
            await self.app(scope, receive, send)
            return
        # Streamlit would compress it here already.
        plain = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        start: Message = {}
        body = bytearray()

        async def rewritten(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                if not is_page(start):
                    await send(message)
                return
            if not is_page(start):
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            head = self.head(scope).encode()
            whole = TITLE.sub(lambda _: head, bytes(body), count=1).replace(*ICON)
            headers = MutableHeaders(scope=start)
            for name in ("etag", "last-modified"):  # of the file, which is the same for all pages
                del headers[name]
            if scope["method"] == "GET":
                headers["content-length"] = str(len(whole))
            else:
                del headers["content-length"]
            await send(start)
            await send({"type": "http.response.body", "body": whole})

        await self.app(dict(scope) | {"headers": plain}, receive, rewritten)

    def head(self, scope: Scope) -> str:
        """Return what stands in place of the title."""
        path = ("/" + scope["path"].lstrip("/")).removeprefix(self.base).strip("/")
        title, text = self.pages.get(path, self.pages[""])
        return _head(title, text, origin_of(scope, self.base), path if path in self.pages else "")


@cache
def modules() -> Sequence[str]:
    """Return the files of `ELEMENTS` and of all that they import, but what Streamlit's HTML names already."""
    static = Path(streamlit.__file__).parent / "static"
    names_at_once = (static / "index.html").read_text(encoding="utf-8")
    found: list[str] = []
    left = [path.name for element in ELEMENTS for path in (static / "static" / "js").glob(f"{element}.*.js")]
    while left:
        name = left.pop(0)
        if name in found or name in names_at_once:
            continue
        found.append(name)
        left += IMPORT.findall((static / "static" / "js" / name).read_text(encoding="utf-8"))
    return found


def origin_of(scope: Scope, base: str) -> str:
    """Return the address below which all pages are, as the visitor reaches it, without a slash at its end."""
    headers = Headers(scope=scope)
    scheme = headers.get("x-forwarded-proto", scope["scheme"]).split(",")[0].strip().lower()  # a proxy adds its own
    scheme = "https" if scheme == "https" else "http"
    return f"{scheme}://{headers.get('host', 'localhost')}{base.rstrip('/')}"


@lru_cache(maxsize=256)
def _head(title: str, text: str, origin: str, path: str) -> str:
    title, text, origin = html(f"{title} · RecEngine"), html(text), html(origin)
    paper = THEME["paper"]
    preload = "".join(
        f'<link rel="preload" href="./app/static/fonts/{font}" as="font" type="font/woff2" crossorigin>'
        for font in FONTS
    )
    preload += "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in modules())
    meta = {"og:type": "website", "og:site_name": "RecEngine", "og:title": title, "og:description": text}
    meta |= {"og:url": f"{origin}/{path}", "og:image": f"{origin}/{PREVIEW}"}
    meta |= {
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": "RecEngine: a list of films of your own",
    }
    shared = "".join(f'<meta property="{name}" content="{value}">' for name, value in meta.items())
    return (
        f'<title>{title}</title><meta name="description" content="{text}">{shared}'
        '<meta name="twitter:card" content="summary_large_image">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta name="theme-color" media="(prefers-color-scheme: light)" content="{paper.light}">'
        f'<meta name="theme-color" media="(prefers-color-scheme: dark)" content="{paper.dark}">'
        f"<style>html {{ color-scheme: light dark; background: {paper.css}; }}\n{STYLE}</style>"
        f"<script>{SCRIPT}</script>{preload}"
    )


def is_page(start: Message) -> bool:
    """Tell whether a response is Streamlit's HTML, whole."""
    kind = Headers(raw=start.get("headers", [])).get("content-type", "")
    return start.get("status") == 200 and kind.startswith("text/html")
