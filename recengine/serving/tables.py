"""The tables of visitors' ratings, votes and links, and what guards them in the database."""

from __future__ import annotations

import sqlalchemy as sa

META = sa.MetaData()
SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _numbered(name: str) -> sa.Column[int]:
    """Return a column that numbers the rows."""
    return sa.Column(name, SEQ, primary_key=True, autoincrement=True)


def _text(name: str, length: int = 100, *, unique: bool = False, index: bool | None = None) -> sa.Column[str]:
    """Return a column of text that every row has."""
    return sa.Column(name, sa.String(length), nullable=False, unique=unique or None, index=index)


def _moment() -> sa.Column[int]:
    """Return the column of seconds since 1970."""
    return sa.Column("ts", sa.BigInteger, nullable=False)


EVENT = sa.Table(
    "event",
    META,
    _numbered("seq"),
    _text("event_id", unique=True),
    _text("visitor"),
    _text("catalogue", 200),
    _text("item_id", 200),
    _text("kind", 10),
    sa.Column("stars", sa.Float),
    _moment(),
    _text("source", 40),
    sa.Index("event_of_item", "visitor", "catalogue", "item_id", "seq"),
    sqlite_autoincrement=True,
)
STANDING = sa.Table(
    "standing",
    META,
    sa.Column("visitor", sa.String(100), primary_key=True),
    sa.Column("catalogue", sa.String(200), primary_key=True),
    sa.Column("item_id", sa.String(200), primary_key=True),
    _text("kind", 10),
    sa.Column("stars", sa.Float),
    sa.Column("seq", SEQ, nullable=False),
)
VOTE = sa.Table(
    "vote",
    META,
    _numbered("seq"),
    _text("vote_id", unique=True),
    _text("visitor"),
    _text("catalogue", 200),
    _text("winner"),
    _text("loser"),
    _moment(),
    sqlite_autoincrement=True,
)
LINK = sa.Table(
    "link",
    META,
    sa.Column("token", sa.String(100), primary_key=True),
    _text("visitor", index=True),
    _moment(),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
)
"""A row holds all that its token opens, so whoever can read the table needs no token: it is not hashed."""
ERASURE = sa.Table(
    "erasure",
    META,
    _numbered("id"),
    _text("visitor"),
    _moment(),
    sa.Column("events", sa.Integer),
)
GUARDS = {
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
