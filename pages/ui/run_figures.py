"""The figures of runs: of one, of the trials of a search, and of several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import streamlit as st

from pages.ui import curves, jobs, sidebar
from pages.ui.escape import html
from recengine.experiments.train import TrainingReport
from recengine.export import counted
from recengine.jobs.events import EpochEvent, TrialEvent
from recengine.jobs.job import Job, JobKind, JobState
from recengine.models.registry import MODELS
from recengine.training.loop import gain
from recengine.training.progress import Stage

NONE = "–"
"""Stands for what is not known yet."""


class Figure(NamedTuple):
    """A figure with its name and what it means."""

    name: str
    value: str
    meaning: str


def draw(figures: Sequence[Figure]) -> None:
    """Draw figures side by side, if there are any."""
    if not figures:
        return
    cells = "".join(
        f'<div title="{html(meaning)}"><dt>{html(name)}</dt><dd>{html(value)}</dd></div>'
        for name, value, meaning in figures
    )
    st.html(f'<dl class="figures">{cells}</dl>')


def figures_of(job: Job) -> list[Figure]:
    """Return the figures of a run, running or over."""
    if job.kind == JobKind.TUNE:
        return _search_figures(job)
    return _running_figures(job) if job.active else _training_figures(job)


def _running_figures(job: Job) -> list[Figure]:
    epochs = [event for event in jobs.jobs().events(job.id) if isinstance(event, EpochEvent)]
    last = epochs[-1] if epochs else None
    pace, memory = (last.examples_per_second, last.memory_mb) if last else (None, None)
    if last and Stage.REFIT in last.result.stages:
        work = Figure("Refit", f"{last.result.share:.0%}", "On everything, for the epochs that validation chose")
    elif last and Stage.STEPS in last.result.stages:
        work = Figure("Done", f"{last.result.share:.0%}", "Share of its work")
    else:
        epoch = f"{last.result.epoch} / {last.result.epochs}" if last else NONE
        work = Figure("Epoch", epoch, "It stops earlier when validation no longer gains")
    return [
        work,
        _time_left(job),
        Figure("Pace", f"{_short(pace)}/s" if pace else NONE, "Examples a second, validation included"),
        Figure("Memory", f"{memory:,.0f} MB" if memory else NONE, "What its process holds"),
    ]


def _training_figures(job: Job) -> list[Figure]:
    rows = curves.epochs_of_run(job)
    best = curves.best_of(job, rows)
    meaning = "On validation, in the epoch that it chose" if best else "On validation, which it had not seen then"
    figures = [Figure(name, value, meaning) for name, value in _metrics(curves.validated(job))]
    if best:
        figures.append(Figure("Best epoch", f"{best.epoch} of {rows[-1].epoch}", "Chosen on validation"))
    if job.state is JobState.DONE:
        result = jobs.jobs().result(job.id, TrainingReport.from_dict)
        seconds = job.spent if result is None else result.seconds
        figures.append(Figure("Time", jobs.duration(seconds), "Training and refit, without loading"))
    return figures


def _search_figures(job: Job) -> list[Figure]:
    rows = trials_of(job)
    values = {"Presets": rows[0].trial.value, "Best": rows[-1].best} if rows else {}
    figures = [
        Figure("Trials", f"{len(rows)} of {job.task.trials}", "Settings that were tried"),
        *(Figure(name, f"{value:.4f}", "On validation") for name, value in values.items() if value is not None),
    ]
    return [*figures, _time_left(job) if job.active else Figure("Time", jobs.duration(job.spent), "All in all")]


def _time_left(job: Job) -> Figure:
    left = jobs.progress(job).seconds_left
    return Figure("Time left", NONE if left is None else f"≤ {jobs.duration(max(1.0, left))}", "If no epoch is spared")


def _metrics(values: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return (name, value) of what was validated, in the order of the charts."""
    return [(curves.METRICS[key][0], f"{values[key]:.4f}") for key in curves.METRICS if key in values]


def status_line(job: Job) -> str:
    """Return the state of a run in one line."""
    if job.active:
        return "waiting for its turn" if job.state is JobState.QUEUED else "running"
    ago = sidebar.ago(datetime.fromtimestamp(job.ended or job.created, UTC).isoformat())
    if job.state is not JobState.DONE:
        return f"{job.state} {ago}"
    return " · ".join([*(f"{figure.name} {figure.value}" for figure in figures_of(job)), ago])


def trials_of(job: Job) -> list[TrialEvent]:
    """Return the trials of a search so far."""
    return [event for event in jobs.jobs().events(job.id) if isinstance(event, TrialEvent)]


def draw_trials(job: Job) -> None:
    """Draw the trials of a search: each one's value, the best so far, and the settings of the best three."""
    rows = trials_of(job)
    if not rows:
        st.caption("The first trial tries the presets.")
        return
    criterion = MODELS[job.task.model].criterion
    name, meaning = curves.METRICS[criterion]
    st.html(f'<div class="chart-head curve"><h3>Trials</h3><p>{name} {meaning}; line: the best so far</p></div>')
    series: list[dict[str, Any]] = [
        {"name": "best so far", "type": "line", "step": "end", "showSymbol": False, "lineStyle": {"opacity": 0.6}},
        {"name": name, "type": "scatter", "symbolSize": 9},
    ]
    series[0]["data"] = [[row.trial.number, row.best] for row in rows if row.best is not None]
    series[1]["data"] = [[row.trial.number, row.trial.value] for row in rows if row.trial.value is not None]
    alt = f"Points: the {name} of {counted(len(rows), 'trials')}; line: the best so far"
    chart = curves.axes("trial") | {"series": series}
    st.echarts_chart(chart, height=220, key="trials chart", alt=alt, renderer="svg")
    complete = [(row.trial, row.trial.value) for row in rows if row.trial.value is not None]
    best = sorted(complete, key=lambda pair: gain(criterion, pair[1]), reverse=True)[:3]
    keys = sorted({key for trial, _ in best for key in trial.settings})
    _table(
        ["trial", name, *keys],
        [[str(t.number), f"{value:.4f}", *(str(t.settings.get(key, "")) for key in keys)] for t, value in best],
    )
    unfinished = len(rows) - len(complete)
    if unfinished:
        st.caption(f"{unfinished} given up early or failed.")


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], *, swatches: bool = False) -> None:
    """Draw a small table of texts, each line with its colour if asked for."""
    top = "".join(f"<th>{html(text.replace('_', ' '))}</th>" for text in head)
    body = ""
    for number, line in enumerate(lines):
        cells = "".join(f"<td>{html(cell)}</td>" for cell in line)
        colour = f'<td><i class="swatch c{number}"></i></td>' if swatches else ""
        body += f"<tr>{colour}{cells}</tr>"
    top = ("<th></th>" if swatches else "") + top
    st.html(
        f'<div class="scroll"><table class="compare"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def draw_side_by_side(shown: Sequence[Job]) -> None:
    """Draw the runs side by side: their figures, and the settings that are not presets."""
    shown = [job for job in shown if job.kind == JobKind.TRAIN]
    if len(shown) < 2:
        return
    st.html('<h2 class="row-title">Side by side</h2>')
    keys = sorted({key for job in shown for key in job.task.settings})
    best = [curves.best_of(job, curves.epochs_of_run(job)) for job in shown]
    reached = [curves.validated(job) for job in shown]
    # Losses are left out: their scales differ.
    metrics = [key for key in curves.METRICS if any(key in values for values in reached)]
    _table(
        ["run", *(curves.METRICS[key][0] for key in metrics), "epoch", *keys],
        [
            [
                job.title,
                *(f"{values[key]:.4f}" if key in values else NONE for key in metrics),
                f"{row.epoch}" if row else NONE,
                *(job.task.settings.get(key, "preset") for key in keys),
            ]
            for job, row, values in zip(shown, best, reached, strict=True)
        ],
        swatches=True,
    )


def _short(number: float) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k" if number >= 1e4 else f"{number:,.0f}"
