"""For you: pick a person, see what they loved and what the model would show them next, and why."""

from __future__ import annotations

import random
import shlex

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from pages.ui import caches, cards, filters, messages, recipes, sidebar
from pages.ui.address import link, recall, record
from pages.ui.escape import html, markdown
from recengine.data.dataset import Dataset
from recengine.export import csv_text
from recengine.models.base import PredictsRatings, Recommender
from recengine.serving import viewers
from recengine.serving.explain import Reason, reasons
from recengine.serving.recommend import estimate_rows, recommend


def current_user(dataset: Dataset, positive: float) -> int:
    """Return the person in the address, else the last one looked at, else the first persona.

    Raises BadInput for an id that the data does not have.
    """
    found = caches.personas(dataset, positive)
    recall("user", str(dataset.user_ids[found[0].user_idx if found else 0]), str, of_dataset=True)
    place = int(dataset.user_index([st.session_state["user"]])[0])
    record("user", None)
    return place


def ticket(dataset: Dataset, user: int, past: viewers.History, positive: float) -> None:
    """Draw who the person is."""
    liked = past.items[past.ratings >= positive]
    favourites = ", ".join(viewers.favourite_genres(dataset, liked))
    said = viewers.profile(dataset, user)
    simulated = '<span class="tag">simulated</span>' if dataset.simulated else ""
    st.html(
        '<section class="ticket"><div class="stub"><span>Person</span>'
        f"<b>{html(dataset.user_ids[user])}</b></div><div>"
        f'<p class="who">{html(said or "Nothing is known but their ratings")} {simulated}</p>'
        f'<p class="facts"><b>{len(past.items):,}</b> ratings · mean <b>{past.ratings.mean():.1f}</b> ★'
        f" · liked <b>{len(liked):,}</b></p>"
        f'<p class="facts">{html("Mostly " + favourites) if favourites else ""}</p></div></section>'
    )


@st.fragment
def find_person(positive: float) -> None:
    """Draw the search for a person, and the ready personas until something is typed; typing reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        with st.container(horizontal=True, vertical_alignment="bottom", key="find"):
            query = st.text_input(
                "Find a person",
                type="search",
                live="200ms",
                placeholder="An id, or words such as engineer",
                key=f"find_user_{st.session_state.get('user')}",
            )
            if st.button("Anybody", icon=":material/shuffle:", help="Pick a person at random"):
                others = dataset.user_ids[dataset.user_ids.astype(str) != st.session_state["user"]]
                if len(others):
                    st.session_state["user"] = str(random.choice(others))
                    record("user", None)
                st.rerun()
        with st.container(horizontal=True, gap="xsmall", key="people"):
            if not query:
                for persona in caches.personas(dataset, positive):
                    person = dataset.user_ids[persona.user_idx]
                    link("for_you.py", persona.title, help=markdown(persona.why), user=person)
                return
            found = caches.user_index(dataset).find(query, limit=6)
            for place in found:
                said = viewers.profile(dataset, place)
                name = f"Person {dataset.user_ids[place]}" + (f" · {said}" if said else "")
                link("for_you.py", markdown(name), user=dataset.user_ids[place])
        if not found:
            first, last = markdown(dataset.user_ids[0]), markdown(dataset.user_ids[-1])
            st.caption(f"Nobody matches “{markdown(query)}”. Ids run from {first} to {last}.")


def loved(dataset: Dataset, past: viewers.History, positive: float) -> None:
    """Draw the row of what the person rated highest."""
    high = past.ratings >= positive
    st.html('<h2 class="row-title">What they loved</h2>')
    if not high.any():
        st.caption("They have rated nothing highly yet, so there is no taste to go by.")
        return
    items = past.items[high][:14]
    films = [cards.film(dataset, i) for i in items]
    badges = [f"{rating:g} ★" for rating in past.ratings[high][:14]]
    cards.shelf(films, badges, key="loved")


IMPERSONAL = {
    "alike": "liked by people of the same age, gender or occupation",
    "moment": "what everybody watched lately, at such a time",
}
"""Reasons that name no film."""


MOST_ESTIMATES, BYTES_A_RATING = 10_000_000, 7
"""Predicted ratings that a page still hands out, and what one takes in a CSV."""


def reason_html(dataset: Dataset, reason: Reason, item: int, positive: float) -> str:
    """Return why a film is listed, as HTML."""
    if reason.kind == "popular":
        r = dataset.ratings
        fans = int((r.rating[r.item_idx == item] >= positive).sum())
        return f"a favourite of everybody: <b>{fans:,}</b> people liked it"
    if reason.kind in IMPERSONAL:
        return IMPERSONAL[reason.kind]
    if reason.kind == "none":
        return "no film they loved speaks for it"
    name = f"<b>{html(cards.film(dataset, reason.item_idx).title)}</b>"
    if reason.kind == "contribution":
        return f"because they loved {name} · {reason.share:.0%} of the score"
    return f"nearest of what they loved: {name}"


def recommendations(ready: sidebar.Ready, user: int, past: viewers.History) -> None:
    """Draw the grid, and how the model's own top compares with what the person rated."""
    dataset, model, positive = ready.dataset, ready.trained.model, ready.positive
    chosen = filters.draw(dataset)
    k = min(chosen.k, dataset.n_items)
    include_seen = not chosen.unseen
    listing = recommend(
        model, dataset, user, k=k, positive=positive, include_seen=include_seen, among=chosen.among, unmasked=True
    )
    items = listing.ranking.items[0].numpy()
    items = items[items >= 0]
    if listing.fallback[0]:
        st.info(
            "They have liked nothing yet, so the model knows nothing of them: these are the most popular films.",
            icon=":material/info:",
        )
    if not len(items):
        messages.empty("No film is left", "Every film is hidden by the filters.", filters.clear_button)
        return
    liked = past.liked_in_order(positive)
    why = [Reason("popular")] * len(items) if listing.fallback[0] else reasons(model, liked, items)
    own = dict(zip(past.items.tolist(), past.ratings.tolist(), strict=True))
    stars = predicted(model, user, items)
    with st.grid(5, min_column_width=150, gap="medium", key="top"):
        for rank, (item, reason) in enumerate(zip(items.tolist(), why, strict=True), start=1):
            badge = f"{own[item]:g} ★" if item in own else stars.get(item, "")
            cards.card(
                cards.film(dataset, item),
                key=f"top-{rank}",
                rank=rank,
                badge=badge,
                note=reason_html(dataset, reason, item, positive),
            )
    if listing.unmasked is not None:
        against_history(ready, listing.unmasked.items[0].numpy(), own)


def predicted(model: Recommender, user: int, items: NDArray[np.int64]) -> dict[int, str]:
    """Return the badges of the ratings that the model predicts of these items; none where it predicts none."""
    if not isinstance(model, PredictsRatings):
        return {}
    with torch.inference_mode():
        ratings = model.predict(np.full(len(items), user), items).tolist()
    return {
        item: f'<i title="The rating that the model predicts">≈ {rating:.1f} ★</i>'
        for item, rating in zip(items.tolist(), ratings, strict=True)
    }


def estimates(ready: sidebar.Ready) -> None:
    """Offer the matrix of predicted ratings of everybody and every film, where the model predicts them."""
    dataset, model = ready.dataset, ready.trained.model
    if not isinstance(model, PredictsRatings):
        return
    cells = dataset.n_users * dataset.n_items
    with st.expander("All predicted ratings", icon=":material/table_view:"):
        st.caption(
            f"What the model thinks every one of {dataset.n_users:,} people would give every one of "
            f"{dataset.n_items:,} films: {cells:,} predicted ratings, about {cells * BYTES_A_RATING / 1e6:,.0f} MB."
        )
        if cells <= MOST_ESTIMATES:

            def text() -> str:
                rows = estimate_rows(model, dataset)
                return csv_text(next(rows), rows)

            name = f"estimates-{model.name}.csv"
            st.download_button("Download as CSV", text, name, "text/csv", icon=":material/download:", on_click="ignore")
        else:
            st.caption("That is too much for a page; the command line writes it a batch of people at a time.")
        wanted = recipes.recipe(sidebar.choice().model)
        command = ["python", "-m", "recengine", "estimates", "--dataset", dataset.name, "--model", model.name]
        command += recipes.flags(dataset, wanted, sidebar.choice().device)
        st.code(shlex.join([*command, "--out", "estimates.csv"]), language="bash", wrap_lines=True)


def against_history(ready: sidebar.Ready, top: NDArray[np.int64], own: dict[int, float]) -> None:
    """Say how many of the model's top k, nothing hidden or filtered, the person had rated high or low."""
    low, high = ready.dataset.rating_range
    ratings = [own.get(int(item)) for item in top[top >= 0]]
    low_end = low + 0.45 * (high - low)
    kinds = [_kind(rating, ready.positive, low_end) for rating in ratings]
    count = {kind: kinds.count(kind) for kind in ("high", "middle", "low", "none")}
    boxes = "".join(
        f'<i class="{kind}" title="{html(cards.film(ready.dataset, int(item)).title)}">{place}</i>'
        for place, (kind, item) in enumerate(zip(kinds, top, strict=False), start=1)
    )
    st.html(
        '<section class="notebook"><h3>Against their own ratings</h3>'
        f"<p>With nothing hidden or filtered, the model’s first {len(kinds)} hold "
        f"<b>{count['high']}</b> that they rated high ({ready.positive:g} ★ or more), <b>{count['low']}</b> that they "
        f"rated low ({low_end:.2g} ★ or less), <b>{count['middle']}</b> in between and <b>{count['none']}</b> they "
        f'have not rated.</p><div class="strip">{boxes}</div>'
        '<p class="legend"><i class="high"></i> rated high <i class="middle"></i> in between '
        '<i class="low"></i> rated low <i class="none"></i> not rated</p></section>'
    )


def _kind(rating: float | None, positive: float, low_end: float) -> str:
    if rating is None:
        return "none"
    return "high" if rating >= positive else "low" if rating <= low_end else "middle"


def about(ready: sidebar.Ready) -> None:
    with st.expander("How this list is made", icon=":material/function:"):
        model = ready.trained.model
        st.markdown(
            f"{model.summary} What a person rated, whatever the rating, is hidden unless the switch says otherwise. "
            f"A film counts as loved from {ready.positive:g} ★ on."
        )
        if model.reference:
            st.caption(model.reference)


with st.container(key="person"):
    left, right = st.columns([5, 6], gap="large")
body = st.container()
with body:
    ready = sidebar.ready()
with body, messages.catch_bad_input(messages.back_link("for_you.py", "Show somebody else")):
    user = current_user(ready.dataset, ready.positive)
    past = viewers.history_of(ready.dataset, user)
    with left:
        ticket(ready.dataset, user, past, ready.positive)
    loved(ready.dataset, past, ready.positive)
    recommendations(ready, user, past)
    estimates(ready)
    about(ready)
with right:  # drawn last: the key of the search follows the person
    find_person(ready.positive)
