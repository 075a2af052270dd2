"""The visitor's taste in figures and charts: what they like, how they rate it, and how their stars spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import cards, palette
from pages.ui.address import recall, record
from pages.ui.escape import html, markdown, plain
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.export import counted, csv_text
from recengine.serving import own_taste
from recengine.serving.event_log import STARS
from recengine.serving.own_taste import Group, Labels, Usual

NAMES = {"genres": "Genres", "decade": "Decades", "director": "Directors"}
"""Kind of label -> what the app calls it."""
BARS = 10
"""Bars of a chart: half of them those furthest above the others', half those furthest below."""
LEAST = {"genres": 3, "decade": 3, "director": 2}
"""Films rated of a kind without which their mean is not compared."""
ROW = 30
"""Pixels for a bar."""


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
    st.download_button(
        "Download the data", as_csv(groups), "taste.csv", "text/csv", icon=":material/download:", on_click="ignore"
    )


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
    frame = pd.DataFrame({"stars": [f"{stars:g}" for stars in steps], "films": [given.count(stars) for stars in steps]})
    bars = alt.Chart(frame).encode(
        x=alt.X("stars:N", sort=None, title="your stars", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("films:Q", title=None, axis=None),
        tooltip=["stars:N", "films:Q"],
    )
    labels = bars.transform_filter("datum.films > 0").mark_text(dy=-8, fontSize=13, color=ink())
    chart = bars.mark_bar(cornerRadiusEnd=3) + labels.encode(text="films:Q")
    top = steps[int(frame["films"].to_numpy().argmax())]
    said = f"Your most common rating is {top:g} ★: {counted(given.count(top), words.items)} of {len(given):,}."
    st.html('<h2 class="row-title">How your stars spread</h2>')
    st.altair_chart(chart.properties(height=180, background="transparent"), alt=f"Bars: {said}")
    st.caption(said)


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
    unit = "percentage points above or below all viewers"
    head(title, words.say(f"Share of what is liked, in {unit}."))
    chart(rows, unit, "+.0f", words, kind)
    they = words.viewers
    says = [f"{markdown(row.group.name)} {row.you} of your likes, {row.others} of all {they}’ likes" for row in rows]
    st.caption(f"{says[0]}; {says[-1]}." if len(says) > 1 else f"{says[0]}.")


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
    head(title, f"Your mean, in {unit}; where you rated {LEAST[kind]} or more.")
    chart(rows, unit, "+.1f", words, kind)
    says = [f"{markdown(row.group.name)} {row.you}, where all {words.viewers} give {row.others}" for row in rows]
    st.caption(f"{says[0]}; {says[-1]}." if len(says) > 1 else f"{says[0]}.")


def head(title: str, text: str) -> None:
    """Draw what stands over a chart."""
    st.html(f'<div class="chart-head"><h3>{html(title)}</h3><p>{html(text)}</p></div>')


def chart(rows: Sequence[Bar], unit: str, form: str, words: Words, kind: str) -> None:
    """Draw bars to both sides of zero, each with its value; of many, those furthest from zero on each side."""
    rows = [row for row in rows if float(f"{row.value:{form}}")]
    if len(rows) > BARS:
        rows = [*rows[: BARS // 2], *rows[-BARS // 2 :]]
    frame = pd.DataFrame(
        {
            "name": [plain(row.group.name)[:40] for row in rows],
            "value": [row.value for row in rows],
            "side": ["above" if row.value >= 0 else "below" for row in rows],
            "you": [row.you for row in rows],
            "others": [row.others for row in rows],
            "rated": [row.group.items for row in rows],
            "liked": [row.group.liked for row in rows],
            "disliked": [row.group.disliked for row in rows],
        }
    )
    low, high = min([0.0, *frame["value"]]), max([0.0, *frame["value"]])
    room = 0.2 * (high - low)  # for the values at the ends
    base = alt.Chart(frame).encode(
        x=alt.X(
            "value:Q",
            title=None,
            scale=alt.Scale(domain=[low - room * (low < 0), high + room], nice=False),
            axis=alt.Axis(values=[0], labels=False, ticks=False, domain=False),
        ),
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=130, labelOverlap=False)),
        tooltip=["name:N", "you:N", "others:N", "rated:Q", "liked:Q", "disliked:Q"],
    )
    bars = base.mark_bar(cornerRadiusEnd=3, height={"band": 0.65}).encode(
        color=alt.Color("side:N", legend=None, scale=alt.Scale(domain=["above", "below"]))
    )
    values = alt.Text("value:Q", format=form)
    above = base.transform_filter("datum.value >= 0").mark_text(align="left", dx=5, fontSize=13, color=ink())
    below = base.transform_filter("datum.value < 0").mark_text(align="right", dx=-5, fontSize=13, color=ink())
    layers = alt.layer(bars, above.encode(text=values), below.encode(text=values))
    first = f"; {frame['name'][0]} is furthest above" if len(frame) else ""
    st.altair_chart(
        layers.properties(height=ROW * max(1, len(rows)) + 20, background="transparent"),
        alt=words.say(f"Bars: {NAMES[kind].lower()}, {unit}") + first,
    )


def ink() -> str:
    """Return the colour of text in the theme in use."""
    colour = palette.THEME["ink"]
    return colour.light if st.context.theme.type == "light" else colour.dark


def as_csv(groups: dict[str, list[Group]]) -> str:
    """Return all figures that the charts show, and those of the kinds that they leave out."""
    header = ("kind", *Group._fields)
    rows = []
    for kind, of in groups.items():
        for group in of:
            cells = [None if isinstance(value, float) and math.isnan(value) else value for value in group]
            rows.append((kind, *(round(value, 4) if isinstance(value, float) else value for value in cells)))
    return csv_text(header, rows)
