"""The curves of trainings, as charts that share their epochs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import streamlit as st

from pages.ui.escape import plain
from pages.ui.jobs import jobs
from pages.ui.words import Words
from recengine.experiments.train import TrainingReport
from recengine.jobs.job import Job, JobState
from recengine.jobs.progress import epochs_of
from recengine.models.registry import MODELS
from recengine.training.loop import best_epoch
from recengine.training.progress import EpochResult

MOST = 8
"""Runs in one chart: as many as there are colours."""
METRICS = {
    "loss": ("Loss", "on the training rows; lower is better"),
    "valid_ndcg@10": ("NDCG@10", "on validation, all films ranked; higher is better"),
    "valid_hr@10": ("HR@10", "on validation, all films ranked; higher is better"),
    "valid_rmse": ("RMSE", "on validation, in stars; lower is better"),
    "valid_mae": ("MAE", "on validation, in stars; lower is better"),
}
"""Metric of an epoch -> its name and its meaning, in the order of the charts."""
EXPLANATION = """
The thin line with its points is what was measured in each epoch, the thick one is smoothed, the large point is the
epoch that validation chose; epoch 0 is the model before it learned anything. One held-back film of each viewer is the
validation: the model ranks **all** films for them, except those that they are known to like.

- $\\text{HR@10}$ is the share of viewers whose held-back film is among the first ten.
- $\\text{NDCG@10} = \\frac{1}{\\log_2(r + 1)}$ for its rank $r \\le 10$, else 0, averaged over viewers.
- A loss that keeps falling while validation gets worse is overfitting: the model learns its viewers by heart.

When the epoch is chosen, a new model is trained for as many epochs on everything, validation included, and kept.
He et al. (Neural collaborative filtering, WWW 2017) draw the same three curves against 100 sampled films; sampled
metrics rank models wrongly (Krichene & Rendle, KDD 2020), so here all films compete.
"""


def epochs_of_run(job: Job) -> list[EpochResult]:
    """Return a run's epochs: those reported so far, or, once it is done, the training log of the model."""
    result = jobs().result(job.id, TrainingReport.from_dict) if job.state is JobState.DONE else None
    with suppress(OSError, ValueError, KeyError):  # the store has made room since
        if result is not None:
            about = json.loads((result.folder / "model.json").read_text(encoding="utf-8"))
            return [EpochResult.from_dict(row) for row in about["history"]]
    return epochs_of(jobs().events(job.id))


def best_of(job: Job, log: Sequence[EpochResult]) -> EpochResult | None:
    """Return the epoch that is best by the model's criterion, or None if there is no validation."""
    return best_epoch(log, MODELS[job.task.model].criterion)


def validated(job: Job) -> dict[str, float]:
    """Return what a run reached on validation: in its best epoch, or at its end where the model has no epochs."""
    best = best_of(job, epochs_of_run(job))
    if best is not None:
        return dict(best.metrics)
    report = jobs().result(job.id, TrainingReport.from_dict) if job.state is JobState.DONE else None
    return {} if report is None else dict(report.metrics)


def value_of(result: EpochResult, metric: str) -> float | None:
    """Return the loss or a metric of an epoch; None if it has none."""
    return result.loss if metric == "loss" else result.metrics.get(metric)


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the mean around each value, weighted by a bell whose standard deviation is a fortieth of the curve.

    It looks to both sides, so that it does not lag behind as a running mean does.
    """
    position = np.arange(len(values))
    weight = np.exp(-0.5 * ((position[:, None] - position) / max(0.5, len(values) / 40)) ** 2)
    return (weight @ np.asarray(values, dtype=float) / weight.sum(1)).round(9).tolist()  # a constant stays one


def draw(runs: Sequence[Job], words: Words) -> None:
    """Draw a chart for each metric that any of the runs has: raw thin with its points, smoothed thick."""
    logs = {job.id: epochs_of_run(job) for job in runs}
    known = [
        metric for metric in METRICS if any(value_of(row, metric) is not None for rows in logs.values() for row in rows)
    ]
    for metric in known:
        name, meaning = METRICS[metric]
        st.html(f'<div class="chart-head curve"><h3>{name}</h3><p>{words.say(meaning)}</p></div>')
        series = [part for number, job in enumerate(runs) for part in _series(job, number, logs[job.id], metric)]
        lowest = metric == known[-1]
        st.echarts_chart(
            axes("epoch", lowest=lowest) | {"series": series},
            height=180 if lowest else 146,
            key=f"curve {metric}",
            alt=_in_words(name, [(job.title, logs[job.id]) for job in runs], metric),
            renderer="svg",
        )


def _series(job: Job, number: int, rows: Sequence[EpochResult], metric: str) -> list[dict[str, Any]]:
    """Return the marks of one run: raw, smoothed, and the epoch that validation chose."""
    points = [[row.epoch, value] for row in rows if (value := value_of(row, metric)) is not None]
    best = best_of(job, rows)
    chosen = [point for point in points if best is not None and point[0] == best.epoch]
    smooth = [[epoch, value] for (epoch, _), value in zip(points, smoothed([v for _, v in points]), strict=True)]
    name = f"{number + 1} · {plain(job.title)}"  # the same name is the same colour
    quiet = {"name": name, "tooltip": {"show": False}, "silent": True}
    return [
        {
            "name": name,
            "type": "line",
            "data": points,
            "symbol": "circle",
            "symbolSize": 4,
            "lineStyle": {"width": 1, "opacity": 0.5},
            "itemStyle": {"opacity": 0.7},
        },
        {**quiet, "type": "line", "data": smooth, "showSymbol": False, "lineStyle": {"width": 2.5}, "smooth": 0.3},
        {**quiet, "type": "scatter", "data": chosen, "symbolSize": 11},
    ]


def axes(across: str, *, lowest: bool = True) -> dict[str, Any]:
    """Return the axes of one chart; only the lowest of a stack names what runs across."""
    return {
        "animationDuration": 200,
        "animationDurationUpdate": 300,
        "grid": {"left": 44, "right": 12, "top": 10, "bottom": 44 if lowest else 10, "outerBoundsMode": "none"},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.4f"},
        "xAxis": {
            "type": "value",
            "min": 0,
            "minInterval": 1,
            "name": across if lowest else "",
            "nameLocation": "middle",
            "nameGap": 26,
            "axisLabel": {"show": lowest},
            "axisTick": {"show": lowest},
            "splitLine": {"show": False},
        },
        "yAxis": {"type": "value", "scale": True, "splitNumber": 3},
    }


def _in_words(name: str, runs: Sequence[tuple[str, Sequence[EpochResult]]], metric: str) -> str:
    """Return a chart in words."""
    ends = []
    for title, rows in runs:
        known = [(row.epoch, value) for row in rows if (value := value_of(row, metric)) is not None]
        if known:
            epoch, value = known[-1]
            ends.append(f"{plain(title)} reaches {value:.4f} in epoch {epoch}")
    return f"Curves of {name} by epoch: {'; '.join(ends)}"
