"""Map: what the model finds alike lies together; the visitor's films, and the visitor, are on it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
import torch

from pages.ui import caches, cards, map_chart, map_colours, messages, recipes, sidebar, visitor_ratings
from pages.ui.address import forget, link, recall, record
from pages.ui.escape import html, markdown
from pages.ui.map_chart import Colouring, Overlay
from pages.ui.map_source import Drawn, find_map, wait_for_map
from pages.ui.visitor_lists import as_histories
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.export import counted, csv_text
from recengine.models.abilities import PredictsStars
from recengine.serving.event_log import STARS, Event, rated
from recengine.serving.islands import HEADER, Island, rows
from recengine.serving.item_map import ItemMap, Projection, nearest, trail

PROJECTIONS: dict[Projection, str] = {"pca": "Broad strokes", "umap": "Neighbourhoods"}
NEAREST, BEST_KNOWN = 10, 3
"""Films in the list near one, and of each island."""


def choose_colours(ready: sidebar.Ready, mine: VisitorRatings) -> Colouring:
    """Draw the picker of colours, and return what is chosen."""
    dataset, model = ready.dataset, ready.trained.model
    words = words_of(dataset)
    ways = map_colours.available(words, predicts=isinstance(model, PredictsStars) and not words.is_implicit)
    first = next(iter(ways))
    recall("colour", first, lambda text: text if text in ways else None)
    st.selectbox(
        "Colour by",
        list(ways),
        format_func=ways.__getitem__,
        key="colour",
        on_change=lambda: record("colour", first),
        width=220,
    )
    record("colour", first)
    match st.session_state["colour"]:
        case "mine":
            return map_colours.by_own_ratings(dataset, mine.stars, ready.positive)
        case "predicted" if isinstance(model, PredictsStars):
            history = as_histories(dataset, mine.events, [len(mine.events)], ready.positive)
            with torch.inference_mode():
                return map_colours.by_predicted(dataset, model.stars(history).rating[0].double().numpy())
    return map_colours.of_catalogue(dataset.fingerprint, st.session_state["colour"], dataset)


def choose_projection() -> Projection:
    """Draw the picker of the projection, and return it."""
    recall("projection", "pca", lambda text: text if text in PROJECTIONS else None)
    st.segmented_control(
        "View",
        list(PROJECTIONS),
        format_func=PROJECTIONS.__getitem__,
        key="projection",
        required=True,
        on_change=lambda: record("projection", "pca"),
    )
    record("projection", "pca")
    return st.session_state["projection"]


@st.fragment
def find_film() -> None:
    """Draw the search; typing reruns this part alone, and a match is where the map flies to."""
    dataset = sidebar.dataset()
    query = st.text_input(
        words_of(dataset).say("Find a film on the map"),
        type="search",
        live="200ms",
        placeholder="A title, as you remember it",
        key=f"find_on_map_{st.session_state['near']}",
    )
    if not query:
        return
    matches = caches.title_search(dataset).find(query, limit=5)
    messages.search_note(query, matches)
    with st.container(horizontal=True, gap="xsmall", key="matches"):
        for item_idx in matches.films:
            link_to(cards.film(dataset, item_idx))


def link_to(it: cards.Film) -> None:
    """Draw a link to a film on the map."""
    link("taste_map.py", markdown(cards.named(it)), near=it.item_id)


def focused(dataset: Dataset) -> int | None:
    """Return the film that is looked for, if any. Raises BadInput for an unknown id."""
    recall("near", "", str, of_dataset=True)
    if not st.session_state["near"]:
        return None
    item_idx = int(dataset.item_index([st.session_state["near"]])[0])
    record("near", "")
    return item_idx


def liked_items(ready: sidebar.Ready, stars: Mapping[int, float]) -> list[int]:
    """Return what the visitor liked, in the order in which they rated it."""
    return [i for i, given in stars.items() if ready.dataset.in_scale(given, ready.positive) >= ready.positive]


def draw_map(ready: sidebar.Ready, shown: Drawn, colouring: Colouring, focus: int | None) -> None:
    """Draw the map, and open the page of a film that was clicked."""
    dataset, words = ready.dataset, words_of(ready.dataset)
    mine = visitor_ratings.current(dataset)
    liked = liked_items(ready, mine.stars)
    label = words.say("Map of films. Arrow keys move it, plus and minus zoom, 0 shows all, Enter opens a film.")
    overlay = Overlay(
        shown.version,
        [(str(dataset.item_ids[item]), item in liked) for item in mine.stars],
        trail(shown.here, liked).round(4).tolist(),
        None if focus is None else str(dataset.item_ids[focus]),
        {str(dataset.item_ids[i]): f"You: {words.amount(stars)}" for i, stars in mine.stars.items()},
        label,
    )
    opened = map_chart.draw(shown.points, "taste-map")
    map_chart.draw_over(dataset, shown.here, overlay, colouring, "taste-map-overlay")
    if opened in dataset.item_index_of:
        st.switch_page("film.py", query_params={**st.query_params.to_dict(), "item": opened})


def captions(ready: sidebar.Ready, here: ItemMap) -> None:
    """Say what the map shows, and where the visitor is."""
    dataset, words = ready.dataset, words_of(ready.dataset)
    name = recipes.label(sidebar.choice().model)
    if here.explained is not None:
        how = f"Of all that sets films apart for {name}, the two axes show {sum(here.explained):.0%}; "
        how = words.say(
            how + "the axes have no meaning of their own, and films may lie close here that differ otherwise"
        )
    else:
        how = "Neighbours are kept together; how far apart two islands lie means little"
    missing = dataset.n_items - len(here.known)
    off = f" {counted(missing, words.items)} without {words.ratings} to go by are not shown." if missing else ""
    st.caption(words.say(f"Near each other: films that {name} finds alike. ") + f"{how}.{off}")
    mine = visitor_ratings.current(dataset)
    liked = [item for item in liked_items(ready, mine.stars) if item in set(here.known.tolist())]
    if liked:
        of = words.item if len(liked) == 1 else f"{len(liked)} {words.items}"
        text = f"<b>You</b> are where the {of} you liked {'is' if len(liked) == 1 else 'are on average'}"
        st.html(f'<p class="notice" role="status">{text}; the dots show your last steps.</p>')
    else:
        link("home.py", words.say("Rate films to see yourself on the map"), icon=":material/star_half:")


@messages.toast_errors
def rate(dataset: Dataset, item: int, key: str, standing: Event | None) -> None:
    """Keep the visitor's stars, or take them back. For callbacks."""
    stars = st.session_state.get(key)
    if stars is not None:
        visitor_ratings.append(dataset, [rated(str(dataset.item_ids[item]), float(stars))])
    elif standing is not None:
        visitor_ratings.take_back(dataset, [standing])


def draw_focus(dataset: Dataset, here: ItemMap, focus: int) -> None:
    """Draw the film that is looked for: the visitor's stars, and what is nearest on the map."""
    it, words = cards.film(dataset, focus), words_of(dataset)
    st.html(f'<h2 class="row-title">Near {html(it.title)}</h2>')
    mine = visitor_ratings.current(dataset)
    standing = next((event for event in mine.events if event.item_idx == focus), None)
    key = f"map stars {dataset.fingerprint} {it.item_id}"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="map-focus"):
        link("film.py", f"Open {markdown(cards.named(it))}", icon=":material/movie:", item=it.item_id, near=None)
        if words.has_stars:
            given = mine.stars.get(focus)
            st.session_state[key] = given
            st.segmented_control(
                "Your rating",
                STARS,
                format_func=words.amount,
                key=key,
                on_change=rate,
                args=(dataset, focus, key, standing),
            )
        st.button("Show the whole map", on_click=forget, args=("near",), icon=":material/zoom_out_map:")
    near = nearest(here, focus, NEAREST).tolist()
    if not near:
        st.caption(words.say("The model knows too little of this film to put it on the map."))
        return
    with st.grid(5, min_column_width=150, gap="medium", key="map-near"):
        for rank, item in enumerate(near, start=1):
            cards.card(cards.film(dataset, item), key=f"map-{rank}", rank=rank)


def draw_islands(dataset: Dataset, islands: list[Island]) -> None:
    """Draw the islands as a list, each with well-known films, which are links to where they are."""
    words = words_of(dataset)
    st.html(f'<h2 class="row-title">{words.say("The islands")}</h2>')
    with st.grid(4, min_column_width=240, gap="medium", key="islands"):
        for number, island in enumerate(islands):
            with st.container(key=f"island-{number}", gap=None):
                count = counted(len(island.items), words.items)
                st.html(f'<div class="chart-head"><h3>{html(island.name)}</h3><p>{count}, such as</p></div>')
                for item in island.examples[:BEST_KNOWN].tolist():
                    link_to(cards.film(dataset, item))


def download(dataset: Dataset, shown: Drawn) -> None:
    """Offer the positions as a file."""

    def table() -> bytes:
        return csv_text(HEADER, rows(shown.here, shown.islands, dataset)).encode(errors="replace")

    st.download_button("Download the data", table, "map.csv", "text/csv", icon=":material/download:", on_click="ignore")


def choose_default() -> None:
    """Offer the default model, which compares films."""
    label = f"Use {recipes.label(caches.DEFAULT_MODEL)} instead"
    st.button(label, type="primary", on_click=sidebar.choose, args=("model", caches.DEFAULT_MODEL))


def draw(ready: sidebar.Ready) -> None:
    """Draw the page of a model that compares films."""
    dataset = ready.dataset
    focus = focused(dataset)
    find_film()
    chart = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="map-controls"):
        colouring = choose_colours(ready, visitor_ratings.current(dataset))
        projection = choose_projection()
    with chart:
        shown = find_map(ready, projection)
        if shown is None:
            wait_for_map(ready, projection)
            shown = find_map(ready, "pca")
        if shown is None:
            return
        draw_map(ready, shown, colouring, focus)
    captions(ready, shown.here)
    if focus is None:
        draw_islands(dataset, shown.islands)
    else:
        draw_focus(dataset, shown.here, focus)
    download(dataset, shown)


ready = sidebar.ready()
with messages.catch_bad_input(
    lambda: link("taste_map.py", "Show the whole map", icon=":material/zoom_out_map:", near=None)
):
    if "similar" in ready.trained.model.abilities:
        draw(ready)
    else:
        name = recipes.label(sidebar.choice().model)
        messages.error(f"{name} does not compare films, so there is no map", choose_default)
