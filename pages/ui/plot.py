"""Charts that people explore: Plotly in the colours of the theme, labels on the marks, and the data to download.

What ticks while a job runs is drawn by Streamlit's own charts, which keep their zoom; all else is drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
import streamlit.elements.plotly_chart  # makes the theme's colours Plotly's own for figures made later

from pages.ui.escape import html
from recengine.export import csv_text

LABEL = 13
"""Size of letters in a chart, in pixels; a letter is about half as wide."""
COLOURS = [f"#00000{number}" for number in range(1, 9)]
"""What Streamlit replaces by the eight colours of the theme; its own list of ten has gaps, and Plotly would drop it."""
BAR, AXIS = 26, 44
"""Heights of a lying bar and of what stands below it, in pixels."""
CROWD = 40
"""Letters under standing bars beyond which every second name is left out."""


def draw(figure: go.Figure, key: str, *, alt: str, height: int, data: pd.DataFrame) -> None:
    """Draw a figure, and offer its data as CSV.

    alt  : what the figure shows, in a sentence for those who do not see it
    data : the figures behind the marks, one row each; its texts are as the data have them
    """
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 16, "t": 12, "b": 4},
        showlegend=False,
        dragmode=False,
        bargap=0.25,
        font={"size": LABEL},
        colorway=COLOURS,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(fixedrange=True, zeroline=False, automargin=True)
    figure.update_yaxes(fixedrange=True, zeroline=False, automargin=True)
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)
    st.download_button(
        "Download the data",
        csv_text(list(data.columns), data.itertuples(index=False), ids=()),
        f"{key.replace(' ', '-')}.csv",
        "text/csv",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
        key=f"{key} data",
    )


def bars(table: pd.DataFrame, key: str, *, alt: str, lying: bool = False, height: int = 240) -> None:
    """Draw a bar for each row of `table`, whose columns are a name and a count.

    lying : whether bars lie, for names that are words; they set the height
    """
    names = [html(name) for name in table.iloc[:, 0]]
    values = table.iloc[:, 1].tolist()
    texts = [short(value) for value in values]
    sides = {"x": values, "y": names, "orientation": "h"} if lying else {"x": names, "y": values}
    mark = go.Bar(
        **sides,
        text=texts,
        customdata=[f"{value:,}" for value in values],
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        marker={"cornerradius": 3},
        hovertemplate=f"%{{{'y' if lying else 'x'}}}: %{{customdata}} {html(table.columns[1])}<extra></extra>",
    )
    figure = go.Figure(mark)
    figure.update_layout(uniformtext={"minsize": 10, "mode": "hide"})
    crowded = not lying and sum(map(len, names)) > CROWD
    kept = {"type": "category", "showgrid": False, "ticks": "", "tickangle": 0, "dtick": 2 if crowded else 1}
    bare = {"visible": False, "range": [0, 1.15 * max([*values, 1e-9])]}
    if lying:
        figure.update_layout(yaxis={**kept, "autorange": "reversed"}, xaxis=bare)
        height = BAR * len(values) + AXIS // 2
    else:
        figure.update_layout(xaxis=kept, yaxis=bare)
    draw(figure, key, alt=alt, height=height, data=table)


def short(count: float) -> str:
    """Return a count that is narrow enough for a bar on a phone: two digits from a thousand on, or the whole of it."""
    for unit, sign in ((1e6, "M"), (1e3, "k")):
        if count >= (0.9995 * unit if unit > 1e3 else unit):
            return f"{count / unit:,.{int(count < 9.95 * unit)}f}{sign}"
    return f"{count:,}"


def free_sides(
    x: Sequence[float], y: Sequence[float], names: Sequence[str], *, width: float = 230, height: float = 150
) -> list[str]:
    """Return on which side of its point each name stands, so that names cross neither points nor each other.

    x, y : positions from 0 to 1 within a chart of `width` by `height` pixels, by default that of a phone
    """
    points = [(a * width, (1 - b) * height) for a, b in zip(x, y, strict=True)]
    taken = [(a - 7, b - 7, a + 7, b + 7) for a, b in points]
    sides: list[str] = []
    for (a, b), name in zip(points, names, strict=True):
        wide, high = LABEL * 0.68 * len(name), LABEL * 1.2
        best = (float("inf"), "", (0.0, 0.0, 0.0, 0.0))
        for order, (level, side) in enumerate(product(("top", "bottom", "middle"), ("center", "right", "left"))):
            if (level, side) == ("middle", "center"):
                continue
            left = a + {"center": -wide / 2, "right": 9, "left": -9 - wide}[side]
            top = b + {"top": -9 - high, "bottom": 9, "middle": -high / 2}[level]
            box = (left, top, left + wide, top + high)
            cost = sum(_overlap(box, each) for each in taken) + 3 * _outside(box, width, height) + 0.01 * order
            best = min(best, (cost, f"{level} {side}", box))
        sides.append(best[1])
        taken.append(best[2])
    return sides


Box = tuple[float, float, float, float]


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _outside(box: Box, width: float, height: float) -> float:
    """Return how much of a box lies outside the chart, in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, (0.0, 0.0, width, height))
