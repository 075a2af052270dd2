"""Viewers: pick a viewer, see what they loved and what the model recommends them, and why."""

from __future__ import annotations

import random
import shlex

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from pages.ui import caches, cards, filters, messages, recipes, sidebar
from pages.ui.address import link, recall, record
from pages.ui.datasets import origin_of
from pages.ui.escape import html, markdown
from pages.ui.reason_words import because_html
from pages.ui.training_form import training_form
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.export import counted, csv_text, nouns
from recengine.jobs.job import Job
from recengine.models.abilities import PredictsRatings
from recengine.models.base import Recommender
from recengine.serving import viewers
from recengine.serving.explain import Reason, reasons
from recengine.serving.recommend import estimate_rows, recommend


def current_user(dataset: Dataset, positive: float) -> int | None:
    """Return the viewer in the address, else the last one looked at, else the first persona; None for an unknown id."""
    personas = caches.personas(dataset, positive)
    recall("user", str(dataset.user_ids[personas[0].user_idx if personas else 0]), str, of_dataset=True)
    try:
        user_idx = int(dataset.user_index([st.session_state["user"]])[0])
    except BadInput:
        return None
    record("user", None)
    return user_idx


def kind_of_viewer(dataset: Dataset) -> str:
    """Return what the app calls a viewer of this data, in front of the id."""
    return words_of(dataset).say("Demo viewer" if dataset.simulated else "Viewer")


def name_of(dataset: Dataset, user_idx: int) -> str:
    """Return the name that the app gives a viewer."""
    return f"{kind_of_viewer(dataset)} {dataset.user_ids[user_idx]}"


def first_and_last(dataset: Dataset) -> str:
    """Return the range of the viewers' ids, as Markdown."""
    first, last = (f"{id:,}" if isinstance(id, int) else id for id in dataset.user_ids[[0, -1]].tolist())
    return f"{words_of(dataset).say('Viewers')} run from {markdown(first)} to {markdown(last)}."


def ticket(dataset: Dataset, user_idx: int, past: viewers.History, positive: float) -> None:
    """Draw the viewer's profile and what they like."""
    liked = past.items[past.ratings >= positive]
    favourites = ", ".join(viewers.favourite_genres(dataset, liked))
    profile, words = viewers.profile(dataset, user_idx), words_of(dataset)
    mean = "" if words.is_implicit else f" · mean <b>{words.amount(past.ratings.mean(), '.1f')}</b>"
    simulated = '<span class="tag">simulated</span>' if dataset.simulated else ""
    persona = next((p for p in caches.personas(dataset, positive) if p.user_idx == user_idx), None)
    taste = f"{persona.title}: {persona.why}" if persona else f"Mostly likes {favourites}" if favourites else ""
    st.html(
        '<section class="ticket"><div class="stub">'
        f"<span>{kind_of_viewer(dataset)}</span>"
        f"<b{' class=long' if len(str(dataset.user_ids[user_idx])) > LONG_ID else ''}>"
        f"{html(dataset.user_ids[user_idx])}</b></div><div>"
        f'<p class="who">{html(profile or f"No profile, {words.ratings} only")} {simulated}</p>'
        f'<p class="facts"><b>{len(past.items):,}</b> {nouns(len(past.items), words.ratings)}{mean}'
        f" · liked <b>{len(liked):,}</b></p>"
        f'<p class="facts">{html(taste)}</p></div></section>'
    )


def search_hint(dataset: Dataset) -> str:
    """Return what the search for a viewer reads, as far as the data knows it."""
    columns = [] if dataset.users is None else list(dataset.users)
    known = [name for name in ("age", "occupation") if name in columns or f"{name}_group" in columns]
    parts = ["Number", *(["taste"] if words_of(dataset).is_film else []), *known]
    return " or ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def viewer_link(dataset: Dataset, user_idx: int, label: str) -> None:
    """Draw a link to a viewer; the one that is shown is marked. `label` is Markdown whose data has been escaped."""
    user_id = dataset.user_ids[user_idx]
    is_shown = str(user_id) == st.session_state.get("user")
    with st.container(key="chosen-viewer" if is_shown else None, width="content"):
        link("viewers.py", label, icon=":material/check:" if is_shown else None, user=user_id)


@st.fragment
def find_viewer(positive: float) -> None:
    """Draw the search for a viewer, and personas until something is typed; typing reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        with st.container(horizontal=True, vertical_alignment="bottom", key="find"):
            query = st.text_input(
                words_of(dataset).say("Find a viewer"),
                type="search",
                live="200ms",
                placeholder=search_hint(dataset),
                key=f"find_user_{st.session_state.get('user')}",
            )
            if st.button(words_of(dataset).say("Random viewer"), icon=":material/shuffle:"):
                others = dataset.user_ids[dataset.user_ids.astype(str) != st.session_state["user"]]
                if len(others):
                    st.session_state["user"] = str(random.choice(others))
                    record("user", None)
                st.rerun()
        with st.container(horizontal=True, gap="xsmall", key="viewers"):
            wanted = query.casefold().split()
            personas = caches.personas(dataset, positive)
            of_taste = [p for p in personas if all(word in p.title.casefold() for word in wanted)]
            for persona in of_taste:
                viewer_link(dataset, persona.user_idx, persona.title)
            matches = caches.user_index(dataset).find(query, limit=6) if query else []
            for user_idx in [user for user in matches if user not in {persona.user_idx for persona in of_taste}]:
                label = " · ".join(filter(None, (name_of(dataset, user_idx), viewers.profile(dataset, user_idx))))
                viewer_link(dataset, user_idx, markdown(label))
        if query and not of_taste and not matches:
            st.caption(f"No match for “{markdown(query)}”. {first_and_last(dataset)}")


def loved(dataset: Dataset, past: viewers.History, positive: float) -> None:
    """Draw the row of films that the viewer rated highest."""
    high, words = past.ratings >= positive, words_of(dataset)
    st.html(f'<h2 class="row-title">What they {words.loved}</h2>')
    if not high.any():
        st.caption(f"No {words.item} rated {words.at_least(positive)} yet.")
        return
    items = past.items[high][:14]
    films = [cards.film(dataset, i) for i in items]
    badges = ["" if words.is_implicit else words.amount(rating) for rating in past.ratings[high][:14]]
    cards.shelf(films, badges, key="loved")


KINDS = {"high": "rated high", "middle": "in between", "low": "rated low", "none": "not rated"}
"""What a viewer may have made of a film -> its text in the legend."""
LONG_ID = 8
"""Letters of an id beyond which it is set smaller, in several lines."""
MAX_ESTIMATES, BYTES_PER_RATING = 10_000_000, 7
"""Predicted ratings that the page offers as a download, and the size of one in a CSV."""


def reason_html(dataset: Dataset, reason: Reason, item: int, positive: float) -> str:
    """Return why a film is listed, as HTML."""
    words = words_of(dataset)
    if reason.kind == "popular":
        r = dataset.ratings
        fans = int((r.rating[r.item_idx == item] >= positive).sum())
        liked = "chose" if words.is_implicit else "liked"
        return f"Popular with everyone: <b>{fans:,}</b> {nouns(fans, words.viewers)} {liked} it"
    return because_html(dataset, reason, item, "they")


def recommendations(ready: sidebar.Ready, user_idx: int, past: viewers.History) -> None:
    """Draw the grid, and how the model's unfiltered top compares with what the viewer rated."""
    dataset, model, positive = ready.dataset, ready.trained.model, ready.positive
    words = words_of(dataset)
    chosen = filters.draw(dataset)
    k = min(chosen.k, dataset.n_items)
    include_seen = not chosen.unseen
    listing = recommend(
        model, dataset, user_idx, k=k, positive=positive, include_seen=include_seen, among=chosen.among, unmasked=True
    )
    items = listing.ranking.items[0].numpy()
    items = items[items >= 0]
    if listing.fallback[0]:
        st.info(
            words.say("This viewer has not liked any film yet, so these are the most popular ones."),
            icon=":material/info:",
        )
    if not len(items):
        messages.empty(words.say("No films match these filters"), "Clear them to see more.", filters.clear_button)
        return
    if listing.fallback[0]:
        why = [Reason("popular")] * len(items)
    else:
        why = reasons(model, dataset.ratings.of_users([user_idx]), items, positive=positive)
    rated = dict(zip(past.items.tolist(), past.ratings.tolist(), strict=True))
    stars = predicted(model, user_idx, items, words)
    with st.grid(5, min_column_width=150, gap="medium", key="top"):
        for rank, (item, reason) in enumerate(zip(items.tolist(), why, strict=True), start=1):
            badge = words.amount(rated[item]) if item in rated else stars.get(item, "")
            cards.card(
                cards.film(dataset, item),
                key=f"top-{rank}",
                rank=rank,
                badge=badge,
                note=reason_html(dataset, reason, item, positive),
            )
    if listing.unmasked is not None:
        against_history(ready, listing.unmasked.items[0].numpy(), rated)


def second_list(ready: sidebar.Ready, user_idx: int, k: int) -> None:
    """Offer the list of another model for the same viewer, and mark what both hold."""
    dataset, first = ready.dataset, sidebar.choice().model
    titles = {"": "no other model"} | {name: title for name, title in recipes.titles().items() if name != first}
    recall("against", "", lambda text: text if text in titles else None)
    other = st.selectbox(
        "Compare with", list(titles), key="against", format_func=titles.__getitem__, width=320, on_change=_keep_against
    )
    record("against", "")
    if not other:
        return
    trained = caches.find_model(dataset, other, sidebar.choice().device)
    if isinstance(trained, Job):
        st.caption(f"{recipes.label(other)} is still training. Its list comes here as soon as it has learned.")
        return
    lists = [
        recommend(model, dataset, user_idx, k=k, positive=ready.positive).ranking.items[0].tolist()
        for model in (ready.trained.model, trained.model)
    ]
    both = set(lists[0]) & set(lists[1]) - {-1}
    name, words = recipes.label(other), words_of(dataset)
    st.html(f'<h2 class="row-title">{html(name)} instead</h2>')
    st.caption(f"{len(both)} of {k} {words.items} are in both lists, before any filter.")
    items = [item for item in lists[1] if item >= 0]
    badges = ["in both" if item in both else "" for item in items]
    cards.shelf([cards.film(dataset, item) for item in items], badges, key="against")


def _keep_against() -> None:
    record("against", "")


def predicted(model: Recommender, user_idx: int, items: NDArray[np.int64], words: Words) -> dict[int, str]:
    """Return a badge with the predicted rating per item; none where the model predicts no ratings, or from events."""
    if words.is_implicit or not isinstance(model, PredictsRatings):
        return {}
    with torch.inference_mode():
        ratings = model.predict(np.full(len(items), user_idx), items).tolist()
    return {
        item: f'<i title="Predicted rating">≈ {words.amount(rating, ".1f")}</i>'
        for item, rating in zip(items.tolist(), ratings, strict=True)
    }


def estimates(ready: sidebar.Ready) -> None:
    """Offer the predicted rating of every viewer for every film, where the model predicts ratings."""
    dataset, model, words = ready.dataset, ready.trained.model, words_of(ready.dataset)
    if words.is_implicit or not isinstance(model, PredictsRatings):
        return
    cells = dataset.n_users * dataset.n_items
    with st.expander("All predicted ratings", icon=":material/table_view:"):
        st.caption(
            f"Predicted ratings of all {counted(dataset.n_users, words.viewers)} "
            f"for all {counted(dataset.n_items, words.items)}: "
            f"{counted(cells, 'ratings')}, about {cells * BYTES_PER_RATING / 1e6:,.0f} MB."
        )
        if cells <= MAX_ESTIMATES:

            def text() -> str:
                rows = estimate_rows(model, dataset)
                header = next(rows)
                return csv_text(header, rows, ids=header)

            name = f"estimates-{model.name}.csv"
            st.download_button("Download as CSV", text, name, "text/csv", icon=":material/download:", on_click="ignore")
        else:
            st.caption("That is too much to download here. This command writes it to a file:")
        task = recipes.task_of(sidebar.choice().model, sidebar.choice().device)
        data = origin_of(dataset).shown_arguments()
        command = ["python", "-m", "recengine", "estimates", *data, "--model", model.name]
        command += training_form(dataset, model.name).arguments(task)
        st.code(shlex.join([*command, "--out", "estimates.csv"]), language="bash", wrap_lines=True)


def against_history(ready: sidebar.Ready, top: NDArray[np.int64], rated: dict[int, float]) -> None:
    """Draw how many of the model's unfiltered top k the viewer has rated high or low."""
    low, high = ready.dataset.rating_range
    ratings = [rated.get(int(item)) for item in top[top >= 0]]
    low_end = low + 0.45 * (high - low)
    kinds = [_kind(rating, ready.positive, low_end) for rating in ratings]
    count = {kind: kinds.count(kind) for kind in KINDS}
    boxes = "".join(
        f'<i class="{kind}" title="{html(cards.film(ready.dataset, int(item)).title)}">{rank}</i>'
        for rank, (kind, item) in enumerate(zip(kinds, top, strict=False), start=1)
    )
    words = words_of(ready.dataset)
    labels = {"high": "chosen", "none": "not chosen"} if words.is_implicit else KINDS
    legend = "".join(f'<span><i class="{kind}"></i> {label} {count[kind]}</span>' for kind, label in labels.items())
    liked = "chose" if words.is_implicit else f"rated {words.at_least(ready.positive)}"
    low_rated = f"; they rated <b>{count['low']}</b> of them {words.amount(low_end, '.2g')} or less"
    low_rated = "" if words.is_implicit else low_rated
    st.html(
        f'<section class="notebook"><h3>Checked against their {words.ratings}</h3>'
        f"<p>Unfiltered, <b>{count['high']}</b> of the model’s top {len(kinds)} are {words.items} they already "
        f"{liked} (it learned from them){low_rated}.</p>"
        f'<div class="strip">{boxes}</div>'
        f'<p class="legend">{legend}</p></section>'
    )


def _kind(rating: float | None, positive: float, low_end: float) -> str:
    if rating is None:
        return "none"
    return "high" if rating >= positive else "low" if rating <= low_end else "middle"


def explanation(ready: sidebar.Ready) -> None:
    """Draw how the list is made."""
    with st.expander("How this list is made", icon=":material/function:"):
        model, words = ready.trained.model, words_of(ready.dataset)
        st.markdown(
            f"{words.say(model.summary)} {words.say('Films')} in the {words.viewer}’s {words.ratings} are hidden; "
            f"switch “{filters.hide_label(words)}” off to see them. "
            f"What counts as liked: {words.at_least(ready.positive)}."
        )
        if model.reference:
            st.caption(model.reference)


another = words_of(sidebar.dataset()).say("Show another viewer")
with st.container(key="profile"):
    left, right = st.columns([5, 6], gap="large")
body = st.container()
with body:
    ready = sidebar.ready()
with body, messages.catch_bad_input(messages.back_link("viewers.py", another)):
    user_idx = current_user(ready.dataset, ready.positive)
    if user_idx is None:
        with left:
            messages.error(
                f"No {words_of(ready.dataset).viewer} {st.session_state['user']} here. {first_and_last(ready.dataset)}",
                messages.back_link("viewers.py", another),
            )
    else:
        past = viewers.history_of(ready.dataset, user_idx)
        with left:
            ticket(ready.dataset, user_idx, past, ready.positive)
        loved(ready.dataset, past, ready.positive)
        recommendations(ready, user_idx, past)
        second_list(ready, user_idx, 10)
        estimates(ready)
        explanation(ready)
with right:  # last: the key of the search follows the viewer
    find_viewer(ready.positive)
