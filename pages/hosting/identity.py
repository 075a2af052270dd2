"""Who a visitor is: an anonymous id with a signature, so that nobody takes another's by guessing or editing it."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from recengine import settings

COOKIE = "recengine_visitor"
_OF_THIS_PROCESS = secrets.token_hex(32).encode()
"""Signs while no file can be written: visitors are then new ones after a restart."""
_TOKEN = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")


def issue() -> str:
    """Return the token of a new visitor: 128 random bits and their signature, in hexadecimal digits."""
    visitor = secrets.token_hex(16)
    return f"{visitor}.{_sign(visitor)}"


def read(token: str | None) -> str | None:
    """Return the visitor whom a token names, or None where it is missing, malformed or not signed by us."""
    found = _TOKEN.fullmatch(token or "")
    return found[1] if found and hmac.compare_digest(found[2], _sign(found[1])) else None


def account(issuer: str, subject: str) -> str:
    """Return the visitor who has signed in: the same for one person at one issuer, whatever their address is."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:32]


def _sign(visitor: str) -> str:
    return hmac.new(_secret(), visitor.encode(), hashlib.sha256).hexdigest()


def _secret() -> bytes:
    """Return `RECENGINE_SECRET`, which replicas share, or else what the first caller wrote into the home."""
    given = os.environ.get("RECENGINE_SECRET")
    if given:
        return given.encode()
    path = settings.home() / "secret"
    with suppress(FileNotFoundError):
        return path.read_bytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_once(path, secrets.token_hex(32).encode())
        return path.read_bytes()
    except OSError:  # a full or a closed disk is no reason to show nothing
        return _OF_THIS_PROCESS


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole, unless another process has just done so."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(temporary, path)  # fails where the name is taken, as a rename does not
    temporary.unlink()
