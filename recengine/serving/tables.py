"""The tables of visitors' ratings, votes and links, and what guards them in the database."""

from __future__ import annotations

import sqlalchemy as sa

META = sa.MetaData()
SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
EVENT = sa.Table(
    "event",
    META,
    sa.Column("seq", SEQ, primary_key=True, autoincrement=True),
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
STANDING = sa.Table(
    "standing",
    META,
    sa.Column("visitor", sa.String(100), primary_key=True),
    sa.Column("catalogue", sa.String(200), primary_key=True),
    sa.Column("item_id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("stars", sa.Float),
    sa.Column("seq", SEQ, nullable=False),
)
VOTE = sa.Table(
    "vote",
    META,
    sa.Column("seq", SEQ, primary_key=True, autoincrement=True),
    sa.Column("vote_id", sa.String(100), nullable=False, unique=True),
    sa.Column("visitor", sa.String(100), nullable=False),
    sa.Column("catalogue", sa.String(200), nullable=False),
    sa.Column("winner", sa.String(100), nullable=False),
    sa.Column("loser", sa.String(100), nullable=False),
    sa.Column("ts", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
LINK = sa.Table(
    "link",
    META,
    sa.Column("token", sa.String(100), primary_key=True),
    sa.Column("visitor", sa.String(100), nullable=False, index=True),
    sa.Column("ts", sa.BigInteger, nullable=False),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
)
"""A row holds all that its token opens, so whoever can read the table needs no token: it is not hashed."""
ERASURE = sa.Table(
    "erasure",
    META,
    sa.Column("id", SEQ, primary_key=True, autoincrement=True),
    sa.Column("visitor", sa.String(100), nullable=False),
    sa.Column("ts", sa.BigInteger, nullable=False),
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
