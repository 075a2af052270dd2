"""An evaluation in words: a table with intervals, the policy, and what the paired tests say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from recengine.evaluation.intervals import LEAST_USERS, Interval
from recengine.evaluation.policy import FALLBACKS, MASKS
from recengine.evaluation.report import EvaluationReport, TaskResults
from recengine.evaluation.significance import Paired
from recengine.evaluation.stream_report import StreamReport
from recengine.export import Cell, counted, table

_SHOWN = ("ndcg", "recall", "hr", "map", "mrr", "auc", "pairs", "list_popularity", "coverage", "novelty", "ild")
"""Metrics of the printed table; the JSON object has all."""
_RATED = ("rmse", "mae", "within_half")
"""Errors of predicted ratings, of the models that predict them."""
_COLD = ("user_mse", "user_mae")
"""The same where users are not in training: each counts once, however much they rated."""
_POSITIVES_NOTE = "Errors of ratings are over the tested positives alone; `positive` 0 tests low ratings too."
_SAMPLED_NOTE = "Metrics marked _sampled rank models wrongly (Krichene & Rendle, KDD 2020); trust the full ones."


def lines(report: EvaluationReport, refusals: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the report's readable form."""
    yield heading(report)
    yield from table(*figures_table(report))
    yield from remarks(report, refusals)


def shown_metrics(report: EvaluationReport) -> list[str]:
    """Return the metrics that a table of the report shows."""
    first = report.first
    keys = (*_RATED, *(_COLD if "given" in report.settings.split else ()))
    rated = [key for key in keys if any(key in figures for figures in first.metrics.values())]
    figures = first.metrics[first.leader]
    return [*(key for key in figures if key.partition("@")[0] in _SHOWN or "sampled" in key), *rated]


def heading(report: EvaluationReport) -> str:
    """Return what was evaluated, in a line."""
    settings = report.settings
    left_out = f" ({report.left_out:,} left out)" if report.left_out else ""
    return (
        f"{settings.dataset}, {settings.split['split']}, positives >= {settings.positive:g}: {report.users:,} users"
        f"{left_out}, {report.items:,} candidates, {counted(settings.seeds, 'seeds')}; ± half a 95 % interval"
    )


def remarks(report: EvaluationReport, refusals: Mapping[str, str], *, groups: bool = True) -> Iterator[str]:
    """Yield what belongs below the table: the policy, refusals, the paired tests, known and new users apart.

    groups : with the tables of known and of new users; else only how many there are
    """
    settings, shown = report.settings, shown_metrics(report)
    policy = settings.policy
    yield f"Not ranked: {MASKS[policy.mask]} (mask {policy.mask}); without a signal, {FALLBACKS[policy.fallback]}."
    if report.users < LEAST_USERS:
        yield f"{report.users:,} users are too few for an interval or a test; {LEAST_USERS} are enough."
    for name, sentence in refusals.items():
        yield f"{name} refused: {sentence}."
    for task in report.tasks:
        after = "" if task.given is None else f"After {task.given} given: "
        yield from _words(task, settings.k, after)
        for group, text in ((task.warm, "are known by a positive"), (task.cold, "are new, with no positive known")):
            if group is not None:
                yield f"{after}{group.users:,} of the users {text}{':' if groups else '.'}"
                yield from table(*group_table(group.results, shown)) if groups else ()
                yield from _words(group.results, settings.k, "", group.users) if group is task.warm else ()
    if any("sampled" in key for key in shown):
        yield _SAMPLED_NOTE
    if settings.positive > 0 and {*_RATED, *_COLD} & {*shown}:
        yield _POSITIVES_NOTE


def _words(task: TaskResults, k: int, after: str, users: int = LEAST_USERS) -> Iterator[str]:
    """Yield what the tests say, and for how many users popularity stands in."""
    if users < LEAST_USERS:
        yield f"{users:,} users are too few for an interval or a test; {LEAST_USERS} are enough."
    for name, paired in task.behind_leader.items():
        if paired.is_known:
            yield after + _behind(task.leader, name, paired, f"NDCG@{k}")
    for name, paired in task.pairs_behind.items():
        if paired.is_known:
            yield after + _behind(task.pairs_leader, name, paired, "pairs")
    unread = [f"{name} {users:,}" for name, users in task.popularity_fallback.items() if users]
    if unread:
        yield f"{after}popularity stands in for the users for whom a model has no signal: {', '.join(unread)}."


def figures_table(report: EvaluationReport) -> tuple[Sequence[str], list[Sequence[Cell]]]:
    """Return (header, rows) of the metrics; where users are not in training, also the lead over each reference."""
    shown, cold = shown_metrics(report), "given" in report.settings.split
    given = ["given"] if report.first.given is not None else []
    references = list(report.first.ahead_of) if cold and len(report.first.metrics) > 1 else []
    header = ("model", *given, *shown, *(_ahead(report.first, base, report.settings.k) for base in references))
    rows: list[Sequence[Cell]] = [
        (
            name,
            *([] if task.given is None else [task.given]),
            *(with_interval(figures.get(key)) for key in shown),
            *(_difference(task.ahead_of[base].get(name)) for base in references),
        )
        for task in report.tasks
        for name, figures in task.metrics.items()
    ]
    return header, [*rows, *((name, *[None] * (len(header) - 1)) for name in report.refused)]


def group_table(task: TaskResults, shown: Sequence[str]) -> tuple[Sequence[str], list[Sequence[Cell]]]:
    """Return (header, rows) of a group of users."""
    return ("model", *shown), [
        (name, *(with_interval(figures.get(key)) for key in shown)) for name, figures in task.metrics.items()
    ]


def _ahead(task: TaskResults, base: str, k: int) -> str:
    """Return the head of the column with the models' lead over a reference."""
    return f"user_mae below {base}" if "user_mae" in task.metrics[base] else f"NDCG@{k} ahead of {base}"


def _behind(leader: str, name: str, paired: Paired, metric: str) -> str:
    verdict = "more than chance" if paired.p < 0.05 else "no difference beyond chance"
    p_value = "p < 0.001" if paired.p < 0.001 else f"p {paired.p:.3f}"
    return (
        f"{name} is {paired.difference:.4f} {metric} behind {leader} "
        f"(95 % from {paired.low:.4f} to {paired.high:.4f}, {p_value} after Holm): {verdict}."
    )


def with_interval(figure: Interval | None) -> Cell:
    """Return a figure as a cell, with half of its interval where there is one; None where it is not known."""
    if figure is None or math.isnan(figure.value):
        return None
    return f"{figure.value:.4f}" + ("" if math.isnan(figure.half) else f" ±{figure.half:.4f}")


def _difference(paired: Paired | None) -> Cell:
    if paired is None:
        return None
    span = f" ({paired.low:+.4f} to {paired.high:+.4f})" if paired.is_known else ""
    return f"{paired.difference:+.4f}{span}"


def stream_heading(report: StreamReport) -> str:
    """Return what was replayed, in a line."""
    return (
        f"{report.dataset}, ratings >= {report.positive:g} in the order of time: {report.bootstrap:,} to start "
        f"from, {report.events:,} replayed, {report.evaluated:,} of them by known users; "
        f"what they had is {'masked' if report.masked else 'kept'}; 95 % intervals over users"
    )


def stream_table(report: StreamReport) -> tuple[Sequence[str], list[Sequence[Cell]]]:
    """Return (header, rows) of a stream's figures, and how far ahead of each model the first one is."""
    header = (
        "model",
        f"recall@{report.k}",
        "low",
        "high",
        "after 1/5",
        "known film",
        "new film",
        "events/s",
        f"{report.first} is ahead by",
    )
    return header, [
        (
            name,
            *figures.recall,
            figures.rest.value,
            figures.groups["known_user_known_item"].recall,
            figures.groups["known_user_new_item"].recall,
            f"{figures.events_per_second:,.0f}",
            _lead(report.ahead_of.get(name)),
        )
        for name, figures in report.models.items()
    ]


def _lead(lead: Interval | None) -> str:
    if lead is None:
        return ""
    return f"{lead.value:+.4f}" + ("" if math.isnan(lead.half) else f" ({lead.low:+.4f} to {lead.high:+.4f})")
