"""The charts of the data page. Colours come from the theme; text from data is shown as it is, never interpreted."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from pages.ui.escape import plain
from pages.ui.words import words_of
from recengine.data.dataset import Dataset

_BINS = 20


def _draw(chart: alt.Chart, alt_text: str, height: int = 240) -> None:
    st.altair_chart(chart.properties(height=height, background="transparent"), alt=alt_text)


def ratings(dataset: Dataset) -> None:
    """Draw how often each rating was given; many distinct values are binned, amounts by powers of two."""
    values, counts = np.unique(dataset.ratings.rating, return_counts=True)
    names = [f"{value:.3g}" for value in values]
    if len(values) > _BINS and words_of(dataset).is_implicit and values[0] > 0:  # few of them are large
        edges = 2.0 ** np.arange(np.floor(np.log2(values[0])), np.floor(np.log2(values[-1])) + 2)
        counts, _ = np.histogram(dataset.ratings.rating, edges)
        names = [f"from {edge:.3g}" for edge in edges[:-1]]
    elif len(values) > _BINS:
        counts, edges = np.histogram(dataset.ratings.rating, bins=_BINS)
        names = [f"{value:.3g}" for value in (edges[:-1] + edges[1:]) / 2]
    frame = pd.DataFrame({"rating": names, "ratings": counts})
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("rating:N", sort=None, title=None, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("ratings:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            tooltip=["rating:N", alt.Tooltip("ratings:Q", format=",")],
        )
    )
    top = frame["rating"].iloc[int(counts.argmax())]
    _draw(chart, f"Bars: how often each rating was given; {top} is the most common")


def popularity(dataset: Dataset) -> None:
    """Draw the share of all ratings that the most-rated films hold."""
    counts = np.sort(dataset.ratings.item_counts)[::-1]
    share = np.cumsum(counts) / counts.sum()
    ranks = np.unique(np.linspace(0, len(counts) - 1, 101).astype(int))
    frame = pd.DataFrame({"films": (ranks + 1) / len(counts), "ratings": share[ranks]})
    fifth = share[max(0, round(len(counts) * 0.2) - 1)]
    line = (
        alt.Chart(frame)
        .mark_area(opacity=0.3, line=True)
        .encode(
            x=alt.X(
                "films:Q",
                title=words_of(dataset).say("share of films, most rated first"),
                axis=alt.Axis(format="%", tickCount=5),
            ),
            y=alt.Y("ratings:Q", title=None, axis=alt.Axis(format="%", tickCount=4), scale=alt.Scale(domain=[0, 1])),
            tooltip=[alt.Tooltip("films:Q", format=".0%"), alt.Tooltip("ratings:Q", format=".0%")],
        )
    )
    _draw(line, f"Curve: the most-rated fifth of the {words_of(dataset).items} has {fifth:.0%} of the ratings")


def genres(dataset: Dataset) -> None:
    """Draw how many films there are of each genre, at most fifteen."""
    counts: dict[str, int] = {}
    for text in dataset.items["genres"]:
        for name in filter(None, text.split("|")):
            counts[name] = counts.get(name, 0) + 1
    if not counts:
        st.caption("This data has no genres.")
        return
    top = sorted(counts, key=lambda name: -counts[name])[:15]
    frame = pd.DataFrame({"genre": [plain(name)[:40] for name in top], "films": [counts[name] for name in top]})
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("films:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            y=alt.Y(
                "genre:N",
                sort=None,
                title=None,
                axis=alt.Axis(labelLimit=140, labelOverlap=False, labelBaseline="middle"),
            ),
            tooltip=["genre:N", alt.Tooltip("films:Q", format=",")],
        )
    )
    _draw(chart, f"Bars: films by genre; {frame['genre'][0]} is the most common", 300)


def years(dataset: Dataset) -> None:
    """Draw how many films there are of each decade."""
    known = dataset.items["year"].dropna().astype(int)
    if not len(known):
        st.caption("This data has no years.")
        return
    decades = (known // 10 * 10).value_counts().sort_index()
    frame = pd.DataFrame({"decade": [f"{d}s" for d in decades.index], "films": decades.to_numpy()})
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("decade:N", sort=None, title=None, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("films:Q", title=None, axis=alt.Axis(format="~s", tickCount=4)),
            tooltip=["decade:N", alt.Tooltip("films:Q", format=",")],
        )
    )
    _draw(chart, "Bars: films by decade", 300)
