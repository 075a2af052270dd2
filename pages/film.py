"""Film: a film, what you make of it and the model expects of you, and films like it, or like several at once."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.ui import caches, cards, film_mix, film_similar, film_yours, messages, sidebar
from pages.ui.address import link
from pages.ui.escape import markdown
from pages.ui.film_facts import backdrop_html, film_html
from pages.ui.film_mix import Mix
from pages.ui.words import words_of
from recengine.data.dataset import Dataset

TRAIL = 6
"""Films of the trail that are shown."""
STYLE = Path(__file__).parent / "ui" / "film.css"


def walked(dataset: Dataset, item_id: str) -> list[str]:
    """Return the ids of the films on the way to this one; a film seen before shortens the trail to it."""
    of_dataset, trail = st.session_state.get("trail", ("", []))
    if of_dataset != dataset.fingerprint:
        trail = []
    trail = trail[: trail.index(item_id)] if item_id in trail else trail
    trail = [*trail, item_id][-TRAIL:]
    st.session_state["trail"] = dataset.fingerprint, trail
    return trail


@st.fragment
def find_film(mix: Mix) -> None:
    """Draw the search for a film, to look at or to add to the mix; typing reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        query = st.text_input(
            words_of(dataset).say("Find a film"),
            type="search",
            live="200ms",
            placeholder="A title, as you remember it",
            key=f"find_film_{st.session_state.get('item')}",
        )
        if not query:
            return
        matches = caches.title_search(dataset).find(query)
        messages.search_note(query, matches)
        with st.container(horizontal=True, gap="xsmall", key="matches"):
            for item in matches.films:
                it = cards.film(dataset, item)
                link("film.py", markdown(cards.named(it)), item=it.item_id)
        if mix.seeds and len(mix.films) < film_mix.MOST:
            with st.container(horizontal=True, gap="xsmall", key="matches-add"):
                st.html('<span class="legend">Or find more like both</span>', width="content")
                for item in matches.films:
                    if item not in mix.films:
                        more = film_mix.write(dataset, mix.more_like(item))
                        link("film.py", markdown(dataset.films[item][1]), icon=":material/add:", item=more)


def draw_trail(dataset: Dataset, trail: list[str]) -> None:
    """Draw the trail, each film a link back to it."""
    if len(trail) < 2:
        return
    with st.container(horizontal=True, gap="xsmall", key="trail"):
        st.html('<span class="legend">Your trail</span>', width="content")
        for item_id in trail[:-1]:
            it = cards.film(dataset, int(dataset.item_index([item_id])[0]))
            link("film.py", markdown(it.title), item=item_id)


@st.fragment
def draw_film(ready: sidebar.Ready, seed: int) -> None:
    """Draw one film with the visitor's part in it; a star reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        mine = film_yours.keep(ready.dataset)
        with st.container(key="seed"):
            with st.container():
                if picture := backdrop_html(ready.dataset, seed):
                    st.html(picture)
            poster, facts = st.columns([1, 4], gap="medium")
        with poster:
            film_yours.draw_board(ready.dataset, mine, seed)
        with facts:
            st.html(film_html(ready.dataset, seed))
            film_yours.draw_aside(ready.dataset, mine, seed)
        film_yours.draw(ready, mine, seed)


def start_films(dataset: Dataset) -> None:
    """Draw the films with the most ratings, to start from."""
    words = words_of(dataset)
    st.html(f'<h2 class="row-title">{words.say("Or start with a well-known film")}</h2>')
    known, chosen = (
        dataset.ratings.item_counts.argsort(kind="stable")[::-1][:10],
        "chosen" if words.is_implicit else "rated",
    )
    with st.grid(5, min_column_width=150, gap="medium", key="start"):
        for position, item in enumerate(known):
            n = int(dataset.ratings.item_counts[item])
            cards.card(
                cards.film(dataset, int(item)),
                key=f"start-{position}",
                note=f"{chosen} by <b>{n:,}</b> {words.viewers}",
            )


st.html(STYLE)
find, mix = st.container(), Mix()
ready = sidebar.ready()
with messages.catch_bad_input(messages.back_link("film.py", words_of(ready.dataset).say("Start from another film"))):
    mix = film_mix.current(ready.dataset)
    if not mix.seeds:
        start_films(ready.dataset)
    else:
        with st.container():  # always there, so that the film below does not move
            draw_trail(ready.dataset, walked(ready.dataset, str(ready.dataset.item_ids[mix.seeds[-1]])))
        if len(mix.films) == 1:
            draw_film(ready, mix.seeds[0])
            film_similar.draw_series(ready.dataset, mix.seeds[0])
        else:
            film_mix.draw(ready.dataset, mix)
        film_similar.draw(ready, mix)
with find:  # last: its key follows the film
    find_film(mix)
