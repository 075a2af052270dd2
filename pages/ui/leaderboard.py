"""A leaderboard from what `evaluate --json` printed: its table, its words, its charts, and what can be taken away.

The figures are the object's own; where one is shown with fewer digits, the whole number stands in its title.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import recipes
from pages.ui.escape import html, markdown
from recengine.evaluation import glossary
from recengine.export import csv_text

Result = Mapping[str, Any]
"""What `evaluate --json` prints."""
CHART = 260
"""Height of a chart in pixels."""


class Paired(NamedTuple):
    """What the paired test says of a model and the leader."""

    model: str
    said: str
    beyond_chance: bool


def columns(result: Result, group: str) -> list[str]:
    """Return the keys of a group of metrics that any model has, in the order of the glossary."""
    held = {key for metrics in result["results"].values() for key in metrics}
    order = list(glossary.METRICS)
    keys = [key for key in held if glossary.entry(key).group == group]
    return sorted(keys, key=lambda key: ("_sampled" in key, order.index(key.partition("@")[0])))


def ranked(result: Result, key: str) -> list[str]:
    """Return the models, best first by a metric; those without it last."""
    sign = -1 if glossary.entry(key).better != "less" else 1
    value = {name: metrics.get(key, {}).get("value") for name, metrics in result["results"].items()}
    return sorted(value, key=lambda name: (value[name] is None, sign * (value[name] or 0.0)))


def against_leader(result: Result) -> list[Paired]:
    """Return the differences from the leader in words."""
    k, leader = result["k"], recipes.label(result["leader"])
    found = []
    for name, paired in sorted(result["behind_leader"].items(), key=lambda row: row[1]["difference"]):
        low, high, chance = paired["low"], paired["high"], paired["p"] >= 0.05
        verdict = "no difference beyond chance" if chance else "more than chance"
        p_value = "p < .001" if paired["p"] < 0.001 else f"p = {paired['p']:.3f}"
        said = (
            f"{paired['difference']:.4f} NDCG@{k} behind {leader}, 95 % from {low:.4f} to {high:.4f} "
            f"({p_value} after Holm): {verdict}"
        )
        found.append(Paired(name, said, not chance))
    return found


def digits(key: str, value: float | None) -> str:
    """Return a figure with the digits that it deserves."""
    if value is None or math.isnan(value):
        return "–"
    if glossary.entry(key).group == "cost":
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def half_interval(cell: Mapping[str, Any]) -> float | None:
    """Return half of the width of an interval, None where there is none."""
    if cell.get("low") is None or cell.get("high") is None:
        return None
    return (cell["high"] - cell["low"]) / 2


def draw_table(result: Result, group: str, order: Sequence[str]) -> None:
    """Draw one group of columns; the best of each stands out."""
    keys = [key for key in columns(result, group) if "_sampled" not in key]  # those stand in a table of their own
    if not keys:
        st.caption(f"None of these models has anything to say of {group}.")
        return
    best = {key: ranked(result, key)[0] for key in keys if glossary.entry(key).better}
    head = "".join(
        f'<th title="{html(glossary.entry(key).meaning)}">{html(glossary.title(key))}'
        f"<i>{ {'more': '↑', 'less': '↓', '': ''}[glossary.entry(key).better] }</i></th>"
        for key in keys
    )
    rows = []
    for place, name in enumerate(order, start=1):
        cells = []
        for key in keys:
            cell = result["results"][name].get(key, {})
            value, half = cell.get("value"), half_interval(cell)
            plus = f"<small>±{digits(key, half)}</small>" if half is not None and group != "cost" else ""
            mark = ' class="best"' if best.get(key) == name else ""
            cells.append(f'<td{mark} title="{html(value)}">{digits(key, value)}{plus}</td>')
        lead = ' class="leader"' if name == result["leader"] else ""
        rows.append(f"<tr{lead}><th><b>{place}</b>{html(recipes.label(name))}</th>{''.join(cells)}</tr>")
    st.html(
        f'<div class="board-scroll"><table class="leaderboard"><thead><tr><th>Model</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def draw_words(result: Result) -> None:
    """Say how sure the order is."""
    rows = "".join(
        f'<li class="{"sure" if paired.beyond_chance else ""}"><b>{html(recipes.label(paired.model))}</b> is '
        f"{html(paired.said)}.</li>"
        for paired in against_leader(result)
    )
    if rows:
        st.html(f'<section class="notebook"><h3>How sure is the order?</h3><ul class="paired">{rows}</ul></section>')


def _frame(result: Result, key: str) -> pd.DataFrame:
    rows = []
    for name in ranked(result, key):
        cell = result["results"][name].get(key, {})
        if cell.get("value") is not None:
            rows.append((recipes.label(name), cell["value"], cell.get("low"), cell.get("high")))
    return pd.DataFrame(rows, columns=["model", "value", "low", "high"]).astype({"low": float, "high": float})


def draw_intervals(result: Result, key: str) -> None:
    """Draw a metric with its 95 % intervals."""
    table = _frame(result, key)
    base = alt.Chart(table).encode(y=alt.Y("model:N", sort=None, title=None))
    span = alt.Scale(zero=False, padding=12)
    numbers = [alt.Tooltip(name, format=".4f") for name in ("value", "low", "high")]
    colour = alt.Color("model:N", sort=table["model"].tolist(), legend=None)
    bars = base.mark_rule(strokeWidth=4, opacity=0.55).encode(
        x=alt.X("low:Q", title=None, scale=span), x2="high:Q", color=colour
    )
    dots = base.mark_circle(size=110, opacity=1).encode(
        x=alt.X("value:Q", scale=span), color=colour, tooltip=["model", *numbers]
    )
    first = table.iloc[0] if len(table) else None
    said = "" if first is None else f"; {first['model']} leads with {first['value']:.4f}"
    st.altair_chart(
        (bars + dots).properties(height=max(90, 34 * len(table) + 30), background="transparent"),
        alt=f"{glossary.title(key)} of each model with its 95 % interval{said}",
    )


def draw_trade(result: Result, across: str, up: str, *, logarithmic: bool = False) -> None:
    """Draw one metric against another, a point for each model."""
    found = result["results"]
    rows = [
        (recipes.label(name), found[name][across]["value"], found[name][up]["value"])
        for name in found
        if across in found[name] and up in found[name]
    ]
    table = pd.DataFrame(rows, columns=["model", "x", "y"])
    if logarithmic:
        table["x"] = np.maximum(table["x"], 1e-3)
    scale = alt.Scale(type="log") if logarithmic else alt.Scale(zero=False, padding=18)
    base = alt.Chart(table).encode(
        x=alt.X("x:Q", title=glossary.title(across), scale=scale, axis=alt.Axis(tickCount=5, format="~g")),
        y=alt.Y("y:Q", title=glossary.title(up), scale=alt.Scale(zero=False, padding=18), axis=alt.Axis(tickCount=5)),
        color=alt.Color("model:N", sort=[recipes.label(name) for name in ranked(result, up)], legend=None),
        tooltip=["model", alt.Tooltip("x", format=".4g"), alt.Tooltip("y", format=".4g")],
    )
    names = base.mark_text(dy=-13, fontSize=12).encode(text="model")
    st.altair_chart(
        (base.mark_circle(size=130, opacity=1) + names).properties(height=CHART, background="transparent"),
        alt=f"{glossary.title(up)} of each model against {glossary.title(across)}",
    )


def draw_sampled(result: Result) -> None:
    """Set the full ranking beside the sampled one, and say why they differ."""
    full = [key for key in columns(result, "accuracy") if "_sampled" in key]
    for key in full:
        whole = key.partition("_sampled")[0]
        order, sampled = ranked(result, whole), ranked(result, key)
        rows = "".join(
            f"<tr><th>{html(recipes.label(name))}</th><td>{digits(whole, result['results'][name][whole]['value'])}</td>"
            f"<td>{place}</td><td>{digits(key, result['results'][name][key]['value'])}</td>"
            f"<td>{sampled.index(name) + 1}</td></tr>"
            for place, name in enumerate(order, start=1)
        )
        st.html(
            '<div class="board-scroll"><table class="leaderboard"><thead><tr><th>Model</th>'
            f"<th>{html(glossary.title(whole))}, all films</th><th>place</th><th>{html(glossary.title(key))}</th>"
            f"<th>place</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    st.caption(glossary.SAMPLED)


def draw_formulas(result: Result) -> None:
    """Say what each column is, and where it comes from."""
    for group in glossary.GROUPS:
        bases = dict.fromkeys(key.partition("@")[0] for key in columns(result, group))
        if not bases:
            continue
        st.markdown(f"**{group.capitalize()}**")
        for base in bases:
            entry = glossary.METRICS[base]
            formula = f" $\\;{entry.formula}$" if entry.formula else ""
            source = f" *{markdown(entry.source)}*" if entry.source else ""
            st.markdown(f"- **{markdown(entry.title)}**: {markdown(entry.meaning)}.{formula}{source}")
    st.caption(glossary.SYMBOLS)


def to_csv(result: Result) -> str:
    """Return every figure, to the last digit: a row for each model and metric."""
    rows = [
        (name, key, cell["value"], cell.get("low"), cell.get("high"))
        for name, metrics in result["results"].items()
        for key, cell in metrics.items()
    ]
    return csv_text(("model", "metric", "value", "low", "high"), rows)


def to_markdown(result: Result, command: str) -> str:
    """Return a table of the accuracy and what it was measured on, for a report."""
    keys = [key for key in columns(result, "accuracy") if result["results"]]
    head = [glossary.title(key) for key in keys]
    lines = [
        f"{result['dataset']}, {result['split']['split']}: {result['users']:,} people, {result['items']:,} films, "
        f"{result['seeds']} seed(s); ± half a 95 % interval over people",
        "",
        f"`{command}`",
        "",
        "| model | " + " | ".join(head) + " |",
        "| --- |" + " --- |" * len(head),
    ]
    for name in ranked(result, f"ndcg@{result['k']}"):
        cells = []
        for key in keys:
            cell = result["results"][name].get(key, {})
            half = half_interval(cell)
            cells.append(digits(key, cell.get("value")) + (f" ± {digits(key, half)}" if half is not None else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read_viewers(text: str) -> pd.DataFrame:
    """Return what `evaluate --users` wrote: model, user_id, metrics, and `list`, a list of raw item ids."""
    header, *rows = list(csv.reader(io.StringIO(text, newline="")))
    table = pd.DataFrame(rows, columns=header)
    metrics = [name for name in header if "@" in name]
    table[metrics] = table[metrics].astype(float)
    table["list"] = table["list"].str.split()
    return table
