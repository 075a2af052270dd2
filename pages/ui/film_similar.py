"""Similar films: by the people who like them or by content, of one film or several, and the rest of a series."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import caches, cards, film_mix, messages, recipes, sidebar
from pages.ui.address import recall, record
from pages.ui.escape import html
from pages.ui.film_mix import Mix
from pages.ui.reason_words import shared
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.data.titles import normalise, series_of
from recengine.export import counted
from recengine.models.abilities import BlendsLikeness
from recengine.models.base import Recommender
from recengine.models.item_item.likeness import Traits
from recengine.serving import likeness
from recengine.serving.likeness import FEW_RATINGS, Source

SHOWN = 10
SOURCES: dict[Source, str] = {"both": "People and content", "users": "People", "content": "Content"}
"""What similarity can rest on -> what the switch calls it."""


@st.cache_resource(max_entries=2, show_spinner=False)
def _traits(fingerprint: str, _dataset: Dataset) -> Traits:
    return likeness.traits_of(_dataset)


@st.cache_resource(max_entries=4, show_spinner=False)
def _series(fingerprint: str, _dataset: Dataset) -> NDArray[np.int64]:
    return series_of(_dataset.items["title"].astype(str).tolist())


def draw_series(dataset: Dataset, seed: int) -> None:
    """Draw the other films of a film's series, or its other versions, by year; nothing where it stands alone."""
    series = _series(dataset.fingerprint, dataset)
    if not words_of(dataset).is_film or series[seed] < 0:
        return
    others = sorted(
        (int(item) for item in np.flatnonzero(series == series[seed]) if item != seed),
        key=lambda item: dataset.films[item][2] or 0,
    )
    names = {normalise(dataset.films[item][1]) for item in (seed, *others)}
    st.html(f'<h2 class="row-title">{"Other versions" if len(names) == 1 else "In the same series"}</h2>')
    cards.shelf([cards.film(dataset, item) for item in others], [""] * len(others), key="series")


def draw(ready: sidebar.Ready, mix: Mix) -> None:
    """Draw the most similar films, and what that rests on."""
    dataset, model = ready.dataset, ready.trained.model
    words, able = words_of(dataset), "similar" in model.abilities
    options = likeness.sources(model, dataset, mix.seeds)
    name = recipes.label(sidebar.choice().model)
    unable = f"{name} {words.say('does not compare films') if model.is_personalised else 'is the same for everyone'}"
    if not options:
        messages.error(f"{unable}, so it cannot tell what is similar", choose_default)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="near-head"):
        st.html(f'<h2 class="row-title">{words.say("Similar films")}</h2>', width="stretch")
        source = _choose(options)
    if not able:
        st.caption(f"{unable}, so these are similar in content. {_content(dataset)}")
        choose_default()
    else:
        st.caption(_basis(dataset, model, mix, source, words))
    traits = None
    if source == "content" and not isinstance(model, BlendsLikeness):
        traits = _traits(dataset.fingerprint, dataset)
    room = max(1, min(SHOWN, dataset.n_items - len(mix.films)))
    ranking = likeness.similar_to(model, traits, mix.seeds, mix.away, source=source, k=room)
    near = [(int(i), float(s)) for i, s in zip(ranking.items[0], ranking.scores[0], strict=True) if i >= 0]
    single = len(mix.films) == 1
    strongest = None if single and likeness.on_one_scale(model, source) else near[0][1]
    with st.grid(5, min_column_width=150, gap="medium", key="near"):
        for rank, (item, similarity) in enumerate(near, start=1):
            share = similarity if strongest is None else similarity / strongest if strongest > 0 else 0.0
            strength = likeness.strength(similarity, strongest)
            with st.container():
                cards.card(
                    cards.film(dataset, item),
                    key=f"near-{rank}",
                    rank=rank,
                    badge=f'<i title="similarity {similarity:.2g}">{strength}</i>' if single else "",
                    note=in_common(dataset, mix, item, source),
                    bar=share,
                )
                film_mix.actions(dataset, mix, item, f"near-{rank}")
    film_mix.caption(dataset)
    if able:
        with st.expander("How similarity is measured", icon=":material/function:"):
            st.markdown(caches.similarity_text(model, words))
            if model.reference:
                st.caption(model.reference)


def _choose(options: list[Source]) -> Source:
    """Draw the switch of what similarity rests on, where there is a choice, and return it."""
    if len(options) == 1:
        return options[0]
    recall("by", options[0], lambda text: text if text in options else None)
    st.segmented_control(
        "Similar by",
        options,
        format_func=SOURCES.__getitem__,
        key="by",
        required=True,
        label_visibility="collapsed",
        on_change=lambda: record("by", options[0]),
    )
    record("by", options[0])
    chosen: Source = st.session_state["by"]
    return chosen


def _basis(dataset: Dataset, model: Recommender, mix: Mix, source: Source, words: Words) -> str:
    """Return what the similarity rests on, in a sentence."""
    counts = [int(dataset.ratings.item_counts[seed]) for seed in mix.seeds]
    if source == "content" and min(counts) < FEW_RATINGS:
        return f"Too few {words.ratings} ({min(counts):,}) to tell who likes it, so by content. {_content(dataset)}"
    if source == "content":
        return _content(dataset)
    raters = f"the {counted(counts[0], words.viewers)} who {words.rated} it" if len(counts) == 1 else words.viewers
    if source == "users":
        return f"Liked by the same {words.viewers}, whatever the {words.items} are about."
    by_users = likeness.share_by_users(model, mix.seeds)
    return (
        f"{by_users:.0%} by {raters}, {1 - by_users:.0%} by what the {words.items} are: their genres, makers and years."
    )


def _content(dataset: Dataset) -> str:
    known = [column for column in ("genres", "keywords", "tags", "director") if column in dataset.items]
    return f"By {', '.join(known)}, series and year, whoever likes them."


def in_common(dataset: Dataset, mix: Mix, item: int, source: Source) -> str:
    """Return what a film shares with all of the mix according to the data, as HTML: a fact, not the cause."""
    films = [*mix.seeds, item]
    parts = ["same director"] if shared(dataset, films, "director") else []
    both = "both" if len(mix.seeds) == 1 else "all"
    if words := [*shared(dataset, films, "keywords"), *shared(dataset, films, "tags")][: 3 - len(parts)]:
        parts.append(f"{both}: <b>{html(', '.join(words))}</b>")
    if not parts and (genres := shared(dataset, films, "genres")):
        parts.append(f"{both}: <b>{html(', '.join(genres[:3]))}</b>")
    return " · ".join(parts) or ("like each in part" if source == "content" else "liked by the same people")


def choose_default() -> None:
    """Offer the default model, which finds similar films."""
    default = caches.DEFAULT_MODEL
    label = f"Use {recipes.label(default)} instead"
    st.button(label, type="primary", on_click=sidebar.choose, args=("model", default))
