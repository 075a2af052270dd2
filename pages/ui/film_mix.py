"""Films to find others by: one, or several at once, and those to steer away from; all of them in the address."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

import streamlit as st

from pages.ui import cards
from pages.ui.address import link, recall, record
from pages.ui.escape import html, markdown
from pages.ui.reason_words import listed
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.errors import BadInput

MOST = 6
"""Films that can be mixed."""


class Mix(NamedTuple):
    """Item indices of the films that others shall be like, and unlike."""

    seeds: tuple[int, ...] = ()
    away: tuple[int, ...] = ()

    @property
    def films(self) -> tuple[int, ...]:
        return self.seeds + self.away

    def more_like(self, item: int) -> Mix:
        return Mix((*self.seeds, item), self.away)

    def less_like(self, item: int) -> Mix:
        return Mix(self.seeds, (*self.away, item))

    def without(self, item: int) -> Mix:
        return Mix(*(tuple(one for one in films if one != item) for films in self))


def read(dataset: Dataset, text: str) -> Mix:
    """Return the films that a text of the address names. Raises BadInput for an unknown id.

    It is an id as it is, or ids between commas, percent-encoded, with `!` before those to steer away from.
    """
    if text in dataset.item_index_of or not set(",!") & set(text):
        return Mix((int(dataset.item_index([text])[0]),)) if text else Mix()
    parts = list(dict.fromkeys(filter(None, text.split(","))))[:MOST]
    ids = [unquote(part.removeprefix("!")) for part in parts]
    films = list(zip(dataset.item_index(ids).tolist(), parts, strict=True))
    seeds = tuple(item for item, part in films if not part.startswith("!"))
    return Mix(seeds, tuple(item for item, part in films if part.startswith("!") and item not in seeds))


def write(dataset: Dataset, mix: Mix) -> str:
    """Return the text that `read` reads."""
    if len(mix.films) == 1 and mix.seeds:
        return str(dataset.item_ids[mix.seeds[0]])
    ids = [quote(str(dataset.item_ids[item]), safe="") for item in mix.films]
    return ",".join(ids[: len(mix.seeds)] + ["!" + id for id in ids[len(mix.seeds) :]])


def current(dataset: Dataset) -> Mix:
    """Return the films in the address, else those last looked at, if any. Raises BadInput for an unknown id."""
    recall("item", "", str, of_dataset=True)
    try:
        mix = read(dataset, st.session_state["item"])
    except BadInput as unknown:  # the ids of the others, which it names, help no visitor
        problem, remedy = "is not in this catalogue", "search by its title"
        raise BadInput(unknown.field, unknown.value, remedy=remedy, problem=problem) from unknown
    if mix.films:
        record("item", None)
    return mix


def draw(dataset: Dataset, mix: Mix) -> None:
    """Draw what several films others are sought by, each with a way to take it out."""
    titles = [f"<b>{html(dataset.films[item][1])}</b>" for item in mix.films]
    like, unlike = listed(titles[: len(mix.seeds)]), listed(titles[len(mix.seeds) :])
    all_of = "" if len(mix.seeds) < 3 else " all of"
    st.html(f'<h2 class="row-title mixed">More like{all_of} {like}{f", less like {unlike}" if unlike else ""}</h2>')
    with st.container(horizontal=True, wrap=False, key="shelf-mix", gap="small"):
        for position, item in enumerate(mix.films):
            it, rest = cards.film(dataset, item), mix.without(item)
            with st.container():
                cards.card(it, key=f"mix-{position}", badge="" if item in mix.seeds else "less like", small=True)
                with st.container(key=f"mix-by-{position}"):
                    if rest.seeds:
                        text = f"Remove {markdown(it.title)}"
                        link("film.py", text, icon=":material/close:", item=write(dataset, rest))


def actions(dataset: Dataset, mix: Mix, item: int, key: str) -> None:
    """Draw the links that add a film to the mix or steer away from it, where there is room for one more."""
    if item in mix.films or len(mix.films) >= MOST:
        return
    title = markdown(dataset.films[item][1])
    with st.container(horizontal=True, gap="xsmall", key=f"mix-by-{key}"):
        more, less = write(dataset, mix.more_like(item)), write(dataset, mix.less_like(item))
        link("film.py", f"More like {title} too", icon=":material/add:", item=more)
        link("film.py", f"Less like {title}", icon=":material/remove:", item=less)


def caption(dataset: Dataset) -> None:
    """Draw what the two links below a card do."""
    text = "\\+ finds more like that film too; − steers away from it."
    st.caption(words_of(dataset).say(text))
