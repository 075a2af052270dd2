"""Duel: two lists for you, made by two models that are not named; pick the better, and see which model wins."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import numpy as np
import streamlit as st

from pages.hosting.visitor import check_limit, visitor_id
from pages.ui import caches, cards, jobs, messages, recipes, sidebar, visitor_ratings
from pages.ui.address import link
from pages.ui.escape import html
from pages.ui.visitor_lists import lists
from pages.ui.votes import draw_standings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.evaluation.duel import LEFT, RIGHT, Vote, deal, next_pair
from recengine.experiments.store import Trained
from recengine.models.abilities import SupportsFoldIn
from recengine.models.registry import MODELS

SHOWN = 6
"""Films of a list."""
TWINS = 5
"""One of this many rounds shows one model's list dealt into two, to see what chance and habit do."""


class Round(NamedTuple):
    """What is shown: two models, left and right, or one model twice with the seed of the deal."""

    id: str
    left: str
    right: str
    seed: int


def contestants(dataset: Dataset, device: str) -> dict[str, Trained]:
    """Return the models that are trained on this data and serve new users, by name."""
    known = {name: caches.known_model(dataset, name, device) for name in MODELS}
    return {name: trained for name, trained in known.items() if trained and isinstance(trained.model, SupportsFoldIn)}


def with_opponent(dataset: Dataset, known: dict[str, Trained]) -> dict[str, Trained]:
    """Return at least two contestants; while one of them is trained, draw its progress and stop the page here."""
    fits = (name for name, kind in MODELS.items() if "fold-in" in kind.abilities and kind.is_personalised)
    while len(known) < 2:
        name = next(name for name in fits if name not in known and not MODELS[name].is_slow)
        with st.skeleton(height=420):
            result = caches.find_model(dataset, name, sidebar.choice().device)
        if not isinstance(result, jobs.Job):
            known = known | {name: result}
        elif result.active:
            jobs.follow(result)
            st.stop()
        else:
            jobs.ended_badly(result, lambda: link("train.py", "Train another model", icon=":material/model_training:"))
            st.stop()
    return known


def current_round(dataset: Dataset, names: list[str]) -> Round:
    """Return the round that is open in this session, or a new one between the models that met least often."""
    kept: tuple[str, Round] | None = st.session_state.get("duel")
    if kept is not None and kept[0] == dataset.fingerprint and {kept[1].left, kept[1].right} <= set(names):
        return kept[1]
    seed = uuid.uuid4().int % 2**32
    rng = np.random.default_rng(seed)
    left, right = next_pair(names, visitor_ratings.event_log().votes(visitor_ratings.catalogue(dataset)), rng)
    if rng.integers(TWINS) == 0:
        right = left
    made = Round(uuid.uuid4().hex, left, right, seed)
    st.session_state["duel"] = dataset.fingerprint, made
    return made


def both_lists(
    ready: sidebar.Ready, known: dict[str, Trained], shown: Round, mine: visitor_ratings.VisitorRatings
) -> tuple[list[int], list[int]]:
    """Return the items of the left and of the right list."""

    def top(name: str, k: int) -> list[int]:
        items, _ = lists(known[name].model, ready.dataset, mine, [len(mine.events)], ready.positive, k)
        return [item for item in items[0].tolist() if item >= 0]

    if shown.left == shown.right:
        return deal(top(shown.left, 2 * SHOWN), np.random.default_rng(shown.seed))
    return top(shown.left, SHOWN), top(shown.right, SHOWN)


@messages.toast_errors
def prefer(dataset: Dataset, shown: Round, left: bool) -> None:
    """Keep a vote and open the next round. For callbacks."""
    check_limit("rating", 1)
    pair = (LEFT, RIGHT) if shown.left == shown.right else (shown.left, shown.right)
    winner, loser = pair if left else pair[::-1]
    catalogue = visitor_ratings.catalogue(dataset)
    visitor_ratings.event_log().vote(catalogue, Vote(visitor_id(), winner, loser), shown.id)
    st.session_state["duel result"] = shown, left
    st.session_state.pop("duel", None)


def skip() -> None:
    """Open another round without a vote. For callbacks."""
    st.session_state.pop("duel", None)
    st.session_state.pop("duel result", None)


def draw_result() -> None:
    """Say which models the last vote was about."""
    if "duel result" not in st.session_state:
        return
    shown, left = st.session_state["duel result"]
    one, other = (recipes.label(name) for name in ((shown.left, shown.right) if left else (shown.right, shown.left)))
    text = (
        f"Both were {html(one)}: its list, dealt into two. It shows how much of a vote is chance."
        if shown.left == shown.right
        else f"You preferred <b>{html(one)}</b> to <b>{html(other)}</b>."
    )
    st.html(f'<p class="notice" role="status">{text}</p>')


def draw_round(ready: sidebar.Ready, known: dict[str, Trained], mine: visitor_ratings.VisitorRatings) -> None:
    """Draw the two lists, each with its button."""
    dataset, words = ready.dataset, words_of(ready.dataset)
    shown = current_round(dataset, list(known))
    draw_result()
    columns = st.columns(2, gap="large")
    for column, letter, items in zip(columns, "AB", both_lists(ready, known, shown, mine), strict=True):
        with column, st.container(key=f"duel-{letter}"):
            st.html(f'<h2 class="row-title">List {letter}</h2>')
            with st.grid(SHOWN // 2, min_column_width=96, gap="small", key=f"list-{letter}"):
                for rank, item in enumerate(items, start=1):
                    cards.card(cards.film(dataset, item), key=f"duel-{letter}-{rank}", rank=rank, small=True)
            st.button(
                f"{letter} is better",
                type="primary",
                width="stretch",
                on_click=prefer,
                args=(dataset, shown, letter == "A"),
                key=f"prefer-{letter}",
            )
    st.button("Can’t say, show another pair", on_click=skip, key="duel-skip")
    st.caption(words.say("Both lists are for you, from your ratings; films that you rated are left out."))


ready = sidebar.ready()
with messages.catch_bad_input(messages.start_again_link):
    mine = visitor_ratings.current(ready.dataset)
    known = contestants(ready.dataset, sidebar.choice().device)
    words = words_of(ready.dataset)
    if not mine.events:
        messages.empty(
            words.say("Rate a few films first"),
            words.say("Then two models each make a list for you, and you pick the better one."),
            lambda: link("home.py", words.say("Rate films"), icon=":material/star_half:"),
        )
    else:
        known = with_opponent(ready.dataset, known)
        draw_round(ready, known, mine)
    draw_standings(ready.dataset)
