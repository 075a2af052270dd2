"""Only from this list: the visitor's list held to their watchlist, or to titles that they paste."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import caches, kept
from pages.ui.escape import markdown
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.export import counted

SOURCES = ("Every film", "My watchlist", "Titles I paste")
ADDRESSED = {"watchlist": SOURCES[1]}
"""What the address says -> what the list is held to; titles are too long for it."""
MOST = 300
"""Lines that are read of what is pasted."""
MARK = re.compile(r"[-*•–#\s]*(?:\d{1,3}[.)]\s+)?")
"""What may stand before a title: bullets, and its number in the list."""
NAMED = 8
"""Titles without a match that are named."""


class Pasted(NamedTuple):
    """The films of some lines, and the lines that name none."""

    items: list[int]
    unknown: list[str]


def _key(dataset: Dataset, name: str) -> str:
    return f"only from {name} {dataset.fingerprint}"


def _source(dataset: Dataset) -> str:
    return str(kept.or_address(_key(dataset, "source"), SOURCES[0], "only", ADDRESSED.get))


def chosen(dataset: Dataset, mine: VisitorRatings) -> NDArray[np.int64] | None:
    """Return the films that the visitor's list is held to, or None for all."""
    source = _source(dataset)
    if source == SOURCES[1]:
        return np.array(mine.marked("watchlist"), np.int64)
    text = kept.value(_key(dataset, "titles"), "")
    if source == SOURCES[2] and text.strip():
        return np.array(_read(dataset, text).items, np.int64)
    return None


def _read(dataset: Dataset, text: str) -> Pasted:
    """Return the films of a text with one title a line; the session keeps the last answer."""
    asked = dataset.fingerprint, text
    if st.session_state.get("only from asked") != asked:
        st.session_state["only from asked"], st.session_state["only from read"] = asked, pasted(dataset, text)
    read: Pasted = st.session_state["only from read"]
    return read


def pasted(dataset: Dataset, text: str) -> Pasted:
    """Match one title a line, with or without its year, bullets and numbers; each film once."""
    search, items, unknown = caches.title_search(dataset), [], []
    for line in text.splitlines()[:MOST]:
        title = MARK.sub("", line, count=1).strip()
        if not title:
            continue
        matches = search.find(title, limit=1)
        if matches.films and not matches.nearest:
            items.append(matches.films[0])
        else:
            unknown.append(title)
    return Pasted(list(dict.fromkeys(items)), unknown)


def draw(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the choice of what the list is held to, and what of the pasted titles is not here."""
    words, source, titles = words_of(dataset), _key(dataset, "source"), _key(dataset, "titles")
    kept.record("only", next((text for text, held in ADDRESSED.items() if held == _source(dataset)), ""))
    kept.restore(source, _source(dataset))
    st.segmented_control(
        "Only from this list",
        SOURCES,
        required=True,
        format_func=words.say,
        key=source,
        on_change=kept.keep,
        args=(source,),
    )
    if _source(dataset) == SOURCES[1] and not mine.marked("watchlist"):
        st.caption("Your watchlist is empty: the bookmark under a poster adds to it.")
    if _source(dataset) == SOURCES[2]:
        kept.restore(titles, "")
        st.text_area(
            "One title a line",
            placeholder="Heat (1995)\nSpirited Away\nThe Third Man",
            height=120,
            key=titles,
            on_change=kept.keep,
            args=(titles,),
        )
        read = _read(dataset, st.session_state[titles])
        if read.items:
            st.caption(f"These titles name {counted(len(read.items), words.items)} of this catalogue.")
        if read.unknown:
            named = ", ".join(markdown(title) for title in read.unknown[:NAMED])
            rest = f" and {len(read.unknown) - NAMED} more" if len(read.unknown) > NAMED else ""
            st.caption(f"Not in this catalogue: {named}{rest}.")


def text(dataset: Dataset) -> str:
    """Return what the list is held to, in a few words; "" for all films."""
    return {SOURCES[1]: "only my watchlist", SOURCES[2]: "only my titles"}.get(_source(dataset), "")


def reset(dataset: Dataset) -> None:
    """Hold the list to nothing; what was pasted stays for the next time. For callbacks."""
    kept.change(_key(dataset, "source"), SOURCES[0])
