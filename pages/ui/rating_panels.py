"""Panels under a visitor's list: other models' lists, its growth rating by rating, and the visitor's taste."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import caches, cards, messages, palette, recipes, sidebar
from pages.ui.escape import html, plain
from pages.ui.training_form import training_form
from pages.ui.visitor_lists import SHOWN, steered_lists
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.experiments.store import Trained
from recengine.export import nouns
from recengine.models.base import Recommender
from recengine.models.registry import SIDE_BY_SIDE
from recengine.serving import viewers

STEPS = (0, 1, 2, 5)
"""Numbers of ratings after which lists are compared."""
TRACED = 12
"""Ratings that the chart of ranks looks back on."""
NAMED = 125
"""Pixels for the names next to that chart: a phone has three times as many for all of it."""


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
    with st.grid(5, min_column_width=190, gap="small", key="side-by-side"):
        column(dataset, recipes.label(model.name), "your list", main[0].tolist(), known)
        for name in (name for name in SIDE_BY_SIDE if name != model.name):
            with st.container(key=f"side-by-side-{name}"):
                trained = caches.known_model(dataset, name, sidebar.choice().device)
                if trained is None and caches.is_quick(dataset, name):
                    with st.spinner(f"Fitting {recipes.label(name)} …"):
                        trained = caches.find_model(dataset, name, sidebar.choice().device)  # type: ignore[assignment]
                if not isinstance(trained, Trained):
                    st.html(
                        f'<section class="column"><h3>{html(recipes.label(name))}</h3><p>not trained yet</p></section>'
                    )
                    st.button(
                        f"Train {recipes.label(name)}",
                        on_click=start_training,
                        args=(dataset, name),
                        key=f"train {name}",
                        help="In the background; you can go on rating.",
                    )
                    continue
                other, _ = steered_lists(trained.model, dataset, mine, [len(mine.stars)], positive)
                shared = len(known & set(other[0].tolist()))
                column(dataset, recipes.label(name), f"{shared} of {SHOWN} in your list too", other[0].tolist(), known)


def ranks_over_time(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw the rank of each film of the list after each of the last ratings."""
    count = len(mine.stars)
    lengths = list(range(max(0, count - TRACED), count + 1))
    then, _ = steered_lists(model, dataset, mine, lengths, positive)
    final = [int(item) for item in then[-1] if item >= 0]
    titles = {item: plain(cards.named(cards.film(dataset, item)))[:40] for item in final}
    rows = [
        {
            "ratings": length,
            "rank": rank,
            "film": titles[int(item)],
            "repeats": final.index(int(item)) >= len(palette.CATEGORIES),
        }
        for length, items in zip(lengths, then, strict=True)
        for rank, item in enumerate(items, start=1)
        if int(item) in titles
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("ratings:Q", title="ratings given", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("rank:Q", title="rank", scale=alt.Scale(domain=[SHOWN + 0.5, 0.5]), axis=alt.Axis(tickMinStep=1)),
        color=alt.Color("film:N", legend=None, scale=alt.Scale(domain=list(dict.fromkeys(titles.values())))),
        tooltip=["film:N", "ratings:Q", "rank:Q"],
    )
    names = (
        base.transform_filter(f"datum.ratings == {count}")
        .mark_text(align="left", dx=8, fontSize=12, limit=NAMED)
        .encode(text="film:N")
    )
    dash = alt.Scale(domain=[False, True], range=[[1, 0], [7, 5]])  # where the colours begin again
    lines = base.mark_line(interpolate="monotone", strokeWidth=3).encode(
        strokeDash=alt.StrokeDash("repeats:N", scale=dash, legend=None)
    )
    chart = lines + base.mark_circle(size=70, opacity=1) + names
    st.altair_chart(
        chart.properties(height=380, background="transparent"),
        alt=words_of(dataset).say("Lines: the rank of each film of your list after each of your last ratings"),
    )
    st.caption(words_of(dataset).say("A line starts when a film enters your top ten."))


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


def taste(dataset: Dataset, mine: VisitorRatings, positive: float) -> None:
    """Draw which genres and decades the visitor likes, compared with all viewers."""
    words = words_of(dataset)
    liked = np.array([i for i, stars in mine.stars.items() if dataset.in_scale(stars, positive) >= positive], np.int64)
    if not len(liked):
        st.caption(f"Rate {words.an_item} {words.at_least(positive)} to see your taste here.")
        return
    likes = dataset.ratings.at_least(positive)
    all_viewers = np.bincount(likes.item_idx, minlength=dataset.n_items) / max(1, len(likes))  # (n_items,) share
    years = dataset.items["year"].to_numpy(np.float64, na_value=np.nan)
    decades = {f"{d:.0f}s": np.floor(years / 10) * 10 == d for d in np.unique(np.floor(years / 10) * 10) if d == d}
    genres = {name: viewers.has_genre(dataset, name) for name in viewers.genre_names(dataset)}
    for title, groups in (("Genres", genres), ("Decades", decades)):
        rows = [(plain(name), float(has[liked].mean()), float(all_viewers[has].sum())) for name, has in groups.items()]
        if title == "Genres":
            rows = sorted(rows, key=lambda row: -row[1])[:12]
        table = pd.DataFrame(rows, columns=["group", "you", "everyone"])
        bars = alt.Chart(table).encode(y=alt.Y("group:N", sort=None, title=None))
        share = alt.Axis(format="%", tickCount=5, title=words.say("share of liked films"))
        yours = bars.mark_bar(cornerRadiusEnd=3, height={"band": 0.7}).encode(
            x=alt.X("you:Q", axis=share), tooltip=["group", alt.Tooltip("you", format=".0%")]
        )
        ticks = bars.encode(x="everyone:Q", tooltip=["group", alt.Tooltip("everyone", format=".0%")])
        paper = palette.THEME["paper"]  # a dark tick in a light one can be seen on the bars and in both themes
        chart = yours + ticks.mark_tick(thickness=5, size=18, color=paper.light, opacity=1)
        chart += ticks.mark_tick(thickness=2, size=18, color=paper.dark, opacity=1)
        st.html(f"<h3>{title}</h3>")
        st.altair_chart(
            chart.properties(height=26 * len(rows) + 40, background="transparent"),
            alt=f"Bars: your share by {title.lower()}; ticks: everyone’s",
        )
    st.caption(
        f"Bars: your {len(liked)} liked {nouns(len(liked), words.items)}. "
        f"Ticks: all {words.viewers}’ liked {words.items}."
    )
