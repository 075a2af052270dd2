"""This visitor's ratings: every act is in the log before the page is drawn from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from pages.hosting.logs import log_event
from pages.hosting.visitor import account_id, browser_id, check_limit, visitor_id
from pages.ui.datasets import origin_of
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.matching import Match
from recengine.data.sources import SOURCES
from recengine.serving.event_log import Event, EventLog, imported, located

BATCH = 20
"""Events that are appended together, all or none: after a long time offline there may be more than a limit allows."""
REMEMBERED = 400
"""Latest events that are acknowledged to a board; a browser sends at most half as many at once."""


@dataclass(frozen=True)
class VisitorRatings:
    """What stands of a visitor's acts on a data set.

    events       : ratings in the order given, each the latest of its film
    passed       : films marked as not interesting
    acknowledged : ids of the latest acts on boards, oldest first
    """

    events: Sequence[Event]
    passed: frozenset[int]
    acknowledged: Sequence[str]

    @cached_property
    def stars(self) -> dict[int, float]:
        """Return item index -> stars, in the order given; a film that is rated again moves to the end."""
        return {event.item_idx: event.stars for event in self.events if event.stars is not None}


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
    standing = located(log.standing(*key), dataset.item_index_of)
    return VisitorRatings(
        [event for event in standing if event.kind == "rate"],
        frozenset(event.item_idx for event in standing if event.kind == "pass"),
        [event.event_id for event in log.events(*key, latest=REMEMBERED, source="app")],
    )


def append(dataset: Dataset, events: Sequence[Event]) -> None:
    """Append events to the log. What is there already changes nothing.

    Raises BadInput where the app is hosted and there are too many: the first are kept, the rest is sent again.
    """
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        check_limit("rating", len(batch))
        log_event("ratings were kept", count=event_log().append(visitor_id(), catalogue(dataset), batch))


def import_ratings(dataset: Dataset, source: str, matches: Iterable[Match]) -> tuple[int, int]:
    """Append the ratings of a file, all or none; return how many are new, and how many films were rated here since.

    A rating that was taken back comes in again.
    """
    log, key = event_log(), (visitor_id(), catalogue(dataset))
    latest: dict[str, int] = {}
    undone: dict[str, str] = {}
    for event in log.events(*key):
        latest[event.item_id] = max(event.timestamp, latest.get(event.item_id, 0))
        undone.pop(event.item_id, None)
        if event.kind == "undo":
            undone[event.item_id] = event.event_id
            latest.pop(event.item_id)
    rows = [(str(dataset.item_ids[m.item_idx]), m.row.stars, m.row.date, m.row.ts) for m in matches]
    wanted = [row for row in rows if not 0 < row[3] < latest.get(row[0], 0)]
    events = [
        event._replace(event_id=f"{undone[event.item_id][:60]}-again") if event.item_id in undone else event
        for event in imported(*key, source, wanted)
    ]
    new = log.append(*key, events)
    log_event("ratings were brought in", count=new)
    return new, len(rows) - len(wanted)


def unclaimed() -> int:
    """Return the number of events of this browser from before its visitor signed in, not yet their account's."""
    return 0 if account_id() is None else len(event_log().events(browser_id()))


def claim() -> None:
    """Move this browser's events to the account that its visitor has signed in to."""
    owner = account_id()
    if owner is None:
        return
    log = event_log()
    for name in log.catalogues(browser_id()):
        events = log.events(browser_id(), name)
        log.append(owner, name, [event._replace(event_id=f"{event.event_id[:90]}-claimed") for event in events])
    log.erase(browser_id())
