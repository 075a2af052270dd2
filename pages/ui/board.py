"""The board: a grid of films to rate in half stars, all in one component."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from pages.ui import cards
from pages.ui.escape import plain
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.serving.event_log import STARS, Event, located

_HERE = Path(__file__).parent
_MOST = 200
"""Events that are read of one message: more than anyone can click before Python answers."""
_ID = re.compile(r"[0-9a-f]{32}")
_board = st.components.v2.component(
    "recengine_board",
    html='<div class="board"></div>\n<!-- filled by board.js -->',
    css=(_HERE / "board.css").read_text(encoding="utf-8"),
    js=(_HERE / "board.js").read_text(encoding="utf-8"),
)


class Square(NamedTuple):
    """One film on the board. `moved` is ▲3, ▼2, NEW or ""; the middle part of the note is set in bold."""

    item_idx: int
    stars: float = 0.0
    passed: bool = False
    rank: int | None = None
    moved: str = ""
    note: tuple[str, str, str] = ("", "", "")


def draw(
    dataset: Dataset,
    squares: Sequence[Square],
    *,
    key: str,
    acknowledged: Sequence[str],
    passing: bool = True,
    fades: bool = True,
) -> None:
    """Draw films to rate. The visitor's acts on them can be read, by `sent`, when the page is drawn again.

    acknowledged : ids of events that are in the log and need not be sent again
    passing : whether a film can be marked as not interesting
    fades   : whether the poster of a rated film fades
    """
    _board(
        key=key,
        data={
            "cards": [_card(dataset, square) for square in squares],
            "acknowledged": list(acknowledged),
            "passing": passing,
            "fades": fades,
            "starred": not words_of(dataset).is_implicit,
            "version": f"{len(acknowledged)} {hash(tuple(squares))}",
        },
        on_events_change=lambda: None,
    )


def _card(dataset: Dataset, square: Square) -> dict[str, Any]:
    it = cards.film(dataset, square.item_idx)
    genres = ", ".join(part for part in it.genres.split("|") if part)
    return {
        **square._asdict(),
        "item": it.item_id,
        "title": plain(it.title),
        "name": cards.named(it),
        "meta": plain(" · ".join(filter(None, (str(it.year or ""), genres)))),
        "is_film": it.is_film,
        "poster": cards.poster_address(it),
        "note": [plain(part) for part in square.note],
    }


def sent(dataset: Dataset, key: str) -> list[Event]:
    """Return the events in a board's last message, oldest first, some of which may be in the log already.

    Call it at the start of every run, not in a callback: a click that follows soon may cut a callback off, which is
    not called again. The message stays until the browser sends another.
    """
    return read(dataset, (st.session_state.get(key) or {}).get("events"))


def read(dataset: Dataset, message: Any) -> list[Event]:
    """Return the events of a message from the browser, which may hold anything: what is no valid event is left out."""
    if not isinstance(message, list):
        return []
    events = []
    for part in message[-_MOST:]:
        part = part if isinstance(part, dict) else {}
        id, kind, item, stars = (part.get(name) for name in ("id", "kind", "item", "stars"))
        given = float(stars) if kind == "rate" and isinstance(stars, int | float) and stars is not True else None
        fits = given in STARS if kind == "rate" else kind in ("undo", "pass")
        if fits and isinstance(item, str) and isinstance(id, str) and _ID.fullmatch(id):
            events.append(Event(str(kind), item, given, event_id=id))
    return located(events, dataset.item_index_of)
