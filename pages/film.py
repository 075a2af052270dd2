"""Film: a film, the films that the model finds most similar, and the trail so far."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.ui import caches, cards, messages, recipes, sidebar
from pages.ui.address import link, recall, record
from pages.ui.escape import html, markdown
from pages.ui.film_facts import facts_html
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.models.abilities import BlendsLikeness
from recengine.serving import likeness

TRAIL = 6
"""Films of the trail that are shown."""


def current_film(dataset: Dataset) -> int | None:
    """Return the film in the address, else the last one looked at, if any. Raises BadInput for an unknown id."""
    recall("item", "", str, of_dataset=True)
    if not st.session_state["item"]:
        return None
    item_idx = int(dataset.item_index([st.session_state["item"]])[0])
    record("item", None)
    return item_idx


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
def find_film() -> None:
    """Draw the search for a film; typing reruns this part alone."""
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
            for item_idx in matches.films:
                it = cards.film(dataset, item_idx)
                link("film.py", markdown(cards.named(it)), item=it.item_id)


def draw_trail(dataset: Dataset, trail: list[str]) -> None:
    """Draw the trail, each film a link back to it."""
    if len(trail) < 2:
        return
    with st.container(horizontal=True, gap="xsmall", key="trail"):
        st.html('<span class="legend">Your trail</span>', width="content")
        for item_id in trail[:-1]:
            it = cards.film(dataset, int(dataset.item_index([item_id])[0]))
            link("film.py", markdown(it.title), item=item_id)


def parts_of(dataset: Dataset, item: int, column: str) -> list[str]:
    """Return the words that an item's column joins by `|`, or none where the data has no such column."""
    if column not in dataset.items:
        return []
    value = dataset.items[column].iloc[item]
    return [] if pd.isna(value) else [word for word in str(value).split("|") if word]


def seed_card(dataset: Dataset, item: int) -> None:
    """Draw the film with its director, genres, keywords and ratings."""
    it, words = cards.film(dataset, item), words_of(dataset)
    n = int(dataset.ratings.item_counts[item])
    ratings = dataset.ratings.rating[dataset.ratings.item_idx == item]
    director = ", ".join(parts_of(dataset, item, "director"))
    genres = ", ".join(part for part in it.genres.split("|") if part)
    tags = (parts_of(dataset, item, "keywords") or parts_of(dataset, item, "tags"))[:8]
    lines = [" · ".join(part for part in (str(it.year or ""), genres) if part)]
    meta = "".join(f'<p class="meta">{html(line)}</p>' for line in lines if line)
    if director:
        meta += f'<p class="meta">Directed by <b>{html(director)}</b></p>'
    rated = f"No {words.ratings} yet"
    if n:
        rated = _rated_by(words, n, float(ratings.mean())) + (" (simulated)" if dataset.simulated else "")
    chips = "".join(f"<span>{html(word)}</span>" for word in tags)
    st.html(
        f'<section class="seed"><div class="poster">{cards.poster_html(it)}</div><div class="facts">'
        f'<h2>{html(it.title)}</h2>{meta}<p class="meta">{rated}</p><div class="words">{chips}</div>'
        f"{facts_html(dataset, item, it)}</div></section>"
    )


def _rated_by(words: Words, count: int, mean: float) -> str:
    """Return how many rated an item and how, as HTML."""
    by = f"<b>{count:,}</b> {words.viewers}"
    return f"Chosen by {by}" if words.is_implicit else f"Rated by {by}, <b>{words.amount(mean, '.1f')}</b> on average"


def in_common(dataset: Dataset, seed: int, item: int) -> str:
    """Return what two films share according to the data, as HTML: a fact, not the cause of their similarity."""

    def shared(column: str) -> list[str]:
        theirs = set(parts_of(dataset, item, column))
        return [word for word in parts_of(dataset, seed, column) if word in theirs]

    parts = ["same director"] if shared("director") else []
    if words := [*shared("keywords"), *shared("tags")][: 3 - len(parts)]:
        parts.append(f"both: <b>{html(', '.join(words))}</b>")
    if not parts and (genres := shared("genres")):
        parts.append(f"both: <b>{html(', '.join(genres[:3]))}</b>")
    return " · ".join(parts) or "liked by the same people"


def neighbours(ready: sidebar.Ready, seed: int) -> None:
    """Draw the most similar films."""
    dataset, model = ready.dataset, ready.trained.model
    words = words_of(dataset)
    if "similar" not in model.abilities:
        name = recipes.label(sidebar.choice().model)
        why = words.say("does not compare films") if model.is_personalised else "is the same for everyone"
        messages.error(f"{name} {why}, so it cannot tell what is similar", choose_default)
        return
    st.html('<h2 class="row-title">Most similar</h2>')
    if likeness.basis(model, seed) == "content":
        st.caption(words.say(f"By content: only {dataset.ratings.item_counts[seed]:,} ratings."))
    ranking = model.similar_items(seed, k=min(10, dataset.n_items - 1))
    near = [(int(i), float(s)) for i, s in zip(ranking.items[0], ranking.scores[0], strict=True) if i >= 0]
    strongest = None if isinstance(model, BlendsLikeness) else near[0][1]
    most = strongest or 1.0
    with st.grid(5, min_column_width=150, gap="medium", key="near"):
        for rank, (item, similarity) in enumerate(near, start=1):
            cards.card(
                cards.film(dataset, item),
                key=f"near-{rank}",
                rank=rank,
                badge=f'<i title="similarity {similarity:.2g}">{likeness.strength(similarity, strongest)}</i>',
                note=in_common(dataset, seed, item),
                bar=similarity / most if most > 0 else 0.0,
            )
    with st.expander("How similarity is measured", icon=":material/function:"):
        st.markdown(caches.similarity_text(model, words))
        if model.reference:
            st.caption(model.reference)


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


def choose_default() -> None:
    """Offer the default model, which finds similar films."""
    default = caches.DEFAULT_MODEL
    label = f"Use {recipes.label(default)} instead"
    st.button(label, type="primary", on_click=sidebar.choose, args=("model", default))


find = st.container()
ready = sidebar.ready()
with messages.catch_bad_input(messages.back_link("film.py", words_of(ready.dataset).say("Start from another film"))):
    seed = current_film(ready.dataset)
    if seed is None:
        start_films(ready.dataset)
    else:
        with st.container():  # always there, so that the film below does not move
            draw_trail(ready.dataset, walked(ready.dataset, str(ready.dataset.item_ids[seed])))
        seed_card(ready.dataset, seed)
        neighbours(ready, seed)
with find:  # last: its key follows the film
    find_film()
