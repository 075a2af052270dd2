"""The board: a grid of films to rate in half stars, all in one component."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import streamlit as st

from pages.ui import cards
from pages.ui.escape import plain
from pages.ui.reason_words import parts_of
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.serving.event_log import STARS, Event, located

_HERE = Path(__file__).parent
_MOST = 200
"""Events that are read of one message: more than anyone can click before Python answers."""
_ID = re.compile(r"[0-9a-f]{32}")
_board = st.components.v2.component(
    "recengine_board",
    html='<div class="frame"><p class="says" role="status"></p><ul class="board" role="list"></ul></div>\n',
    css=(_HERE / "board.css").read_text(encoding="utf-8"),
    js=(_HERE / "board.js").read_text(encoding="utf-8"),
)


class Square(NamedTuple):
    """One film on the board, with its stars, or the kind of act that puts it aside: `pass`, `seen` or `watchlist`.

    `moved` is ▲3, ▼2, NEW or ""; the middle part of the note is set in bold.
    """

    item_idx: int
    stars: float = 0.0
    mark: str = ""
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
    label: str = "Films",
    says: tuple[str, str, str] = ("", "", ""),
    layout: Literal["", "row", "hand", "ten"] = "",
    strip: str = "",
) -> None:
    """Draw films to rate. The visitor's acts on them can be read, by `sent`, when the page is drawn again.

    acknowledged : ids of events that are in the log and need not be sent again
    passing : whether a film can be put aside: not interesting, seen, to be seen
    fades   : whether the poster of a rated film fades
    label   : what the board is called to those who do not see it
    says    : a line above the films that is read out when it changes, the middle part in bold
    layout  : `row` for one row that scrolls sideways within itself, `hand` for six films in one row or two,
              `ten` for ten films in two rows
    strip   : title of a strip with the first three films, at the bottom of a phone while the board is out of sight
    """
    words = words_of(dataset)
    query = {name: value for name, value in st.query_params.to_dict().items() if name != "item"}
    did = _board(
        key=key,
        data={
            "cards": [_card(dataset, square, query) for square in squares],
            "board": f"{key} {dataset.fingerprint}",
            "acknowledged": list(acknowledged),
            "passing": passing,
            "fades": fades,
            "starred": not words.is_implicit,
            "label": words.say(label),
            "says": [plain(part) for part in says],
            "layout": layout,
            "strip": strip,
            "version": f"{len(acknowledged)} {hash((tuple(squares), says))}",
        },
        on_events_change=lambda: None,
        on_open_change=lambda: None,
    )
    if isinstance(did.open, str) and did.open in dataset.item_index_of:
        st.switch_page("film.py", query_params=query | {"item": did.open})


def _card(dataset: Dataset, square: Square, query: Mapping[str, str]) -> dict[str, Any]:
    it = cards.film(dataset, square.item_idx)
    director = "|".join(parts_of(dataset, square.item_idx, "director"))
    about = director or it.genres
    return {
        **square._asdict(),
        "item": it.item_id,
        "title": plain(it.title),
        "name": cards.named(it),
        "meta": plain(" · ".join(filter(None, (str(it.year or ""), ", ".join(filter(None, about.split("|"))))))),
        "is_film": it.is_film,
        "address": f"film?{urlencode({**query, 'item': it.item_id})}",
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
        fits = given in STARS if kind == "rate" else kind in ("undo", "clear", "pass", "seen", "watchlist")
        if fits and isinstance(item, str) and isinstance(id, str) and _ID.fullmatch(id):
            events.append(Event(str(kind), item, given, event_id=id))
    return located(events, dataset.item_index_of)
