"""The log of what visitors rated: appended to and never changed, with a projection of what stands.

    log = EventLog()                                     # DATABASE_URL, or RECENGINE_HOME/ratings.db
    log.append("ann", "sample", [rated("839", 4.5)])     # kept, on the disk, when this returns
    log.standing("ann", "sample")                        # what stands: the latest of each item, without what was undone
    log.erase("ann")                                     # everything of a person, which is itself recorded

Every event has an id of its maker's, so that one that is sent twice is one row. An undo is an event too: it takes back
the last one on its item that still stands.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from recengine import settings
from recengine.errors import BadInput

KINDS = ("rate", "pass", "clear", "undo")
"""Stars given; put aside; taken off again; the last of these on the item taken back."""
STARS = tuple(half / 2 for half in range(1, 11))
SAFE_WAL = ((3, 51, 3), (3, 50, 7), (3, 44, 6))
"""The first version of each line of SQLite whose write-ahead log cannot be corrupted by a reset."""
_ID = re.compile(r"[!-~]{1,100}")
_APPENDERS = 0x5EC0
"""Names the lock under which PostgreSQL hands out sequence numbers in the order of commits."""
_IMPORTS = uuid.UUID("5f0d2f62-6d0c-5b0a-9a53-2f3f6b1b7c11")
_META = sa.MetaData()
_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_EVENT = sa.Table(
    "event",
    _META,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String(100), nullable=False, unique=True),
    sa.Column("visitor", sa.String(100), nullable=False),
    sa.Column("catalogue", sa.String(200), nullable=False),
    sa.Column("item_id", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("stars", sa.Float),
    sa.Column("ts", sa.BigInteger, nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Index("event_of_item", "visitor", "catalogue", "item_id", "seq"),
    sqlite_autoincrement=True,
)
_STANDING = sa.Table(
    "standing",
    _META,
    sa.Column("visitor", sa.String(100), primary_key=True),
    sa.Column("catalogue", sa.String(200), primary_key=True),
    sa.Column("item_id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("stars", sa.Float),
    sa.Column("seq", _SEQ, nullable=False),
)
_ERASURE = sa.Table(
    "erasure",
    _META,
    sa.Column("id", _SEQ, primary_key=True, autoincrement=True),
    sa.Column("visitor", sa.String(100), nullable=False),
    sa.Column("ts", sa.BigInteger, nullable=False),
    sa.Column("events", sa.Integer),
)
_GUARDS = {
    "sqlite": (
        "CREATE TRIGGER IF NOT EXISTS event_is_never_changed BEFORE UPDATE ON event "
        "BEGIN SELECT RAISE(ABORT, 'events are never changed'); END",
        "CREATE TRIGGER IF NOT EXISTS event_is_never_deleted BEFORE DELETE ON event "
        "WHEN NOT EXISTS (SELECT 1 FROM erasure WHERE visitor = OLD.visitor AND events IS NULL) "
        "BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION guard_event() RETURNS trigger AS $$ BEGIN "
        "IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM erasure WHERE visitor = OLD.visitor AND events IS NULL) "
        "THEN RETURN OLD; END IF; RAISE EXCEPTION 'events are never changed'; END $$ LANGUAGE plpgsql",
        "CREATE OR REPLACE TRIGGER event_is_never_changed BEFORE UPDATE OR DELETE ON event "
        "FOR EACH ROW EXECUTE FUNCTION guard_event()",
    ),
}


class Event(NamedTuple):
    """One act on one item. `stars`, from 0.5 to 5, belongs to `rate` alone; `ts` is in seconds since 1970."""

    event_id: str
    kind: str
    item_id: str
    stars: float | None = None
    ts: int = 0
    source: str = "app"


class Standing(NamedTuple):
    """What stands of an item: `rate` with its stars, or `pass`; `seq` is the number of the event that says so."""

    item_id: str
    kind: str
    stars: float | None
    seq: int


class Rating(NamedTuple):
    """A rating that stands, of whichever visitor."""

    visitor: str
    item_id: str
    stars: float
    seq: int


def rated(item_id: str, stars: float, *, event_id: str | None = None, source: str = "app") -> Event:
    """Return an event of stars given now."""
    return Event(event_id or uuid.uuid4().hex, "rate", item_id, stars, int(time.time()), source)


def imported(visitor: str, catalogue: str, source: str, rows: Iterable[tuple[str, float, str, int]]) -> list[Event]:
    """Return events of (item_id, stars, date as it was written, ts), the oldest first, to be appended together.

    The id follows from the content, so that a file that is brought twice changes nothing.
    """
    return [
        Event(
            uuid.uuid5(_IMPORTS, "\x1f".join((visitor, catalogue, source, item_id, date, f"{stars:g}"))).hex,
            "rate",
            item_id,
            stars,
            ts,
            source,
        )
        for item_id, stars, date, ts in sorted(rows, key=lambda row: row[3])
    ]


class EventLog:
    """Events in a database; one object serves all threads of a process, and processes may share the database.

    url : SQLAlchemy's, by default `DATABASE_URL`, else a SQLite file in RECENGINE_HOME

    Every method raises BadInput, in one sentence, where the database cannot be read or written.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ.get("DATABASE_URL") or f"sqlite:///{settings.home() / 'ratings.db'}"
        self.url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.url)  # hosts give it without a driver
        with suppress(OSError):  # the database says it better
            settings.home().mkdir(parents=True, exist_ok=True)
        try:
            self._engine = sa.create_engine(self.url, pool_pre_ping=not self.url.startswith("sqlite"))
        except ModuleNotFoundError as fault:
            raise BadInput(
                f'DATABASE_URL names a database whose driver, {fault.name}, is missing; pip install "psycopg[binary]"'
            ) from fault
        self._writing = threading.Lock()
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._reading = self._engine.execution_options(reads=True)
        with self._write() as connection:
            _META.create_all(connection)
            for guard in _GUARDS[self._engine.dialect.name]:
                connection.exec_driver_sql(guard)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def append(self, visitor: str, catalogue: str, events: Iterable[Event]) -> int:
        """Keep events in the order given, all or none; return how many are new. When this returns they are durable.

        Raises BadInput for an event that cannot be: an unknown kind, stars that are not halves from 0.5 to 5.
        """
        rows = [_checked(event) for event in events]
        insert = (sqlite if self._engine.dialect.name == "sqlite" else postgresql).insert(_EVENT)
        insert = insert.on_conflict_do_nothing(index_elements=["event_id"])
        new = 0
        with self._write() as connection:
            touched: dict[str, None] = {}
            for row in rows:
                own = {**row._asdict(), "visitor": visitor, "catalogue": catalogue}
                if connection.execute(insert.values(own).returning(_EVENT.c.seq)).first() is not None:
                    new += 1
                    touched[row.item_id] = None
            for item_id in touched:
                self._project(connection, visitor, catalogue, item_id)
        return new

    def standing(self, visitor: str, catalogue: str) -> list[Standing]:
        """Return what stands of each item, in the order in which it was done."""
        table = _STANDING
        chosen = sa.select(table.c.item_id, table.c.kind, table.c.stars, table.c.seq).where(
            _of(table, visitor, catalogue)
        )
        with self._read() as connection:
            return [Standing(*row) for row in connection.execute(chosen.order_by(table.c.seq))]

    def ratings(self, catalogue: str) -> list[Rating]:
        """Return all ratings that stand in a catalogue, in the order of the log: what every replay starts from."""
        chosen = sa.select(*(_STANDING.c[name] for name in Rating._fields))
        chosen = chosen.where(_STANDING.c.catalogue == catalogue, _STANDING.c.kind == "rate")
        with self._read() as connection:
            return [Rating(*row) for row in connection.execute(chosen.order_by(_STANDING.c.seq))]

    def events(
        self, visitor: str, catalogue: str | None = None, *, latest: int | None = None, source: str | None = None
    ) -> list[Event]:
        """Return a visitor's events, oldest first: of a catalogue, of a source, the latest, or all."""
        table = _EVENT
        chosen = sa.select(*(table.c[name] for name in Event._fields)).where(_of(table, visitor, catalogue))
        if source is not None:
            chosen = chosen.where(table.c.source == source)
        with self._read() as connection:
            found = connection.execute(chosen.order_by(table.c.seq.desc()).limit(latest))
            return [Event(*row) for row in found][::-1]

    def catalogues(self, visitor: str) -> list[str]:
        """Return the catalogues of which a visitor has events."""
        chosen = sa.select(_EVENT.c.catalogue).where(_EVENT.c.visitor == visitor).distinct()
        with self._read() as connection:
            return sorted(connection.execute(chosen).scalars())

    def erase(self, visitor: str) -> int:
        """Remove everything of a visitor, and record that it was done; return how many events there were."""
        with self._write() as connection:
            record = sa.insert(_ERASURE).values(visitor=visitor, ts=int(time.time())).returning(_ERASURE.c.id)
            id = connection.execute(record).scalar_one()
            connection.execute(sa.delete(_STANDING).where(_STANDING.c.visitor == visitor))
            gone = connection.execute(sa.delete(_EVENT).where(_EVENT.c.visitor == visitor)).rowcount
            connection.execute(sa.update(_ERASURE).where(_ERASURE.c.id == id).values(events=gone))
        return gone

    def rebuild(self) -> None:
        """Make the projection anew from the events."""
        everything = sa.select(_EVENT.c.visitor, _EVENT.c.catalogue, _EVENT.c.item_id).distinct()
        with self._write() as connection:
            connection.execute(sa.delete(_STANDING))
            for row in connection.execute(everything).all():
                self._project(connection, *row)

    def check(self) -> None:
        """Raise BadInput if the database does not answer."""
        with self._read() as connection:
            connection.execute(sa.select(_EVENT.c.seq).limit(1)).all()

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """Begin what is kept as a whole or not at all, one after the other in the order of the numbers."""
        with self._one_sentence("kept"), self._writing, self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_APPENDERS)))
            yield connection

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._one_sentence("read"), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def _one_sentence(self, done: str) -> Iterator[None]:
        """Turn what a full disk, a closed folder or a lost server makes a database say into BadInput."""
        try:
            yield
        except sa.exc.DBAPIError as fault:
            local = self._engine.dialect.name == "sqlite"  # a server's words may name machines
            why = f" ({str(fault.orig).partition(chr(10))[0]})" if local else ""
            raise BadInput(
                f"ratings cannot be {done} just now{why}: "
                + ("free some space or open their folder, then try again" if local else "try again in a moment")
            ) from fault

    def _project(self, connection: sa.Connection, visitor: str, catalogue: str, item_id: str) -> None:
        """Work out what stands of an item from its events, which are few."""
        of_item = sa.and_(_of(_EVENT, visitor, catalogue), _EVENT.c.item_id == item_id)
        acts: list[Any] = []
        for row in connection.execute(sa.select(_EVENT).where(of_item).order_by(_EVENT.c.seq)):
            if row.kind == "undo":
                del acts[-1:]
            else:
                acts.append(row)
        here = sa.and_(_of(_STANDING, visitor, catalogue), _STANDING.c.item_id == item_id)
        connection.execute(sa.delete(_STANDING).where(here))
        if acts and acts[-1].kind != "clear":
            last = acts[-1]
            connection.execute(
                sa.insert(_STANDING).values(
                    visitor=visitor,
                    catalogue=catalogue,
                    item_id=item_id,
                    kind=last.kind,
                    stars=last.stars,
                    seq=last.seq,
                )
            )


def _of(table: sa.Table, visitor: str, catalogue: str | None) -> sa.ColumnElement[bool]:
    mine = table.c.visitor == visitor
    return mine if catalogue is None else sa.and_(mine, table.c.catalogue == catalogue)


def _checked(event: Event) -> Event:
    if event.kind not in KINDS:
        raise BadInput(f"kind={event.kind!r} is unknown; expected one of: {', '.join(KINDS)}")
    if not _ID.fullmatch(event.event_id):
        raise BadInput(f"event_id={event.event_id!r} is not an id; expected 1 to 100 letters without spaces")
    if event.kind == "rate" and event.stars not in STARS:
        raise BadInput(f"{event.stars!r} stars are outside the scale; expected 0.5, 1, 1.5 and so on up to 5")
    return event._replace(ts=event.ts or int(time.time()), stars=event.stars if event.kind == "rate" else None)


def safe_wal(version: Sequence[int]) -> bool:
    """Tell whether a version of SQLite has a write-ahead log that cannot be corrupted by a reset."""
    newest = max(SAFE_WAL)
    return tuple(version) >= newest or any(
        tuple(version[:2]) == fixed[:2] and tuple(version) >= fixed for fixed in SAFE_WAL
    )


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the lock for writing at once: a transaction that asks for it later fails in spite of the timeout."""
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Let a commit be on the disk when it returns, and let transactions begin where we say."""
    connection.isolation_level = None
    journal = "WAL" if safe_wal(sqlite3.sqlite_version_info) else "DELETE"
    for pragma in ("busy_timeout=30000", f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
