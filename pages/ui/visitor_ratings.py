"""This visitor's ratings: every act is in the log before the page is drawn from it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import streamlit as st

from pages.hosting import uploads
from pages.hosting.logs import log_event
from pages.hosting.visitor import account_id, browser_id, check_limit, visitor_id
from pages.ui import board, datasets
from pages.ui.datasets import origin_of
from pages.ui.jobs import jobs
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.matching import Match
from recengine.data.sources import SOURCES, is_present
from recengine.serving.event_log import KINDS, Event, EventLog, imported, located

BATCH = 20
"""Events that are appended together, all or none: after a long time offline there may be more than a limit allows."""
FORGOTTEN = (
    "This browser keeps no cookies, so your ratings last only as long as this tab. To keep them, allow cookies for "
    "this site and reload, or save them as a file under Import and export."
)
REMEMBERED = 400
"""Latest events that are acknowledged to a board; a browser sends at most half as many at once."""


_KEPT = {
    "rated": ("rate", KINDS),
    "liked": ("rate", ("seen", "watchlist", "pass")),
    "seen": ("seen", ("watchlist",)),
    "watchlist": ("watchlist", ()),
}
"""Mark of a file's row -> the kind of its event, and the kinds of what stands that it may replace."""


@dataclass(frozen=True)
class VisitorRatings:
    """What stands of a visitor's acts on a data set, the act of each film, in the order given.

    acknowledged : ids of the latest acts on boards, oldest first
    elsewhere    : how many acts stand on films that are not in this edition of the data
    """

    standing: Sequence[Event]
    acknowledged: Sequence[str]
    elsewhere: int = 0

    @cached_property
    def events(self) -> Sequence[Event]:
        """Return the ratings in the order given."""
        return [event for event in self.standing if event.kind == "rate"]

    @cached_property
    def stars(self) -> dict[int, float]:
        """Return item index -> stars, in the order given; a film that is rated again moves to the end."""
        return {event.item_idx: event.stars for event in self.events if event.stars is not None}

    @cached_property
    def passed(self) -> frozenset[int]:
        """Return the films marked as not interesting."""
        return frozenset(self.marked("pass"))

    def marked(self, kind: str) -> list[int]:
        """Return the films of a kind other than `rate`, the latest first."""
        return [event.item_idx for event in reversed(self.standing) if event.kind == kind]


@st.cache_resource(max_entries=2, show_spinner=False)
def _event_log(home: bytes) -> EventLog:
    return EventLog()


def event_log() -> EventLog:
    """Return the one log of this process."""
    return _event_log(os.fsencode(settings.home()))


def catalogue(dataset: Dataset) -> str:
    """Return the name under which ratings of a data set are kept; one without a registered name goes by its content."""
    name = origin_of(dataset).name
    return name if name in SOURCES else f"own {dataset.fingerprint}"


def current(dataset: Dataset) -> VisitorRatings:
    """Return what stands of this visitor's acts, on the films of a data set."""
    log, key = event_log(), (visitor_id(), catalogue(dataset))
    kept = log.standing(*key)
    standing = located(kept, dataset.item_index_of)
    acknowledged = [event.event_id for event in log.events(*key, latest=REMEMBERED, source="app")]
    return VisitorRatings(standing, acknowledged, len(kept) - len(standing))


def elsewhere(dataset: Dataset) -> dict[str, int]:
    """Return how many films this visitor has acted on in other data that can be opened here, by name."""
    log, visitor = event_log(), visitor_id()
    uploaded = {f"own {id.removeprefix(uploads.PREFIX)}": id for id in datasets.my_uploads()}
    counts = {}
    for kept in log.catalogues(visitor):
        name = uploaded.get(kept, kept)
        is_here = kept in uploaded or (kept in SOURCES and is_present(kept))
        if kept != catalogue(dataset) and is_here and (count := len(log.standing(visitor, kept))):
            counts[name] = count
    return counts


def unkept(dataset: Dataset, boards: Sequence[str]) -> list[Event]:
    """Return the acts on some boards that are not in the log, as far as this session knows."""
    events = [event for key in boards for event in board.sent(dataset, key)]
    if events and "acknowledged" not in st.session_state:  # a new session of a browser that has acted before
        acknowledge(current(dataset))
    return [event for event in events if event.event_id not in st.session_state["acknowledged"]]


def acknowledge(mine: VisitorRatings) -> None:
    """Note which acts are in the log; the boards' last messages may hold them still."""
    st.session_state.setdefault("acknowledged", set()).update(mine.acknowledged)


def append(dataset: Dataset, events: Sequence[Event]) -> None:
    """Append events to the log. What is there already changes nothing.

    Raises BadInput where the app is hosted and there are too many: the first are kept, the rest is sent again.
    """
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        check_limit("rating", len(batch))
        log_event("ratings were kept", count=event_log().append(visitor_id(), catalogue(dataset), batch))


class Import(NamedTuple):
    """What an import did: the ids of its new events, how many rows were left for what was rated here since, and how
    many change nothing."""

    new: Sequence[str]
    since: int
    known: int


def import_ratings(dataset: Dataset, source: str, matches: Sequence[Match]) -> Import:
    """Append what a file says of films, all or none; what is merely liked, seen or to be seen never replaces more.

    A rating that was taken back comes in again.
    """
    log, key = event_log(), (visitor_id(), catalogue(dataset))
    latest: dict[str, int] = {}
    undone: dict[str, str] = {}
    past = log.events(*key)
    for event in past:
        latest[event.item_id] = max(event.timestamp, latest.get(event.item_id, 0))
        undone.pop(event.item_id, None)
        if event.kind == "undo":
            undone[event.item_id] = event.event_id
            latest.pop(event.item_id)
    stands = {event.item_id: event.kind for event in log.standing(*key)}
    rows: list[tuple[Event, str]] = []
    since = 0
    for match in matches:
        kind, replaceable = _KEPT[match.row.mark]
        stars = match.row.stars if kind == "rate" else None
        event = Event(kind, str(dataset.item_ids[match.item_idx]), stars, match.row.ts, source=source)
        if event.item_id in stands and stands[event.item_id] not in replaceable:
            continue
        if 0 < event.timestamp < latest.get(event.item_id, 0):
            since += 1
        else:
            rows.append((event, match.row.date))
    events = [
        event._replace(event_id=f"{undone[event.item_id][:60]}-again") if event.item_id in undone else event
        for event in imported(*key, rows)
    ]
    known = {event.event_id for event in past}
    log_event("ratings were brought in", count=log.append(*key, events))
    new = [event.event_id for event in events if event.event_id not in known]
    return Import(new, since, len(matches) - len(new) - since)


def take_back(dataset: Dataset, events: Sequence[Event]) -> None:
    """Undo acts that stand, together; what stood before each stands again."""
    undo = [Event("undo", event.item_id, event_id=uuid.uuid4().hex) for event in events]
    event_log().append(visitor_id(), catalogue(dataset), undo)


def unclaimed() -> tuple[int, int]:
    """Return how many events and uploads of this browser its visitor made before they signed in to an account."""
    if account_id() is None:
        return 0, 0
    return len(event_log().events(browser_id())), len(uploads.all_of(browser_id()))


def claim() -> None:
    """Move this browser's events, votes, links, uploads and runs to the account that its visitor has signed in to."""
    owner = account_id()
    if owner is None:
        return
    log = event_log()
    for name in log.catalogues(browser_id()):
        events = log.events(browser_id(), name)
        log.append(owner, name, [event._replace(event_id=f"{event.event_id[:90]}-claimed") for event in events])
    log.move(browser_id(), owner)
    log.erase(browser_id())
    jobs().move(browser_id(), owner, uploads.move(browser_id(), owner))


def erase() -> int:
    """Delete all ratings, uploads and runs of this visitor, and return how many events there were."""
    jobs().erase(visitor_id())
    datasets.erase()
    return event_log().erase(visitor_id())
