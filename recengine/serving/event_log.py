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
import secrets
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
from recengine.serving.tables import ERASURE, EVENT, GUARDS, LINK, META, STANDING, VOTE

KINDS = ("rate", "pass", "seen", "watchlist", "clear", "undo")
"""Stars given; not interested; seen, without stars; to be seen; all of these removed; the last of them taken back."""
HERE = ("app", "persona")
"""Sources of acts whose time is that of this log; those of a file have their dates."""
STARS = tuple(half / 2 for half in range(1, 11))
_ID = re.compile(r"[!-~]{1,100}")
_APPENDERS = 0x5EC0
"""Key of the advisory lock under which PostgreSQL assigns sequence numbers in commit order."""
_IMPORTS = uuid.UUID("5f0d2f62-6d0c-5b0a-9a53-2f3f6b1b7c11")
_COLUMNS = ("kind", "item_id", "stars", "ts", "event_id", "source")
"""Columns of an event, in the order of the fields of `Event`."""
_SELECT = sa.select(*(EVENT.c[name] for name in _COLUMNS))
TOKEN_BYTES, MOST_LINKS = 24, 20
"""Random bytes of a link's token: 192 bits, which nobody guesses; and the links that a visitor can have."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_LINKS = sa.select(LINK.c.token, LINK.c.ts, LINK.c.snapshot)


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


class Link(NamedTuple):
    """A link that a visitor shares: what opens it, when it was made, in seconds since 1970, and what it shows."""

    token: str
    timestamp: int
    content: bytes


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
            META.create_all(connection)
            for guard in GUARDS[self._engine.dialect.name]:
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
        insert = self._insert(EVENT).on_conflict_do_nothing(index_elements=["event_id"])
        new = 0
        with self._write() as connection:
            changed: dict[str, None] = {}
            now = self._now(connection, visitor)
            for row in rows:
                row = row._replace(timestamp=row.timestamp or now)
                values = dict(zip(_COLUMNS, row, strict=False), visitor=visitor, catalogue=catalogue)
                if connection.execute(insert.values(values).returning(EVENT.c.seq)).first() is not None:
                    new += 1
                    changed[row.item_id] = None
            for item_id in changed:
                self._project(connection, visitor, catalogue, item_id)
        return new

    def standing(self, visitor: str, catalogue: str) -> list[Event]:
        """Return the event that stands of each item, in the order in which they were made."""
        query = _SELECT.join(STANDING, STANDING.c.seq == EVENT.c.seq).where(_of(STANDING, visitor, catalogue))
        with self._read() as connection:
            return [Event(*row) for row in connection.execute(query.order_by(STANDING.c.seq))]

    def ratings(self, catalogue: str) -> list[tuple[str, Event]]:
        """Return all ratings that stand in a catalogue, each with its visitor, in the order of the log."""
        query = _SELECT.add_columns(EVENT.c.visitor).join(STANDING, STANDING.c.seq == EVENT.c.seq)
        query = query.where(STANDING.c.catalogue == catalogue, STANDING.c.kind == "rate")
        with self._read() as connection:
            return [(row[-1], Event(*row[:-1])) for row in connection.execute(query.order_by(STANDING.c.seq))]

    def events(
        self, visitor: str, catalogue: str | None = None, *, latest: int | None = None, source: str | None = None
    ) -> list[Event]:
        """Return a visitor's events, oldest first: of a catalogue, of a source, the latest, or all."""
        query = _SELECT.where(_of(EVENT, visitor, catalogue))
        if source is not None:
            query = query.where(EVENT.c.source == source)
        with self._read() as connection:
            rows = connection.execute(query.order_by(EVENT.c.seq.desc()).limit(latest))
            return [Event(*row) for row in rows][::-1]

    def catalogues(self, visitor: str) -> list[str]:
        """Return the catalogues of which a visitor has events."""
        query = sa.select(EVENT.c.catalogue).where(EVENT.c.visitor == visitor).distinct()
        with self._read() as connection:
            return sorted(connection.execute(query).scalars())

    def vote(self, catalogue: str, vote: Vote, vote_id: str) -> None:
        """Keep which of two models' lists a visitor prefers; a vote id that is there already changes nothing."""
        row = vote._asdict() | {"vote_id": vote_id, "catalogue": catalogue, "ts": int(time.time())}
        row["visitor"] = row.pop("voter")
        with self._write() as connection:
            connection.execute(self._insert(VOTE).on_conflict_do_nothing(index_elements=["vote_id"]).values(row))

    def votes(self, catalogue: str) -> list[Vote]:
        """Return all visitors' votes on the lists of a catalogue, oldest first."""
        query = sa.select(VOTE.c.visitor, VOTE.c.winner, VOTE.c.loser).where(VOTE.c.catalogue == catalogue)
        with self._read() as connection:
            return [Vote(*row) for row in connection.execute(query.order_by(VOTE.c.seq))]

    def share(self, visitor: str, content: bytes) -> str:
        """Keep what a link of a visitor shows, and return its token; what is shared already keeps the one it has.

        Raises BadInput for more than `MOST_LINKS` links.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._write() as connection:
            links = connection.execute(sa.select(LINK.c.token, LINK.c.snapshot).where(LINK.c.visitor == visitor)).all()
            for known, shared in links:
                if shared == content:
                    return str(known)
            if len(links) >= MOST_LINKS:
                raise BadInput("links", problem=f"are {MOST_LINKS} at most", remedy="take one back first")
            values = {"token": token, "visitor": visitor, "ts": int(time.time()), "snapshot": content}
            connection.execute(sa.insert(LINK).values(values))
        return token

    def shared(self, token: str) -> Link | None:
        """Return the link of a token, for anybody who holds it; None where it was taken back or never was."""
        if not _TOKEN.fullmatch(token):
            return None
        with self._read() as connection:
            row = connection.execute(_LINKS.where(LINK.c.token == token)).first()
        return None if row is None else Link(*row)

    def links(self, visitor: str) -> list[Link]:
        """Return a visitor's links, the latest first."""
        with self._read() as connection:
            rows = connection.execute(_LINKS.where(LINK.c.visitor == visitor).order_by(LINK.c.ts.desc(), LINK.c.token))
            return [Link(*row) for row in rows]

    def revoke(self, visitor: str, token: str) -> bool:
        """Delete a link of a visitor, with what it shows; return whether there was one."""
        one = sa.and_(LINK.c.visitor == visitor, LINK.c.token == token)
        with self._write() as connection:
            return bool(connection.execute(sa.delete(LINK).where(one)).rowcount)

    def move(self, visitor: str, to: str) -> None:
        """Let a visitor's votes and links be another's, as when a browser's visitor signs in."""
        with self._write() as connection:
            for table in (VOTE, LINK):
                connection.execute(sa.update(table).where(table.c.visitor == visitor).values(visitor=to))

    def erase(self, visitor: str) -> int:
        """Delete everything of a visitor, and record that it was done; return how many events there were."""
        with self._write() as connection:
            record = sa.insert(ERASURE).values(visitor=visitor, ts=int(time.time())).returning(ERASURE.c.id)
            id = connection.execute(record).scalar_one()
            for table in (STANDING, VOTE, LINK):
                connection.execute(sa.delete(table).where(table.c.visitor == visitor))
            deleted = connection.execute(sa.delete(EVENT).where(EVENT.c.visitor == visitor)).rowcount
            connection.execute(sa.update(ERASURE).where(ERASURE.c.id == id).values(events=deleted))
        return deleted

    def rebuild(self) -> None:
        """Recompute the projection from the events."""
        items = sa.select(EVENT.c.visitor, EVENT.c.catalogue, EVENT.c.item_id).distinct()
        with self._write() as connection:
            connection.execute(sa.delete(STANDING))
            for row in connection.execute(items).all():
                self._project(connection, *row)

    def ping(self) -> None:
        """Raise BadInput if the database does not answer."""
        with self._read() as connection:
            connection.execute(sa.select(EVENT.c.seq).limit(1)).all()

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
        acts = sa.and_(_of(EVENT, visitor, None), EVENT.c.source.in_(HERE))
        latest = connection.execute(sa.select(sa.func.max(EVENT.c.ts)).where(acts)).scalar()
        return max(int(time.time()), latest or 0)

    def _project(self, connection: sa.Connection, visitor: str, catalogue: str, item_id: str) -> None:
        """Compute which event of an item stands, from its events, which are few."""
        of_item = sa.and_(_of(EVENT, visitor, catalogue), EVENT.c.item_id == item_id)
        stack: list[Any] = []
        for row in connection.execute(sa.select(EVENT).where(of_item).order_by(EVENT.c.seq)):
            if row.kind == "undo":
                del stack[-1:]
            else:
                stack.append(row)
        projected = sa.and_(_of(STANDING, visitor, catalogue), STANDING.c.item_id == item_id)
        connection.execute(sa.delete(STANDING).where(projected))
        if stack and stack[-1].kind != "clear":
            values = {column.name: getattr(stack[-1], column.name) for column in STANDING.c}
            connection.execute(sa.insert(STANDING).values(values))


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
