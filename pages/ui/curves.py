"""The curves of trainings: what to draw is prepared here as tables, then drawn as charts that share their epochs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from pages.ui.jobs import jobs
from pages.ui.text import plain
from recengine.serving.jobs import Job
from recengine.serving.progress import epochs_of
from recengine.training.loop import gain

MOST = 8
"""Runs that are drawn at once: as many as there are colours."""
METRICS = {
    "loss": ("Loss", "on the training rows; lower is better"),
    "valid_ndcg@10": ("NDCG@10", "on validation, all films ranked; higher is better"),
    "valid_hr@10": ("HR@10", "on validation, all films ranked; higher is better"),
    "valid_rmse": ("RMSE", "on validation, in stars; lower is better"),
    "valid_mae": ("MAE", "on validation, in stars; lower is better"),
}
"""Metric of an epoch -> its name and what it says, in the order in which they are drawn."""
EXPLANATION = """
The thin line with its points is what was measured in each epoch, the thick one is smoothed, the large point is the
epoch that validation chose; epoch 0 is the model before it learned anything. One withheld film of each person is the
validation: the model ranks **all** films for them, those that they are known to like left out.

- $\\text{HR@10}$ is the share of people whose withheld film is among the first ten.
- $\\text{NDCG@10} = \\frac{1}{\\log_2(r + 1)}$ for its rank $r \\le 10$, else 0, averaged over people.
- A loss that keeps falling while validation gets worse is over-fitting: the model learns its people by heart.

When the epoch is chosen, a new model is trained for as many epochs on everything, validation included, and kept.
He et al. (Neural collaborative filtering, WWW 2017) draw the same three curves against 100 sampled films; sampled
metrics rank models wrongly (Krichene & Rendle, KDD 2020), so here all films compete.
"""


def history(job: Job) -> list[Mapping[str, Any]]:
    """Return a run's epochs: what it has told so far, or when it is done the model's own history."""
    result = jobs().result(job.id) if job.state == "done" else None
    try:
        return json.loads((Path((result or {})["folder"]) / "model.json").read_text(encoding="utf-8"))["history"]
    except (OSError, ValueError, KeyError):  # not done, or the store has made room since
        return list(epochs_of(jobs().rows(job.id)))


def best_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the epoch that validation chooses, or None if there is no validation."""
    for criterion in ("valid_ndcg@10", "valid_rmse"):
        scored = [row for row in rows if row.get(criterion) is not None]
        if scored:
            return max(scored, key=lambda row: gain(criterion, row[criterion]))
    return None


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the mean around each value, weighted by a bell whose standard deviation is a fortieth of the curve.

    It looks to both sides, so that it does not lag behind as a running mean does.
    """
    place = np.arange(len(values))
    weight = np.exp(-0.5 * ((place[:, None] - place) / max(0.5, len(values) / 40)) ** 2)
    return (weight @ np.asarray(values, dtype=float) / weight.sum(1)).tolist()


def table(runs: Sequence[Job], metric: str) -> pd.DataFrame:
    """Return run, title, epoch, value, smoothed, best: a row for each epoch of each run that has the metric."""
    parts = []
    for job in runs:
        rows = history(job)
        best = best_row(rows)
        known = [row for row in rows if row.get(metric) is not None]
        values = [row[metric] for row in known]
        parts.append(
            pd.DataFrame(
                {
                    "run": job.id,
                    "title": plain(job.title),
                    "epoch": [row["epoch"] for row in known],
                    "value": values,
                    "smoothed": smoothed(values),
                    "best": [best is not None and row["epoch"] == best["epoch"] for row in known],
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run", "epoch", "value"])


def draw(runs: Sequence[Job]) -> None:
    """Draw a chart for each metric that any of the runs has: raw thin with its points, smoothed strong."""
    tables = {metric: data for metric in METRICS if not (data := table(runs, metric)).empty}
    for metric, data in tables.items():
        name, told = METRICS[metric]
        st.html(f'<div class="chart-head curve"><h3>{name}</h3><p>{told}</p></div>')
        last = data[data["run"] == data["run"].iloc[0]].iloc[-1]
        said = f"{last['title']} stands at {last['value']:.4f} in epoch {last['epoch']:.0f}"
        chart = _chart(data, name, [job.id for job in runs], lowest=metric == list(tables)[-1])
        st.altair_chart(chart, key=f"curve {metric}", alt=f"Curves of {name} by epoch; {said}")


def _chart(data: pd.DataFrame, name: str, order: list[str], *, lowest: bool) -> Any:
    """Return one chart; only the lowest of a stack names the epochs' axis."""
    base = alt.Chart(data).encode(
        x=alt.X(
            "epoch:Q",
            title="epoch" if lowest else None,
            axis=alt.Axis(tickMinStep=1, format="d", grid=False, labels=lowest, ticks=lowest),
        ),
        color=alt.Color("run:N", scale=alt.Scale(domain=order), legend=None),
        tooltip=[
            alt.Tooltip("title:N", title="run"),
            alt.Tooltip("epoch:Q", format="d"),
            alt.Tooltip("value:Q", title=name, format=".4f"),
            alt.Tooltip("smoothed:Q", format=".4f"),
        ],
    )
    scale = alt.Scale(zero=False, nice=True, padding=4)
    y = alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4, format=".3~g", minExtent=40, maxExtent=40))
    layers = [
        base.mark_line(strokeWidth=1, opacity=0.5).encode(y=y),
        base.mark_point(filled=True, size=18, opacity=0.7).encode(y=y),
        base.mark_line(strokeWidth=2.5, interpolate="monotone").encode(y=alt.Y("smoothed:Q", scale=scale)),
        base.transform_filter("datum.best").mark_point(filled=True, size=120, opacity=1).encode(y=y),
    ]
    return alt.layer(*layers).properties(height=200 if lowest else 165, background="transparent")
