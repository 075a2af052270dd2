"""The visitor's own list: ten films with what moved since the last act and why each is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st
from numpy.typing import NDArray

from pages.ui import board, import_export, messages, only_from, recipes, steering, visitor_ratings
from pages.ui.board import Square
from pages.ui.escape import plain
from pages.ui.reason_words import because
from pages.ui.visitor_lists import SHOWN, as_histories, ranked
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.evaluation.policy import Scored
from recengine.export import counted
from recengine.models.base import Recommender
from recengine.serving.event_log import STARS, Event
from recengine.serving.explain import Reason, reasons
from recengine.serving.steering import Knobs

BOARD = "board-list"
TOO_FEW = 20
"""Viewers who rated a film below which a rating that changes nothing is put down to their number."""
DONE = {"pass": "is out of your list", "seen": "counts as seen", "watchlist": "is on your watchlist"}
"""Kind of an act that puts a film aside -> what that did."""


class OwnList(NamedTuple):
    """The list that is shown, with all that it follows from.

    result : the scores by which it is ranked
    items : its films, best first
    why   : the reason of each
    """

    dataset: Dataset
    model: Recommender
    mine: VisitorRatings
    positive: float
    result: Scored
    items: list[int]
    why: list[Reason]

    def notes(self, items: list[int]) -> list[tuple[str, str, str]]:
        """Return why other films are near the top, in words."""
        return notes_of(self.model, self.dataset, self.mine, items, self.positive, bool(self.result.fallback[0]))[1]


class Stand(NamedTuple):
    """What a list follows from."""

    standing: Sequence[Event]
    knobs: Knobs
    only: str


def moved(before: list[int], items: Sequence[int]) -> dict[int, str]:
    """Return ▲3, ▼2, NEW or "" for each item, against the list before; "" for all where there was none."""
    marks = {}
    for index, item in enumerate(items):
        if not before:
            marks[item] = ""
        elif item not in before:
            marks[item] = "NEW"
        else:
            rise = before.index(item) - index
            marks[item] = f"▲{rise}" if rise > 0 else f"▼{-rise}" if rise < 0 else ""
    return marks


def forget(dataset: Dataset, mine: VisitorRatings) -> None:
    """Forget the list that was shown: without a rating there is none, and the next one is the first."""
    for name in ("shown", "before", "act"):
        st.session_state.pop(f"rate {name}", None)
    st.session_state["rate stands"] = stand_of(dataset, mine)


def stand_of(dataset: Dataset, mine: VisitorRatings) -> Stand:
    """Return what the list follows from just now."""
    return Stand(mine.standing, steering.chosen_knobs(dataset), only_from.text(dataset))


def notes_of(
    model: Recommender, dataset: Dataset, mine: VisitorRatings, items: list[int], positive: float, fallback: bool
) -> tuple[list[Reason], list[tuple[str, str, str]]]:
    """Return why each of some films is listed, and that in words."""
    why = [Reason("popular")] * len(items)
    if not fallback:
        history = as_histories(dataset, mine.events, [len(mine.events)], positive)
        why = reasons(model, history, items, positive=positive, new_user=True)
    return why, [because(dataset, reason, item) for reason, item in zip(why, items, strict=True)]


def draw(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float, result: Scored) -> OwnList:
    """Draw the list, ranked by the scores in `result`, and return it."""
    state, histories = st.session_state, as_histories(dataset, mine.events, [len(mine.events)], positive)
    shown = listed(ranked(result, histories, positive, SHOWN, steering.chosen_steering(dataset, positive)))
    stand = stand_of(dataset, mine)
    if state.get("rate stands") != stand:  # the marks stay until the next act
        state["rate before"] = state.get("rate shown", [])
        state["rate act"] = what_changed(dataset, state.get("rate stands"), stand)
        state["rate stands"] = stand
    state["rate shown"] = shown
    change = moved(state["rate before"], shown)
    fallback = bool(result.fallback[0])
    why, notes = notes_of(model, dataset, mine, shown, positive, fallback)
    marked = set(mine.marked("watchlist"))
    squares = [
        Square(item, mark="watchlist" if item in marked else "", rank=rank, moved=change[item], note=notes[rank - 1])
        for rank, item in enumerate(shown, start=1)
    ]
    head = st.container(horizontal=True, vertical_alignment="center", key="list-head")
    knobs = st.container(key="knob-row")
    board.draw(  # before what stands above it: browsers paint what has come each time that messages pause
        dataset,
        squares,
        key=BOARD,
        acknowledged=mine.acknowledged,
        label="Top picks for you",
        layout="ten",
        says=says(dataset, model, mine, positive, fallback, list(change.values())),
        strip="Your top three" if shown else "",
    )
    with head:
        st.html('<h2 class="row-title">Top picks for you</h2>', width="stretch")
        _offer_undo(dataset, mine)
    with knobs:
        steering.draw(dataset, mine, model.name, positive)
    return OwnList(dataset, model, mine, positive, result, shown, why)


def listed(items: NDArray[Any]) -> list[int]:
    """Return the films of a list of one row, without the -1 at its end."""
    return [int(item) for item in items[0] if item >= 0]


def what_changed(dataset: Dataset, before: Stand | None, now: Stand) -> tuple[str, str, str]:
    """Return what the visitor did last, in three parts, the middle one a title; empty where nothing was seen."""
    if before is None:
        return "", "", ""
    old = {event.item_idx: event for event in before.standing}
    new = {event.item_idx: event for event in now.standing}
    done = [event for item, event in new.items() if old.get(item) != event]
    gone = [item for item in old if item not in new]
    if done:
        last = done[-1]
        if last.source in import_export.FROM:  # which of its films was the last one says nothing
            return f"Updated after your import from {import_export.FROM[last.source]}", "", ""
        if last.source == "persona":
            return "Updated after the ratings you borrowed", "", ""
        title = plain(dataset.films[last.item_idx][1])
        if last.kind in DONE:
            return "", title, DONE[last.kind]
        liked = words_of(dataset).is_implicit
        return "Updated after", title, "" if liked else f"({last.stars:g} ★)"
    if gone:
        return (
            "Updated without",
            plain(dataset.films[gone[-1]][1]) if len(gone) == 1 else counted(len(gone), words_of(dataset).items),
            "",
        )
    return "Updated as you steer it", "", ""


def says(
    dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float, fallback: bool, change: list[str]
) -> tuple[str, str, str]:
    """Return the line above the list: what it follows from, and what moved in it."""
    words = words_of(dataset)
    if fallback:
        least = min((stars for stars in STARS if dataset.in_scale(stars, positive) >= positive), default=max(STARS))
        act = f"Like {words.an_item}" if words.is_implicit else f"Give {words.an_item} {least:g} ★ or more"
        return f"{act} to make this list yours. Until then: what is popular.", "", ""
    start, title, end = st.session_state["rate act"]
    if not (start or title):
        made = f"{plain(recipes.label(model.name))} made this list from your {counted(len(mine.stars), words.ratings)}."
        return made, "", ""
    new, up = change.count("NEW"), sum(mark.startswith("▲") for mark in change)
    counts = [f"{count} {word}" for count, word in ((new, "new"), (up, "up")) if count]
    what = ", ".join(counts) if counts else why_not(dataset, model, mine, positive)
    return start, title, f"{end} · {what}"


def why_not(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> str:
    """Return why the last act left the list as it was."""
    if not st.session_state["rate before"]:
        return "your first list"
    last = mine.standing[-1] if mine.standing else None
    if last is None or last.kind != "rate":
        return "nothing else moved"
    words, count = words_of(dataset), int(dataset.ratings.item_counts[last.item_idx])
    if dataset.in_scale(last.stars or 0.0, positive) < positive and not model.hears_dislikes:
        return f"nothing moved: {plain(recipes.label(model.name))} does not hear dislikes"
    if count < TOO_FEW:
        return f"nothing moved: only {count:,} {words.viewers} here {words.rated} it, too few to learn from"
    return "nothing moved: your list leans this way already"


@messages.toast_errors
def _undo(dataset: Dataset, event: Event) -> None:
    """Take back the last act. For callbacks."""
    visitor_ratings.take_back(dataset, [event])


def _offer_undo(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the way to take the last act back, if it was one of this page."""
    last = mine.standing[-1] if mine.standing else None
    if last is not None and last.source == "app" and any(st.session_state["rate act"]):
        st.button(
            "Undo",
            on_click=_undo,
            args=(dataset, last),
            icon=":material/undo:",
            help="Takes your last act back",
            key="rate-undo",
        )
