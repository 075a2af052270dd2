"""The log of visitors' ratings: append-only, with a projection of the events that stand.

    log = EventLog()                                     # DATABASE_URL, or RECENGINE_HOME/ratings.db
    log.append("ann", "sample", [rated("839", 4.5)])     # durable when this returns
    log.standing("ann", "sample")                        # the latest event of each item, undone ones left out
    log.erase("ann")                                     # deletes a visitor's events, and records that it did

Appends are idempotent by event id. An undo is an event too: it takes back the last event on its item that stands.
One `Event` is what a board sends, what is stored, and what a session learns from; raw item ids become indices here, by
`located`, and nowhere else.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from recengine import settings
from recengine.errors import BadInput
from recengine.evaluation.duel import Vote
from recengine.serving.database import database_url, engine

KINDS = ("rate", "pass", "seen", "watchlist", "clear", "undo")
"""Stars given; not interested; seen, without stars; to be seen; all of these removed; the last of them taken back."""
HERE = ("app", "persona")
"""Sources of acts whose time is that of this log; those of a file have their dates."""
STARS = tuple(half / 2 for half in range(1, 11))
_ID = re.compile(r"[!-~]{1,100}")
_APPENDERS = 0x5EC0
"""Key of the advisory lock under which PostgreSQL assigns sequence numbers in commit order."""
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
_VOTE = sa.Table(
    "vote",
    _META,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
    sa.Column("vote_id", sa.String(100), nullable=False, unique=True),
    sa.Column("visitor", sa.String(100), nullable=False),
    sa.Column("catalogue", sa.String(200), nullable=False),
    sa.Column("winner", sa.String(100), nullable=False),
    sa.Column("loser", sa.String(100), nullable=False),
    sa.Column("ts", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
_COLUMNS = ("kind", "item_id", "stars", "ts", "event_id", "source")
"""Columns of an event, in the order of the fields of `Event`."""
_SELECT = sa.select(*(_EVENT.c[name] for name in _COLUMNS))
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
    """One act of a visitor on one item, from the board that sent it to the session that learns from it.

    kind      : one of KINDS; `stars`, from 0.5 to 5, belong to `rate` alone
    item_id   : raw id, as stored
    timestamp : seconds since 1970; 0 stands for the moment at which the log keeps it
    event_id  : chosen by the sender of the event
    item_idx  : index in the catalogue that `located` was given, -1 before; not stored
    """

    kind: str
    item_id: str
    stars: float | None = None
    timestamp: int = 0
    event_id: str = ""
    source: str = "app"
    item_idx: int = -1


def rated(item_id: str, stars: float, *, event_id: str | None = None, source: str = "app") -> Event:
    """Return an event of stars given now."""
    return Event("rate", item_id, stars, event_id=event_id or uuid.uuid4().hex, source=source)


def imported(visitor: str, catalogue: str, rows: Iterable[tuple[Event, str]]) -> list[Event]:
    """Return the events of a file's rows (event, date as written) with their ids, oldest first.

    The event id is a hash of the content, so importing a file twice changes nothing.
    """
    events = []
    for event, date in sorted(rows, key=lambda row: row[0].timestamp):
        says = event.kind if event.stars is None else f"{event.stars:g}"
        content = "\x1f".join((visitor, catalogue, event.source, event.item_id, date, says))
        events.append(event._replace(event_id=uuid.uuid5(_IMPORTS, content).hex))
    return events


def located(events: Iterable[Event], index_of: Mapping[str, int]) -> list[Event]:
    """Return the events on items of a catalogue, with their indices; those on other items are left out."""
    return [e._replace(item_idx=index_of[e.item_id]) for e in events if e.item_id in index_of]


class EventLog:
    """Events in a database; one object serves all threads of a process, and processes may share the database.

    url : as `recengine.serving.database.database_url` takes it, by default `DATABASE_URL`, else a file in the home

    Every method raises BadInput, in one sentence, where the database cannot be read or written.
    """

    def __init__(self, url: str | None = None) -> None:
        address = url or settings.database()
        if address is None:
            with suppress(OSError):  # the database's message is clearer
                settings.home().mkdir(parents=True, exist_ok=True)
        self._engine = engine(database_url(address))
        self._writing = threading.Lock()
        self._has_answered = False
        self._reading = self._engine.execution_options(reads=True)
        with self._write() as connection:
            _META.create_all(connection)
            for guard in _GUARDS[self._engine.dialect.name]:
                connection.exec_driver_sql(guard)
        self._has_answered = True

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def append(self, visitor: str, catalogue: str, events: Iterable[Event]) -> int:
        """Append events in the order given, all or none; return how many are new. When this returns they are durable.

        Raises BadInput for an invalid event: an unknown kind, stars that are not halves from 0.5 to 5.
        """
        rows = [_checked(event) for event in events]
        insert = self._insert(_EVENT).on_conflict_do_nothing(index_elements=["event_id"])
        new = 0
        with self._write() as connection:
            changed: dict[str, None] = {}
            now = self._now(connection, visitor)
            for row in rows:
                row = row._replace(timestamp=row.timestamp or now)
                values = dict(zip(_COLUMNS, row, strict=False), visitor=visitor, catalogue=catalogue)
                if connection.execute(insert.values(values).returning(_EVENT.c.seq)).first() is not None:
                    new += 1
                    changed[row.item_id] = None
            for item_id in changed:
                self._project(connection, visitor, catalogue, item_id)
        return new

    def standing(self, visitor: str, catalogue: str) -> list[Event]:
        """Return the event that stands of each item, in the order in which they were made."""
        query = _SELECT.join(_STANDING, _STANDING.c.seq == _EVENT.c.seq).where(_of(_STANDING, visitor, catalogue))
        with self._read() as connection:
            return [Event(*row) for row in connection.execute(query.order_by(_STANDING.c.seq))]

    def ratings(self, catalogue: str) -> list[tuple[str, Event]]:
        """Return all ratings that stand in a catalogue, each with its visitor, in the order of the log."""
        query = _SELECT.add_columns(_EVENT.c.visitor).join(_STANDING, _STANDING.c.seq == _EVENT.c.seq)
        query = query.where(_STANDING.c.catalogue == catalogue, _STANDING.c.kind == "rate")
        with self._read() as connection:
            return [(row[-1], Event(*row[:-1])) for row in connection.execute(query.order_by(_STANDING.c.seq))]

    def events(
        self, visitor: str, catalogue: str | None = None, *, latest: int | None = None, source: str | None = None
    ) -> list[Event]:
        """Return a visitor's events, oldest first: of a catalogue, of a source, the latest, or all."""
        query = _SELECT.where(_of(_EVENT, visitor, catalogue))
        if source is not None:
            query = query.where(_EVENT.c.source == source)
        with self._read() as connection:
            rows = connection.execute(query.order_by(_EVENT.c.seq.desc()).limit(latest))
            return [Event(*row) for row in rows][::-1]

    def catalogues(self, visitor: str) -> list[str]:
        """Return the catalogues of which a visitor has events."""
        query = sa.select(_EVENT.c.catalogue).where(_EVENT.c.visitor == visitor).distinct()
        with self._read() as connection:
            return sorted(connection.execute(query).scalars())

    def vote(self, catalogue: str, vote: Vote, vote_id: str) -> None:
        """Keep which of two models' lists a visitor prefers; a vote id that is there already changes nothing."""
        row = vote._asdict() | {"vote_id": vote_id, "catalogue": catalogue, "ts": int(time.time())}
        row["visitor"] = row.pop("voter")
        with self._write() as connection:
            connection.execute(self._insert(_VOTE).on_conflict_do_nothing(index_elements=["vote_id"]).values(row))

    def votes(self, catalogue: str) -> list[Vote]:
        """Return all visitors' votes on the lists of a catalogue, oldest first."""
        query = sa.select(_VOTE.c.visitor, _VOTE.c.winner, _VOTE.c.loser).where(_VOTE.c.catalogue == catalogue)
        with self._read() as connection:
            return [Vote(*row) for row in connection.execute(query.order_by(_VOTE.c.seq))]

    def move_votes(self, visitor: str, to: str) -> None:
        """Let a visitor's votes be another's, as when a browser's visitor signs in."""
        with self._write() as connection:
            connection.execute(sa.update(_VOTE).where(_VOTE.c.visitor == visitor).values(visitor=to))

    def erase(self, visitor: str) -> int:
        """Delete everything of a visitor, and record that it was done; return how many events there were."""
        with self._write() as connection:
            record = sa.insert(_ERASURE).values(visitor=visitor, ts=int(time.time())).returning(_ERASURE.c.id)
            id = connection.execute(record).scalar_one()
            for table in (_STANDING, _VOTE):
                connection.execute(sa.delete(table).where(table.c.visitor == visitor))
            deleted = connection.execute(sa.delete(_EVENT).where(_EVENT.c.visitor == visitor)).rowcount
            connection.execute(sa.update(_ERASURE).where(_ERASURE.c.id == id).values(events=deleted))
        return deleted

    def rebuild(self) -> None:
        """Recompute the projection from the events."""
        items = sa.select(_EVENT.c.visitor, _EVENT.c.catalogue, _EVENT.c.item_id).distinct()
        with self._write() as connection:
            connection.execute(sa.delete(_STANDING))
            for row in connection.execute(items).all():
                self._project(connection, *row)

    def ping(self) -> None:
        """Raise BadInput if the database does not answer."""
        with self._read() as connection:
            connection.execute(sa.select(_EVENT.c.seq).limit(1)).all()

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return (sqlite if self._engine.dialect.name == "sqlite" else postgresql).insert(table)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """Begin an atomic transaction; transactions commit one after the other, in the order of their numbers."""
        with self._bad_input("kept"), self._writing, self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_APPENDERS)))
            yield connection

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._bad_input("read"), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def _bad_input(self, done: str) -> Iterator[None]:
        """Turn the database's errors, of a full disk, a read-only folder or a lost server, into BadInput."""
        try:
            yield
        except (sa.exc.DBAPIError, UnicodeError) as error:
            local = self._engine.dialect.name == "sqlite"  # a server's message may name machines, or half a password
            why = f" ({str(getattr(error, 'orig', '')).partition(chr(10))[0]})" if local else ""
            remedy = "free some space or open their folder, then try again" if local else "try again in a moment"
            if not local and not self._has_answered:
                remedy = f"check the user, password, host and name in DATABASE_URL, or {remedy}"
            raise BadInput("ratings", problem=f"cannot be {done} just now{why}", remedy=remedy) from error

    def _now(self, connection: sa.Connection, visitor: str) -> int:
        """Return the time, or that of the visitor's latest act where the clock was set back: their order stays."""
        acts = sa.and_(_of(_EVENT, visitor, None), _EVENT.c.source.in_(HERE))
        latest = connection.execute(sa.select(sa.func.max(_EVENT.c.ts)).where(acts)).scalar()
        return max(int(time.time()), latest or 0)

    def _project(self, connection: sa.Connection, visitor: str, catalogue: str, item_id: str) -> None:
        """Compute which event of an item stands, from its events, which are few."""
        of_item = sa.and_(_of(_EVENT, visitor, catalogue), _EVENT.c.item_id == item_id)
        stack: list[Any] = []
        for row in connection.execute(sa.select(_EVENT).where(of_item).order_by(_EVENT.c.seq)):
            if row.kind == "undo":
                del stack[-1:]
            else:
                stack.append(row)
        projected = sa.and_(_of(_STANDING, visitor, catalogue), _STANDING.c.item_id == item_id)
        connection.execute(sa.delete(_STANDING).where(projected))
        if stack and stack[-1].kind != "clear":
            values = {column.name: getattr(stack[-1], column.name) for column in _STANDING.c}
            connection.execute(sa.insert(_STANDING).values(values))


def _of(table: sa.Table, visitor: str, catalogue: str | None) -> sa.ColumnElement[bool]:
    of_visitor = table.c.visitor == visitor
    return of_visitor if catalogue is None else sa.and_(of_visitor, table.c.catalogue == catalogue)


def _checked(event: Event) -> Event:
    if event.kind not in KINDS:
        raise BadInput("kind", event.kind, f"one of: {', '.join(KINDS)}", problem="is unknown")
    if not _ID.fullmatch(event.event_id):
        raise BadInput("event_id", event.event_id, "1 to 100 characters without spaces", problem="is not an id")
    if event.kind == "rate" and event.stars not in STARS:
        raise BadInput("stars", event.stars, "0.5, 1, 1.5 and so on up to 5", problem="are outside the scale")
    return event._replace(stars=event.stars if event.kind == "rate" else None)
