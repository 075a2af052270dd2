"""Panels under a visitor's list: other models' lists, and how it grew rating by rating."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.ui import caches, cards, jobs, messages, plot, recipes, sidebar
from pages.ui.escape import html, plain
from pages.ui.training_form import training_form
from pages.ui.visitor_lists import SHOWN, steered_lists
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.experiments.store import Trained
from recengine.models.base import Recommender
from recengine.models.registry import SIDE_BY_SIDE

STEPS = (0, 1, 2, 5)
"""Numbers of ratings after which lists are compared."""
TRACED = 12
"""Ratings that the chart of ranks looks back on."""
NAMED = 22
"""Letters of the names next to that chart."""
DASHES = ("solid", "dot")
"""Lines of the first films, and of those for which the colours begin again."""


def column(dataset: Dataset, title: str, caption: str, items: Sequence[int], known: set[int]) -> None:
    """Draw one short list of titles; those in the main list too are bold."""
    rows = "".join(
        f'<li class="{"both" if item in known else ""}">{html(cards.named(cards.film(dataset, item)))}</li>'
        for item in items
        if item >= 0
    )
    st.html(f'<section class="column"><h3>{html(title)}</h3><p>{html(caption)}</p><ol>{rows}</ol></section>')


@messages.toast_errors
def start_training(dataset: Dataset, name: str) -> None:
    """Start a training that the visitor does not wait for. For callbacks."""
    training_form(dataset, name).start(recipes.task_of(name, sidebar.choice().device))


def side_by_side(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw other models' lists for the same ratings, and how much they overlap."""
    main, _ = steered_lists(model, dataset, mine, [len(mine.stars)], positive)
    known = {int(item) for item in main[0] if item >= 0}
    device, missing = sidebar.choice().device, []
    with st.grid(5, min_column_width=190, gap="small", key="side-by-side"):
        column(dataset, recipes.label(model.name), "your list", main[0].tolist(), known)
        for name in (name for name in SIDE_BY_SIDE if name != model.name):
            trained = caches.known_model(dataset, name, device)
            if trained is None and caches.is_quick(dataset, name):
                with st.spinner(f"Fitting {recipes.label(name)} …"):
                    trained = caches.find_model(dataset, name, device)  # type: ignore[assignment]
            if not isinstance(trained, Trained):
                missing.append(name)
                continue
            other, _ = steered_lists(trained.model, dataset, mine, [len(mine.stars)], positive)
            shared = len(known & set(other[0].tolist()))
            column(dataset, recipes.label(name), f"{shared} of {SHOWN} in your list too", other[0].tolist(), known)
    if missing:
        add_model(dataset, missing[0], device)


def add_model(dataset: Dataset, name: str, device: str) -> None:
    """Offer to train one more model for the comparison, or show how far that is."""
    job = training_form(dataset, name).find(recipes.task_of(name, device))
    if job is not None and job.active:
        jobs.follow(job)
        return
    st.button(
        "Add another model",
        on_click=start_training,
        args=(dataset, name),
        icon=":material/add:",
        key="add-model",
        help=f"Trains {recipes.label(name)} in the background; you can go on rating.",
    )


def ranks_over_time(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw the rank of each film of the list after each of the last ratings."""
    count = len(mine.stars)
    lengths = list(range(max(0, count - TRACED), count + 1))
    then, _ = steered_lists(model, dataset, mine, lengths, positive)
    figure, rows = go.Figure(), []
    for position, item in enumerate(int(item) for item in then[-1] if item >= 0):
        name = plain(cards.named(cards.film(dataset, item)))
        ranks = [items.tolist().index(item) + 1 if item in items else None for items in then]
        rows += [(length, rank, name) for length, rank in zip(lengths, ranks, strict=True) if rank]
        label = name if len(name) <= NAMED else f"{name[: NAMED - 1]}…"
        figure.add_scatter(
            x=lengths,
            y=ranks,  # a gap, where the film was not in the list, breaks the line
            mode="lines+markers+text",
            text=[""] * (len(lengths) - 1) + [html(label)],
            textposition="middle right",
            cliponaxis=False,
            line={"width": 3, "dash": DASHES[position // len(plot.COLOURS)]},
            marker={"size": 9},
            hovertemplate=f"{html(name)}<br>after %{{x}} ratings: rank %{{y}}<extra></extra>",
        )
    span = max(1, len(lengths) - 1)
    figure.update_xaxes(
        title="ratings given", range=[lengths[0] - 0.1 * span, count + 0.6 * span], tickvals=lengths[:: 1 + span // 8]
    )
    figure.update_yaxes(title="rank", range=[SHOWN + 0.5, 0.5], tickvals=[1, 5, SHOWN])
    words = words_of(dataset)
    plot.draw(
        figure,
        "rank over time",
        alt=words.say("Lines: the rank of each film of your list after each of your last ratings"),
        height=400,
        data=pd.DataFrame(rows, columns=["ratings", "rank", words.item]),
    )
    st.caption(words.say("A line starts when a film enters your top ten, and breaks where it left."))


def step_by_step(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw the lists after none, one, two and five ratings."""
    lengths = [n for n in STEPS if n <= len(mine.stars)]
    then, fallback = steered_lists(model, dataset, mine, lengths, positive)
    final = set(steered_lists(model, dataset, mine, [len(mine.stars)], positive)[0][0].tolist())
    rated = list(mine.stars.items())
    with st.grid(4, min_column_width=220, gap="medium", key="steps"):
        for length, items, popular in zip(lengths, then, fallback, strict=True):
            caption = "what is popular" if popular else "in the order you rated"
            if length:
                item, stars = rated[length - 1]
                given = "" if words_of(dataset).is_implicit else f", {stars:g} ★"
                caption = f"last: {plain(cards.film(dataset, item).title)[:32]}{given}"
            column(dataset, f"After {length}", caption, items.tolist(), final)
    st.caption("Bold: still in your list.")
