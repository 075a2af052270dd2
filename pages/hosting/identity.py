"""Who a visitor is: an anonymous, signed id that cannot be guessed or forged."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from recengine import settings
from recengine.errors import BadInput

COOKIE = "recengine_visitor"
_PROCESS_SECRET = secrets.token_hex(32).encode()
"""Fallback while the home is not writable: after a restart every visitor is a new one."""
_TOKEN = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")


def issue() -> str:
    """Return the token of a new visitor: 128 random bits and their signature, in hexadecimal digits."""
    visitor = secrets.token_hex(16)
    return f"{visitor}.{_sign(visitor)}"


def cookie_name() -> str:
    """Return the name of the visitor's cookie, which apps of one host share only where they share their secret."""
    return f"{COOKIE}_{_sign('the name of the cookie')[:8]}"


def visitor_of(cookies: Mapping[str, str]) -> str | None:
    """Return the visitor of a browser's cookies, one without the app's suffix among them, or None."""
    tokens = (cookies.get(name) for name in (cookie_name(), COOKIE))
    return next(filter(None, (read(token) for token in tokens if isinstance(token, str))), None)


def read(token: str | None) -> str | None:
    """Return the visitor of a token, or None if it is missing, malformed or not signed by us."""
    match = _TOKEN.fullmatch(token or "")
    return match[1] if match and hmac.compare_digest(match[2], _sign(match[1])) else None


def account(issuer: str, subject: str) -> str:
    """Return the visitor who has signed in: one per issuer and subject, whatever their e-mail address is."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:32]


def _sign(visitor: str) -> str:
    return hmac.new(_secret(), visitor.encode(), hashlib.sha256).hexdigest()


def _secret() -> bytes:
    """Return `RECENGINE_SECRET`, which replicas share, or else the secret that the first caller wrote to the home."""
    shared = os.environ.get("RECENGINE_SECRET")
    if shared:
        return shared.encode()
    try:
        path = settings.home() / "secret"
        with suppress(FileNotFoundError):
            return path.read_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_once(path, secrets.token_hex(32).encode())
        return path.read_bytes()
    except (OSError, BadInput):  # a home that is missing, full or not writable must not take the app down
        return _PROCESS_SECRET


def _write_once(path: Path, content: bytes) -> None:
    """Write a file atomically, readable by its owner alone, unless another process has just done so."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(temporary, path)  # fails where the name is taken, as a rename does not
    temporary.unlink()
