"""The visitor's taste in figures and charts: what they like, how they rate it, and how their stars spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.ui import cards, plot
from pages.ui.address import recall, record
from pages.ui.escape import html, plain
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.export import counted
from recengine.serving import own_taste
from recengine.serving.event_log import STARS
from recengine.serving.own_taste import Group, Labels, Usual

NAMES = {"genres": "Genres", "decade": "Decades", "director": "Directors"}
"""Kind of label -> what the app calls it."""
BARS = 10
"""Bars of a chart: half of them those furthest above the others', half those furthest below."""
LEAST = {"genres": 3, "decade": 3, "director": 2}
"""Films rated of a kind without which their mean is not compared."""


class Bar(NamedTuple):
    """One bar of a chart, with the figures that it compares as text."""

    group: Group
    value: float
    you: str
    others: str


@st.cache_resource(max_entries=4, show_spinner=False)
def _known(fingerprint: str, positive: float, _dataset: Dataset) -> tuple[dict[str, Labels], Usual]:
    labels = {kind: own_taste.labels_of(_dataset, kind) for kind in NAMES}
    return {kind: of for kind, of in labels.items() if of.names}, own_taste.usual_of(_dataset, positive)


def draw(dataset: Dataset, mine: VisitorRatings, positive: float) -> None:
    """Draw the figures, the spread of the stars, and what sets the visitor apart."""
    words = words_of(dataset)
    if not mine.stars:
        st.caption(f"Rate {words.an_item} to see your taste here.")
        return
    labels, usual = _known(dataset.fingerprint, positive, dataset)
    items = np.fromiter(mine.stars, np.int64)
    ratings = np.array([dataset.in_scale(stars, positive) for stars in mine.stars.values()])
    negative = -math.inf if words.is_implicit else sum(dataset.rating_range) / 2
    groups = {
        kind: own_taste.compare(of, usual, items, ratings, positive=positive, negative=negative)
        for kind, of in labels.items()
    }
    figures(dataset, usual, items, ratings, words)
    if not words.is_implicit:
        spread(dataset, mine, words)
    if not groups:
        return
    recall("kind", next(iter(groups)), lambda text: text if text in groups else None, of_dataset=True)
    st.html('<h2 class="row-title">What sets you apart</h2>')
    first = next(iter(groups))
    kind = str(
        st.segmented_control(
            "Compare by",
            list(groups),
            format_func=NAMES.__getitem__,
            required=True,
            label_visibility="collapsed",
            key="kind",
            on_change=record,
            args=("kind", first),
        )
    )
    record("kind", first)
    with st.grid(2, min_column_width=300, gap="large", key="taste-charts"):
        with st.container(key="taste-share"):
            liked_share(groups[kind], kind, words)
        if not words.is_implicit:
            with st.container(key="taste-mean"):
                mean_stars(groups[kind], kind, words)
    simulated = ", who are simulated" if dataset.simulated else ""
    st.caption(words.say(f"All viewers: the {dataset.n_users:,} of this data{simulated}."))


def figures(dataset: Dataset, usual: Usual, items: np.ndarray, ratings: np.ndarray, words: Words) -> None:
    """Draw the visitor's mean next to that of all viewers on the same films, the middle year and the rarest film."""
    parts = []
    if not words.is_implicit:
        theirs = np.nanmean(usual.means[items]) if np.isfinite(usual.means[items]).any() else math.nan
        parts.append(("Your mean", words.amount(float(ratings.mean()), ".1f")))
        if not math.isnan(theirs):
            parts.append((f"All {words.viewers}, same {words.items}", words.amount(float(theirs), ".1f")))
    years = sorted(year for item in items.tolist() if (year := dataset.films[item][2]))
    if years:
        parts.append(("Middle year", str(years[len(years) // 2])))
    shown = "".join(f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>" for name, value in parts)
    st.html(f'<dl class="figures">{shown}</dl>')
    rarest = int(items[np.argmin(dataset.ratings.item_counts[items])])
    title, n = html(cards.named(cards.film(dataset, rarest))), int(dataset.ratings.item_counts[rarest])
    by = f"{words.rated} by {counted(n, words.viewers)} in this data"
    st.html(f'<p class="status-line">Your rarest {words.item}: <b>{title}</b>, {by}.</p>')


def spread(dataset: Dataset, mine: VisitorRatings, words: Words) -> None:
    """Draw how often the visitor gave each number of stars."""
    given = list(mine.stars.values())
    steps = STARS if any(stars % 1 for stars in given) else STARS[1::2]
    counts = [given.count(stars) for stars in steps]
    top = steps[int(np.argmax(counts))]
    text = f"Your most common rating is {top:g} ★: {counted(given.count(top), words.items)} of {len(given):,}."
    st.html('<h2 class="row-title">How your stars spread</h2>')
    st.caption(text)
    table = pd.DataFrame({"stars": [f"{stars:g} ★" for stars in steps], words.items: counts})
    plot.bars(table, "my stars", alt=f"Bars: {text}", height=180)


def liked_share(groups: Sequence[Group], kind: str, words: Words) -> None:
    """Draw which labels make up more, or less, of the visitor's likes than of all viewers'."""
    title = "What you like more, and less"
    if not any(group.liked for group in groups):
        head(title, f"Like {words.an_item} to see this.")
        return
    rows = [
        Bar(group, 100 * (group.share - group.usual_share), f"{group.share:.0%}", f"{group.usual_share:.0%}")
        for group in groups
    ]
    rows.sort(key=lambda row: -row.value)
    unit = words.say("percentage points above or below all viewers")
    they = words.viewers
    says = [f"{plain(row.group.name)} {row.you} of your likes, {row.others} of all {they}’ likes" for row in rows]
    head(title, f"Share of what is liked, in {unit}. {'; '.join(dict.fromkeys((says[0], says[-1])))}.")
    chart(rows, f"my liked {NAMES[kind].lower()}", unit, "+.0f")


def mean_stars(groups: Sequence[Group], kind: str, words: Words) -> None:
    """Draw which labels the visitor rates higher, or lower, than all viewers rate the same films."""
    title = "What you rate higher, and lower"
    rows = [
        Bar(
            group,
            group.mean - group.usual_mean,
            words.amount(group.mean, ".1f"),
            words.amount(group.usual_mean, ".1f"),
        )
        for group in groups
        if group.items >= LEAST[kind] and not math.isnan(group.usual_mean)
    ]
    if not rows:
        head(title, f"Rate {LEAST[kind]} {words.items} of one kind to see this.")
        return
    rows.sort(key=lambda row: -row.value)
    unit = words.say(f"{'stars' if words.has_stars else 'points'} above or below all viewers on the same films")
    says = [f"{plain(row.group.name)} {row.you}, where all {words.viewers} give {row.others}" for row in rows]
    least = f"where you rated {LEAST[kind]} or more"
    head(title, f"Your mean, in {unit}, {least}. {'; '.join(dict.fromkeys((says[0], says[-1])))}.")
    chart(rows, f"my rated {NAMES[kind].lower()}", unit, "+.1f")


def head(title: str, text: str) -> None:
    """Draw what stands over a chart."""
    st.html(f'<div class="chart-head"><h3>{html(title)}</h3><p>{html(text)}</p></div>')


def chart(bars: Sequence[Bar], key: str, unit: str, form: str) -> None:
    """Draw bars to both sides of zero, each with its value; of many, those furthest from zero on each side."""
    data = pd.DataFrame([{**bar.group._asdict(), "difference": bar.value} for bar in bars])
    rows = [bar for bar in bars if float(f"{bar.value:{form}}")]
    if len(rows) > BARS:
        rows = [*rows[: BARS // 2], *rows[-BARS // 2 :]]
    values = [bar.value for bar in rows]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.2 * (high - low)  # for the values at the ends
    figure = go.Figure(
        go.Bar(
            x=values,
            y=[html(bar.group.name)[:40] for bar in rows],
            orientation="h",
            text=[f"{value:{form}}".replace("-", "−") for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [plot.COLOURS[0 if value >= 0 else 1] for value in values], "cornerradius": 3},
            customdata=[
                (
                    bar.you,
                    bar.others,
                    f"{bar.group.items} rated, {bar.group.liked} liked, {bar.group.disliked} disliked",
                )
                for bar in rows
            ],
            hovertemplate="%{y}: you %{customdata[0]}, others %{customdata[1]}<br>"
            "%{customdata[2]} rated, %{customdata[3]} liked, %{customdata[4]} disliked<extra></extra>",
        )
    )
    figure.update_layout(
        yaxis={"type": "category", "showgrid": False, "ticks": "", "autorange": "reversed"},
        xaxis={"visible": False, "range": [low - room * (low < 0), high + room]},
    )
    first = f"; {plain(rows[0].group.name)} is first" if rows else ""
    height = plot.BAR * max(1, len(rows)) + plot.AXIS // 2
    plot.draw(figure, key, alt=f"Bars: {unit}{first}", height=height, data=data)
