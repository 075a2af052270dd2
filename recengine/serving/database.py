"""The database of ratings: its address, checked without quoting a password, and connections that are durable."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from recengine import settings
from recengine.errors import BadInput

SAFE_WAL = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""The first version of each SQLite branch whose write-ahead log cannot be corrupted by a reset."""
_EXPECTED = "postgresql://USER:PASSWORD@HOST/NAME, or sqlite:////PATH"
_KIND = re.compile(r"[a-z][a-z0-9.-]{0,20}")
_PATIENCE = 10
"""Seconds after which a server that does not answer is given up."""


def database_url(text: str | None) -> sa.URL:
    """Return the address of a database: the one that is given, else that of a SQLite file in the home.

    Raises BadInput for an address that no ratings can be kept under. Its sentence has the kind of database at most: a
    mistyped address may hold its password anywhere else.
    """
    if text is None:  # a path is no text of an address, in which ? and % have meanings
        return sa.URL.create("sqlite", database=str(settings.home() / "ratings.db"))
    scheme, _, rest = text.partition("://")
    kind, _, driver = scheme.lower().partition("+")
    if not rest and not text.endswith("://"):
        raise _refused("is not the address of a database")
    if kind not in ("postgres", "postgresql", "sqlite"):
        raise _refused(f"names a database of the kind {kind!r}" if _KIND.fullmatch(kind) else "has an unknown kind")
    driver = driver or ("pysqlite" if kind == "sqlite" else "psycopg")  # hosts give it without a driver
    try:
        url = sa.make_url(f"{'sqlite' if kind == 'sqlite' else 'postgresql'}+{driver}://{rest}")
    except (sa.exc.ArgumentError, ValueError):  # ValueError: of the port, quoted
        raise _refused("has a port that is not a number, or is not the address of a database") from None
    if kind == "sqlite" and (url.query or url.host):
        raise _refused("is not the path of a file", remedy="write a ? in it as %3F, and a % as %25")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise _refused("names a database in memory, which keeps nothing")
    if "@" in (url.host or ""):
        raise _refused("has more than one @", remedy="write an @ in the password as %40")
    return url


def _refused(problem: str, remedy: str = "") -> BadInput:
    return BadInput("DATABASE_URL", expected=_EXPECTED, problem=problem, remedy=remedy)


def engine(url: sa.URL) -> sa.Engine:
    """Return an engine whose commits are durable; BadInput where the driver is missing."""
    local = url.get_backend_name() == "sqlite"
    arguments = {} if local or "connect_timeout" in url.query else {"connect_timeout": _PATIENCE}
    try:
        made = sa.create_engine(url, pool_pre_ping=not local, connect_args=arguments)
    except ModuleNotFoundError as error:
        remedy = 'pip install "psycopg[binary]"' if error.name == "psycopg" else "leave the driver out of the address"
        problem = f"names a database whose driver, {error.name}, is missing"
        raise BadInput("DATABASE_URL", problem=problem, remedy=remedy) from None
    except sa.exc.ArgumentError:
        raise _refused("names an unknown driver", remedy="leave the driver out of the address") from None
    if made.dialect.is_async:
        raise _refused("names a driver of another kind", remedy="leave the driver out of the address")
    if local:
        sa.event.listen(made, "connect", _prepare_sqlite)
        sa.event.listen(made, "begin", _begin_sqlite)
    return made


def safe_wal(version: Sequence[int]) -> bool:
    """Return whether a version of SQLite has a write-ahead log that cannot be corrupted by a reset."""
    newest = max(SAFE_WAL)
    return tuple(version) >= newest or any(
        tuple(version[:2]) == fixed[:2] and tuple(version) >= fixed for fixed in SAFE_WAL
    )


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once: a transaction that asks for it later fails in spite of the timeout."""
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Make a commit durable when it returns, and let us begin transactions ourselves."""
    connection.isolation_level = None
    journal = "WAL" if safe_wal(sqlite3.sqlite_version_info) else "DELETE"
    kept = f"journal_mode={journal}", "synchronous=FULL", "secure_delete=ON"  # what is erased leaves the disk too
    for pragma in ("busy_timeout=30000", *kept, "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
