"""The charts of the data page: how ratings, films, genres and years are spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from pages.ui import plot
from pages.ui.words import words_of
from recengine.data.dataset import Dataset

_BINS = 20


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
    top = names[int(counts.argmax())]
    table = pd.DataFrame({"rating": names, words_of(dataset).ratings: counts})
    plot.bars(table, "ratings given", alt=f"Bars: how often each rating was given; {top} is the most common")


def popularity(dataset: Dataset) -> None:
    """Draw the share of all ratings that the most-rated films hold."""
    words = words_of(dataset)
    counts = np.sort(dataset.ratings.item_counts)[::-1]
    share = np.cumsum(counts) / counts.sum()
    ranks = np.unique(np.linspace(0, len(counts) - 1, 101).astype(int))
    table = pd.DataFrame({f"share of {words.items}": (ranks + 1) / len(counts), "share of ratings": share[ranks]})
    fifth = share[max(0, round(len(counts) * 0.2) - 1)]
    curve = go.Scatter(
        x=table.iloc[:, 0],
        y=table.iloc[:, 1],
        mode="lines",
        fill="tozeroy",
        hovertemplate=f"%{{x:.0%}} of {words.items}: %{{y:.0%}} of {words.ratings}<extra></extra>",
    )
    figure = go.Figure(curve)
    figure.add_vline(x=0.2, line_dash="dot", line_width=2, line_color=plot.COLOURS[1])
    title = words.say("share of films, most rated first")
    figure.update_xaxes(title=title, tickformat=".0%", range=[0, 1], nticks=5, showgrid=False)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], nticks=4)
    alt = f"Curve: the most-rated fifth of the {words.items} has {fifth:.0%} of the ratings"
    plot.draw(figure, "share of ratings", alt=alt, height=240, data=table)


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
    table = pd.DataFrame({"genre": [name[:40] for name in top], words_of(dataset).items: [counts[n] for n in top]})
    plot.bars(table, "genres", alt=f"Bars: films by genre; {top[0][:40]} is the most common", lying=True)


def years(dataset: Dataset) -> None:
    """Draw how many films there are of each decade."""
    known = dataset.items["year"].dropna().astype(int)
    if not len(known):
        st.caption("This data has no years.")
        return
    decades = (known // 10 * 10).value_counts().sort_index()
    table = pd.DataFrame({"decade": [f"{d}s" for d in decades.index], words_of(dataset).items: decades.to_numpy()})
    plot.bars(table, "decades", alt="Bars: films by decade", height=300)
