"""A leaderboard from what `evaluate --json` printed: its table, how sure the order is, its charts and downloads.

Where a figure is shown rounded, its tooltip has the number as the report has it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from pages.ui import plot, recipes
from pages.ui.escape import html, markdown
from pages.ui.words import Words
from recengine.evaluation import glossary
from recengine.evaluation.report import EvaluationReport, Interval
from recengine.export import counted, csv_text

NOT_RANKED = {
    "seen": "films that a viewer had rated before the test, high or low, are not ranked for them",
    "positives": "films that a viewer had liked before the test are not ranked for them",
}
"""What is left out of the lists, in words, by the mask."""
CHART = 260
"""Height of a chart in pixels."""


class Paired(NamedTuple):
    """The result of the paired test of a model against the leader."""

    model: str
    text: str
    beyond_chance: bool


def columns(report: EvaluationReport, group: str) -> list[str]:
    """Return the keys of a group of metrics that any model has, in the order of the glossary."""
    held = {key for figures in report.first.metrics.values() for key in figures}
    order = list(glossary.METRICS)
    keys = [key for key in held if glossary.entry(key).group == group]
    return sorted(keys, key=lambda key: ("_sampled" in key, order.index(key.partition("@")[0])))


def ranked(report: EvaluationReport, key: str) -> list[str]:
    """Return the models, best first by a metric; those without it last."""
    sign = -1 if glossary.entry(key).better != "less" else 1
    value = {name: figures[key].value if key in figures else math.nan for name, figures in report.first.metrics.items()}
    return sorted(
        value, key=lambda name: (math.isnan(value[name]), 0.0 if math.isnan(value[name]) else sign * value[name])
    )


def against_leader(report: EvaluationReport) -> list[Paired]:
    """Return the differences from the leader in words."""
    k, leader = report.settings.k, recipes.label(report.first.leader)
    differences = []
    for name, paired in sorted(report.first.behind_leader.items(), key=lambda row: row[1].difference):
        if not paired.is_known:
            text = f"{paired.difference:.4f} NDCG@{k} behind {leader}; too few viewers to say more"
            differences.append(Paired(name, text, False))
            continue
        low, high, chance = paired.low, paired.high, paired.p >= 0.05
        verdict = "no difference beyond chance" if chance else "more than chance"
        p_value = "p < .001" if paired.p < 0.001 else f"p = {paired.p:.3f}"
        text = (
            f"{paired.difference:.4f} NDCG@{k} behind {leader}, 95% from {low:.4f} to {high:.4f} "
            f"({p_value} after Holm): {verdict}"
        )
        differences.append(Paired(name, text, not chance))
    return differences


def digits(key: str, value: float) -> str:
    """Return a figure with the digits that it deserves."""
    if math.isnan(value):
        return "–"
    if glossary.entry(key).group == "cost":
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def figure_of(report: EvaluationReport, name: str, key: str) -> Interval:
    """Return a model's figure, NaN where it has none."""
    return report.first.metrics[name].get(key, Interval(math.nan))


def draw_table(report: EvaluationReport, group: str, order: Sequence[str], words: Words) -> None:
    """Draw one group of columns; the best of each stands out."""
    keys = [key for key in columns(report, group) if "_sampled" not in key]  # those have a separate table
    if not keys:
        st.caption(f"None of these models has a figure for {group}.")
        return
    best = {key: ranked(report, key)[0] for key in keys if glossary.entry(key).better}
    head = "".join(
        f'<th title="{html(words.say(glossary.entry(key).meaning))}">{html(glossary.title(key))}'
        f"<i>{ {'more': '↑', 'less': '↓', '': ''}[glossary.entry(key).better] }</i></th>"
        for key in keys
    )
    rows = []
    for rank, name in enumerate(order, start=1):
        cells = []
        for key in keys:
            figure = figure_of(report, name, key)
            sure = not math.isnan(figure.half) and group != "cost"
            plus = f"<small>±{digits(key, figure.half)}</small>" if sure else ""
            mark = ' class="best"' if best.get(key) == name else ""
            whole = None if math.isnan(figure.value) else figure.value
            cells.append(f'<td{mark} title="{html(whole)}">{digits(key, figure.value)}{plus}</td>')
        lead = ' class="leader"' if name == report.first.leader else ""
        rows.append(f"<tr{lead}><th><b>{rank}</b>{html(recipes.label(name))}</th>{''.join(cells)}</tr>")
    st.html(
        f'<div class="board-scroll"><table class="leaderboard"><thead><tr><th>Model</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def draw_words(report: EvaluationReport) -> None:
    """Say how sure the order is."""
    rows = "".join(
        f'<li class="{"sure" if paired.beyond_chance else ""}"><b>{html(recipes.label(paired.model))}</b> is '
        f"{html(paired.text)}.</li>"
        for paired in against_leader(report)
    )
    if rows:
        st.html(f'<section class="notebook"><h3>How sure is the order?</h3><ul class="paired">{rows}</ul></section>')


def _frame(report: EvaluationReport, key: str) -> pd.DataFrame:
    rows = []
    for name in ranked(report, key):
        figure = figure_of(report, name, key)
        if not math.isnan(figure.value):
            rows.append((recipes.label(name), *figure))
    return pd.DataFrame(rows, columns=["model", "value", "low", "high"]).astype({"low": float, "high": float})


def draw_intervals(report: EvaluationReport, key: str) -> None:
    """Draw a metric with its 95% intervals."""
    table = _frame(report, key)
    figure = go.Figure()
    for name, value, low, high in table.to_numpy().tolist():
        ends = {"array": [high - value], "arrayminus": [value - low], "thickness": 4, "width": 0}
        mark = go.Scatter(
            x=[value],
            y=[html(name)],
            error_x=None if math.isnan(low) else ends,
            mode="markers",
            marker={"size": 12},
            hovertemplate=f"%{{y}}: {value:.4f}, 95% from {low:.4f} to {high:.4f}<extra></extra>",
        )
        figure.add_trace(mark)
        figure.add_annotation(x=value, y=html(name), text=f"{value:.4f}", yshift=14, showarrow=False, font={"size": 11})
    figure.update_xaxes(nticks=5, tickformat=".3~f")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    first = table.iloc[0] if len(table) else None
    leader = "" if first is None else f"; {first['model']} leads with {first['value']:.4f}"
    alt = f"{glossary.title(key)} of each model with its 95% interval{leader}"
    plot.draw(figure, f"intervals {key}", alt=alt, height=max(110, 44 * len(table) + 50), data=table)


def draw_trade(report: EvaluationReport, across: str, up: str, *, logarithmic: bool = False) -> None:
    """Draw one metric against another, a point for each model."""
    rows = [
        (recipes.label(name), figures[across].value, figures[up].value)
        for name in ranked(report, up)
        if across in (figures := report.first.metrics[name]) and up in figures
    ]
    table = pd.DataFrame(rows, columns=["model", glossary.title(across), glossary.title(up)])
    x, y = table.iloc[:, 1].to_numpy(float), table.iloc[:, 2].to_numpy(float)
    x = np.log10(np.maximum(x, 1e-3)) if logarithmic else x
    ranges = [_roomy(x), _roomy(y)]
    unit = [(each - low) / (high - low) for each, (low, high) in zip((x, y), ranges, strict=True)]
    sides = plot.free_sides(unit[0].tolist(), unit[1].tolist(), table["model"].tolist())
    figure = go.Figure()
    for row, side in zip(rows, sides, strict=True):
        mark = go.Scatter(
            x=[max(row[1], 1e-3) if logarithmic else row[1]],
            y=[row[2]],
            mode="markers+text",
            text=[html(row[0])],
            textposition=side,
            marker={"size": 12},
            cliponaxis=False,
            hovertemplate=f"%{{text}}: {row[1]:.4g}, {row[2]:.4g}<extra></extra>",
        )
        figure.add_trace(mark)
    kind = {"type": "log", "dtick": 1, "tickformat": "~g"} if logarithmic else {"nticks": 5}
    figure.update_xaxes(title=glossary.title(across), range=ranges[0], **kind)
    figure.update_yaxes(title=glossary.title(up), range=ranges[1], nticks=5)
    alt = f"{glossary.title(up)} of each model against {glossary.title(across)}"
    plot.draw(figure, f"{up} against {across}", alt=alt, height=CHART, data=table)


def _roomy(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of an axis that leaves room for names round the points."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = 0.18 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def draw_sampled(report: EvaluationReport, items: str) -> None:
    """Draw the full ranking and the sampled one side by side, and say why they differ."""
    full = [key for key in columns(report, "accuracy") if "_sampled" in key]
    for key in full:
        whole = key.partition("_sampled")[0]
        order, sampled = ranked(report, whole), ranked(report, key)
        rows = "".join(
            f"<tr><th>{html(recipes.label(name))}</th><td>{digits(whole, figure_of(report, name, whole).value)}</td>"
            f"<td>{rank}</td><td>{digits(key, figure_of(report, name, key).value)}</td>"
            f"<td>{sampled.index(name) + 1}</td></tr>"
            for rank, name in enumerate(order, start=1)
        )
        st.html(
            '<div class="board-scroll"><table class="leaderboard"><thead><tr><th>Model</th>'
            f"<th>{html(glossary.title(whole))}, all {items}</th><th>rank</th><th>{html(glossary.title(key))}</th>"
            f"<th>rank</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    st.caption(glossary.SAMPLED)


def draw_formulas(report: EvaluationReport, words: Words) -> None:
    """Say what each column is, and where it comes from."""
    for group in glossary.GROUPS:
        bases = dict.fromkeys(key.partition("@")[0] for key in columns(report, group))
        if not bases:
            continue
        st.markdown(f"**{group.capitalize()}**")
        for base in bases:
            entry = glossary.METRICS[base]
            formula = f" $\\;{entry.formula}$" if entry.formula else ""
            source = f" *{markdown(entry.source)}*" if entry.source else ""
            st.markdown(f"- **{markdown(entry.title)}**: {markdown(words.say(entry.meaning))}.{formula}{source}")
    st.caption(words.say(glossary.SYMBOLS))


def not_ranked(report: EvaluationReport, words: Words) -> str:
    """Return what is left out of the lists, in words."""
    if words.is_implicit:
        return f"{words.items} that a {words.viewer} had chosen before the test are not ranked for them"
    return words.say(NOT_RANKED[report.settings.policy.mask])


def draw_policy(report: EvaluationReport, words: Words) -> None:
    """Say how the lists were made, which models have no results, and what new viewers get."""
    lines = [f"{not_ranked(report, words)}."]
    lines += [f"{recipes.label(name)} has no results: {text}." for name, text in report.refused.items()]
    counts = [f"{recipes.label(name)} {n:,}" for name, n in report.first.popularity_fallback.items() if n]
    if counts:
        lines.append(
            f"The most popular stand in for {words.viewers} of whom a model knows nothing: {', '.join(counts)}."
        )
    warm = report.first.warm
    if warm is not None:
        key = f"ndcg@{report.settings.k}"
        values = ", ".join(f"{recipes.label(n)} {m[key].value:.4f}" for n, m in warm.results.metrics.items())
        lines.append(
            f"For the {counted(warm.users, words.viewers)} with known likes, {glossary.title(key)} is: {values}."
        )
    for line in lines:
        st.caption(markdown(line[0].upper() + line[1:]))


def to_csv(report: EvaluationReport, command: str) -> str:
    """Return every figure, to the last digit: a row for each model and metric, with what makes it again."""
    settings = report.settings
    source = (settings.dataset, settings.fingerprint, str(settings.split["split"]), settings.positive, command)
    rows = [
        (name, key, *(None if math.isnan(part) else part for part in figure), *source)
        for name, figures in report.first.metrics.items()
        for key, figure in figures.items()
    ]
    head = ("model", "metric", "value", "low", "high", "dataset", "fingerprint", "split", "liked_from", "command")
    return csv_text(head, rows)


def to_markdown(report: EvaluationReport, command: str, words: Words) -> str:
    """Return a table of the accuracy and what it was measured on, for a report."""
    keys = columns(report, "accuracy")
    head, settings = [glossary.title(key) for key in keys], report.settings
    rule = not_ranked(report, words)
    sizes = f"{counted(report.users, words.viewers)}, {counted(report.items, words.items)}"
    lines = [
        f"{settings.dataset}, {settings.split['split']}, liked from {settings.positive:g}: {sizes}, "
        f"{counted(settings.seeds, 'seeds')}; ± half a 95% interval over {words.viewers}; {rule}",
        "",
        f"`{command}`",
        "",
        "| model | " + " | ".join(head) + " |",
        "| --- |" + " --- |" * len(head),
    ]
    for name in ranked(report, f"ndcg@{settings.k}"):
        cells = []
        for key in keys:
            figure = figure_of(report, name, key)
            plus = "" if math.isnan(figure.half) else f" ± {digits(key, figure.half)}"
            cells.append(digits(key, figure.value) + plus)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read_viewers(text: str) -> pd.DataFrame:
    """Return what `evaluate --users` wrote: dataset, model, user_id, metrics, and `list`, a list of raw item ids."""
    header, *rows = list(csv.reader(io.StringIO(text, newline="")))
    table = pd.DataFrame(rows, columns=header)
    metrics = [name for name in header if "@" in name]
    table[metrics] = table[metrics].astype(float)
    table["list"] = [[str(id) for id in json.loads(cell)] for cell in table["list"]]
    return table
