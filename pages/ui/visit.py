"""What this visitor has rated here: every act is in the log before anything is drawn, and the rest follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from pages.hosting.logs import tell
from pages.ui.board import Act
from pages.ui.jobs import account, allow, browser, visitor
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.matching import Match
from recengine.serving.event_log import Event, EventLog, imported

AT_ONCE = 20
"""Acts that are kept together, all or none: who was offline for long sends more than a limit lets through."""
REMEMBERED = 400
"""The latest acts that a board is told of as kept; a browser sends no more than half as many at once."""


class Visit(NamedTuple):
    """The state of a visitor on a data set.

    ratings : item index -> stars, in the order in which they were given; a film that is rated again moves to the end
    passed  : films put aside
    acts    : ids of what was done on boards lately, oldest first
    """

    ratings: dict[int, float]
    passed: set[int]
    acts: list[str]


@st.cache_resource(max_entries=2, show_spinner=False)
def _log(home: str) -> EventLog:
    return EventLog()


def log() -> EventLog:
    """Return the one log of this process."""
    return _log(str(settings.home()))


def catalogue(dataset: Dataset) -> str:
    """Return the name under which ratings of a data set are kept; a visitor's own data goes by its content."""
    own = dataset is st.session_state.get("uploaded")
    return f"own {dataset.fingerprint}" if own else dataset.name


def now(dataset: Dataset) -> Visit:
    """Return the state of this visitor on a data set, of the films that it has."""
    ratings: dict[int, float] = {}
    passed: set[int] = set()
    for row in log().standing(visitor(), catalogue(dataset)):
        place = dataset.place_of.get(row.item_id)
        if place is None:  # of another edition
            continue
        if row.kind == "pass":
            passed.add(place)
        elif row.stars is not None:
            ratings[place] = row.stars
    done = log().events(visitor(), catalogue(dataset), latest=REMEMBERED, source="app")
    return Visit(ratings, passed, [event.event_id for event in done])


def keep(dataset: Dataset, events: Sequence[Event]) -> int:
    """Keep events, and return how many were new. Raises BadInput where the app is hosted and they are too many."""
    allow("rating", len(events))
    new = log().append(visitor(), catalogue(dataset), events)
    tell("ratings were kept", count=new)
    return new


def bring_in(dataset: Dataset, source: str, matches: Iterable[Match]) -> tuple[int, int]:
    """Keep the ratings of a file, all or none; return how many are new, and how many films were rated here since."""
    mine = visitor(), catalogue(dataset)
    here: dict[str, int] = {}
    for event in log().events(*mine):
        here[event.item_id] = max(event.ts, here.get(event.item_id, 0))
    rows = [(str(dataset.item_ids[m.item_idx]), m.row.stars, m.row.date, m.row.ts) for m in matches]
    wanted = [row for row in rows if not 0 < row[3] < here.get(row[0], 0)]
    new = log().append(*mine, imported(*mine, source, wanted))
    tell("ratings were brought in", count=new)
    return new, len(rows) - len(wanted)


def unclaimed() -> int:
    """Return how many films somebody rated in this browser before they signed in, that are not their account's yet."""
    return 0 if account() is None else len(log().events(browser()))


def claim() -> None:
    """Make what was rated in this browser before signing in the account's; the browser's own log is erased."""
    mine = account()
    if mine is None:
        return
    for name in log().catalogues(browser()):
        events = log().events(browser(), name)
        log().append(mine, name, [event._replace(event_id=f"{event.event_id[:90]}-claimed") for event in events])
    log().erase(browser())


def take(dataset: Dataset, acts: Sequence[Act]) -> None:
    """Keep what was done on a board; what is kept already changes nothing.

    Raises BadInput where the app is hosted and they are too many: the first are kept, and the rest is sent again.
    """
    events = [Event(a.id, a.kind, str(dataset.item_ids[a.item_idx]), a.stars or None) for a in acts]
    for start in range(0, len(events), AT_ONCE):
        keep(dataset, events[start : start + AT_ONCE])


def histories(dataset: Dataset, ratings: dict[int, float], lengths: Sequence[int]) -> Interactions:
    """Return the first ratings of the visitor as those of people 0, 1, ...: one for each length."""
    items, stars = list(ratings), [dataset.in_scale(value) for value in ratings.values()]
    place = np.concatenate([np.arange(n) for n in lengths]).astype(np.int64)
    return Interactions.from_pairs(
        np.repeat(np.arange(len(lengths)), lengths),
        np.asarray(items, np.int64)[place],
        n_users=len(lengths),
        n_items=dataset.n_items,
        rating=np.asarray(stars, np.float64)[place],
        timestamp=place,
    )
