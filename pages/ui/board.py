"""The board: a grid of films that are rated in half stars where they stand, drawn by one component."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from pages.ui import cards
from pages.ui.text import plain
from recengine.data.dataset import Dataset
from recengine.errors import BadInput

_HERE = Path(__file__).parent
STARS = tuple(half / 2 for half in range(1, 11))
_MOST = 200
"""Events that are read of one message: a person cannot click more before Python has answered."""
_ID = re.compile(r"[0-9a-f]{32}")
_board = st.components.v2.component(
    "recengine_board",
    html='<div class="board"></div>\n<!-- filled by board.js -->',
    css=(_HERE / "board.css").read_text(encoding="utf-8"),
    js=(_HERE / "board.js").read_text(encoding="utf-8"),
)


class Act(NamedTuple):
    """What a person did on the board: `rate` with stars, `undo` of what they did to a film last, or `pass` on it."""

    id: str
    kind: str
    item_idx: int
    stars: float


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
) -> None:
    """Draw films to rate. What is done to them is there to be read, by `done`, when the page is drawn again.

    acknowledged : ids of acts that are kept already and need not be sent again
    passing : whether a film can be put aside
    """
    _board(
        key=key,
        data={
            "cards": [_card(dataset, square) for square in squares],
            "acknowledged": list(acknowledged),
            "passing": passing,
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
        "poster": cards.poster_address(it),
        "note": [plain(part) for part in square.note],
    }


def done(dataset: Dataset, key: str, acknowledged: Collection[str]) -> list[Act]:
    """Return what was done on a board and is not acknowledged, oldest first.

    To be asked at the start of every run, not in a callback: a click that comes soon after may cut a callback off,
    which is not called again. What the browser sent stays until it sends something else.
    """
    sent = (st.session_state.get(key) or {}).get("events")
    return [act for act in read(dataset, sent) if act.id not in acknowledged]


def read(dataset: Dataset, sent: Any) -> list[Act]:
    """Return the acts of a message from the browser, which may hold anything: what is no act is left out."""
    if not isinstance(sent, list):
        return []
    found = []
    for event in sent[-_MOST:]:
        event = event if isinstance(event, dict) else {}
        id, kind, item, stars = (event.get(name) for name in ("id", "kind", "item", "stars"))
        given = float(stars) if kind == "rate" and isinstance(stars, int | float) and stars is not True else 0.0
        fits = given in STARS if kind == "rate" else kind in ("undo", "pass")
        if fits and isinstance(item, str) and isinstance(id, str) and _ID.fullmatch(id):
            with suppress(BadInput):
                place = int(dataset.item_index([item])[0])
                found.append(Act(id, str(kind), place, given))
    return found
