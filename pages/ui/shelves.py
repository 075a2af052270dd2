"""Rows under the visitor's list, each with its reason: films like one they loved, lesser-known ones, other genres."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import streamlit as st

from pages.ui import board, steering
from pages.ui.board import Square
from pages.ui.escape import html
from pages.ui.own_list import OwnList, listed
from pages.ui.visitor_lists import as_histories, ranked
from pages.ui.words import words_of
from recengine.serving.explain import Reason

LENGTH = 7
"""Films of a row."""
STEERED = {
    "gems": ("obscure", "Hidden gems", "Close to your taste, and few here have rated them."),
    "different": ("surprising", "Something different", "Outside the genres you usually like."),
}
"""Key of a row -> the knob that is turned to its end for it, its title and its reason."""
BOARDS = tuple(f"board-{name}" for name in ("because", *STEERED))


class Shelf(NamedTuple):
    """One row: its title, of which the second part is a film's, and why it is there."""

    key: str
    title: tuple[str, str]
    about: str
    items: list[int]


def loved_most(why: list[Reason]) -> int | None:
    """Return the film that speaks for most of a list, of equals the one with the larger shares; None without any."""
    counts: Counter[int] = Counter()
    for reason in why:
        if reason.kind in ("contribution", "neighbour"):
            counts[reason.item_idx] += 1 + (reason.share or 0.0) / 100  # type: ignore[assignment]
    return counts.most_common(1)[0][0] if counts else None


def shelves(above: OwnList) -> list[Shelf]:
    """Return the rows; no film stands in two of them, nor in the list or among the films to rate that the page shows,
    and none that is rated or put aside."""
    dataset, model, mine, positive, result = above[:5]
    gone, rows = {*above.items, *st.session_state.get("rate hand", [])}, []
    seed = loved_most(above.why)
    if seed is not None and "similar" in model.abilities:
        can_be_listed = (result.scores[0] > -np.inf).numpy()
        near = model.similar_items([seed], k=min(60, dataset.n_items - 1)).items
        items = [item for item in listed(near.numpy()) if can_be_listed[item] and item not in gone][:LENGTH]
        verb = "liked" if words_of(dataset).is_implicit else "loved"
        rows.append(Shelf("because", (f"Because you {verb}", dataset.films[seed][1]), "The most similar films.", items))
        gone.update(items)
    histories = as_histories(dataset, mine.events, [len(mine.events)], positive)
    for key, (knob, title, about) in STEERED.items():
        knobs = steering.chosen_knobs(dataset).turned(knob, 1.0)
        by_knob = steering.steered(dataset, positive, knobs)
        best = listed(ranked(result, histories, positive, LENGTH + len(gone), by_knob))
        items = [item for item in best if item not in gone][:LENGTH]
        rows.append(Shelf(key, (title, ""), about, items))
        gone.update(items)
    return [row for row in rows if row.items]


def draw(above: OwnList) -> None:
    """Draw the rows; hidden gems say for each film why it is there. What is different has no film to thank for it."""
    words, marked = words_of(above.dataset), set(above.mine.marked("watchlist"))
    for row in shelves(above):
        start, title = row.title
        st.html(
            f'<h2 class="row-title">{html(words.say(start))} {html(title)}</h2>'
            f'<p class="status-line">{html(words.say(row.about))}</p>'
        )
        notes = [("", "", "")] * len(row.items)
        if row.key == "gems":
            notes = above.notes(row.items)
        squares = [
            Square(item, mark="watchlist" if item in marked else "", note=note)
            for item, note in zip(row.items, notes, strict=True)
        ]
        board.draw(
            above.dataset,
            squares,
            key=f"board-{row.key}",
            acknowledged=above.mine.acknowledged,
            label=f"{words.say(start)} {title}".strip(),
            layout="row",
        )
