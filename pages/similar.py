"""More like this: a seed film, the films that the model places nearest to it, and the way walked so far."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.ui import caches, cards, messages, recipes, sidebar
from pages.ui.address import link, recall, record
from pages.ui.escape import html, markdown
from recengine.data.dataset import Dataset

TRAIL = 6  # films of the way that are shown


def current_seed(dataset: Dataset) -> int | None:
    """Return the film in the address, else the last one looked at, if any. Raises BadInput for an unknown id."""
    recall("item", "", str, of_dataset=True)
    if not st.session_state["item"]:
        return None
    place = int(dataset.item_index([st.session_state["item"]])[0])
    record("item", None)
    return place


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
            "Find a film",
            type="search",
            live="200ms",
            placeholder="A title, as you remember it",
            key=f"find_film_{st.session_state.get('item')}",
        )
        if not query:
            return
        found = caches.title_index(dataset).find(query, limit=8)
        if not found:
            st.caption(f"No film is called anything like “{markdown(query)}”. Try fewer letters.")
        with st.container(horizontal=True, gap="xsmall", key="found"):
            for place in found:
                it = cards.film(dataset, place)
                link("similar.py", markdown(cards.named(it)), item=it.item_id)


def draw_trail(dataset: Dataset, trail: list[str]) -> None:
    """Draw the way walked, each film a link back to it."""
    if len(trail) < 2:
        return
    with st.container(horizontal=True, gap="xsmall", key="trail"):
        st.html('<span class="legend">Your way here</span>', width="content")
        for item_id in trail[:-1]:
            it = cards.film(dataset, int(dataset.item_index([item_id])[0]))
            link("similar.py", markdown(it.title), item=item_id)


def words_of(dataset: Dataset, item: int, column: str) -> list[str]:
    """Return the words that a column joins by `|`, or none where the data has no such column."""
    if column not in dataset.items:
        return []
    value = dataset.items[column].iloc[item]
    return [] if pd.isna(value) else [word for word in str(value).split("|") if word]


def seed_card(dataset: Dataset, item: int) -> None:
    """Draw the seed film and what the data knows of it."""
    it = cards.film(dataset, item)
    n = int(dataset.ratings.item_counts[item])
    ratings = dataset.ratings.rating[dataset.ratings.item_idx == item]
    director = ", ".join(words_of(dataset, item, "director"))
    genres = ", ".join(part for part in it.genres.split("|") if part)
    tags = (words_of(dataset, item, "keywords") or words_of(dataset, item, "tags"))[:8]
    lines = [" · ".join(part for part in (str(it.year or ""), genres) if part)]
    meta = "".join(f'<p class="meta">{html(line)}</p>' for line in lines if line)
    if director:
        meta += f'<p class="meta">Directed by <b>{html(director)}</b></p>'
    told = f"Rated by <b>{n:,}</b> people, <b>{ratings.mean():.1f}</b> ★ on average" if n else "Nobody has rated it yet"
    chips = "".join(f"<span>{html(word)}</span>" for word in tags)
    st.html(
        f'<section class="seed"><div class="poster">{cards.poster_html(it)}</div><div class="facts">'
        f'<h2>{html(it.title)}</h2>{meta}<p class="meta">{told}</p><div class="words">{chips}</div></div></section>'
    )


def in_common(dataset: Dataset, seed: int, item: int) -> str:
    """Return what the data says two films share, as HTML: a fact beside the similarity, not its cause."""
    said = []
    if set(words_of(dataset, seed, "director")) & set(words_of(dataset, item, "director")):
        said.append("the director")
    for column in ("keywords", "tags"):
        theirs = set(words_of(dataset, item, column))
        said += [word for word in words_of(dataset, seed, column) if word in theirs]
    if not said:
        theirs = set(words_of(dataset, item, "genres"))
        said = [word for word in words_of(dataset, seed, "genres") if word in theirs]
    return f"both have <b>{html(', '.join(said[:3]))}</b>" if said else "nothing in common on paper"


def neighbours(ready: sidebar.Ready, seed: int) -> None:
    """Draw the nearest films with their similarity."""
    dataset = ready.dataset
    if "similar" not in ready.trained.model.abilities:
        messages.error(
            f"{recipes.label(sidebar.choice().model)} has no item vectors, so it knows no similar films; "
            "choose a model that has",
            choose_able,
        )
        return
    st.html('<h2 class="row-title">Nearest to it</h2>')
    ranking = ready.trained.model.similar_items(seed, k=min(10, dataset.n_items - 1))
    near = [(int(i), float(s)) for i, s in zip(ranking.items[0], ranking.scores[0], strict=True) if i >= 0]
    with st.grid(5, min_column_width=150, gap="medium", key="near"):
        for rank, (item, similarity) in enumerate(near, start=1):
            cards.card(
                cards.film(dataset, item),
                key=f"near-{rank}",
                rank=rank,
                badge=f"{similarity:.2g}",
                note=in_common(dataset, seed, item),
                bar=similarity / near[0][1] if near[0][1] > 0 else 0.0,
            )
    with st.expander("How similarity is measured", icon=":material/function:"):
        st.markdown(caches.similarity_said(ready.trained.model))
        if ready.trained.model.reference:
            st.caption(ready.trained.model.reference)


def start_films(dataset: Dataset) -> None:
    """Draw films that most people know, to start from."""
    st.html('<h2 class="row-title">Or start from one that many have seen</h2>')
    known = dataset.ratings.item_counts.argsort(kind="stable")[::-1][:10]
    with st.grid(5, min_column_width=150, gap="medium", key="start"):
        for place, item in enumerate(known):
            n = int(dataset.ratings.item_counts[item])
            cards.card(cards.film(dataset, int(item)), key=f"start-{place}", note=f"rated by <b>{n:,}</b> people")


def choose_able() -> None:
    """Offer a model that knows similar films."""
    default = caches.DEFAULT_MODEL
    label = f"Use {recipes.label(default)} instead"
    st.button(label, type="primary", on_click=sidebar.choose, args=("model", default))


find = st.container()
ready = sidebar.ready()
with messages.catch_bad_input(messages.back_link("similar.py", "Start from another film")):
    seed = current_seed(ready.dataset)
    if seed is None:
        start_films(ready.dataset)
    else:
        draw_trail(ready.dataset, walked(ready.dataset, str(ready.dataset.item_ids[seed])))
        seed_card(ready.dataset, seed)
        neighbours(ready, seed)
with find:  # drawn last: its key follows the film
    find_film()
