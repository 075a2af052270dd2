"""A replayed stream: its curves, the score of each model, and the latest events in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.ui import cards, curves, recipes, run_figures
from pages.ui.escape import html
from pages.ui.jobs import duration, jobs
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.evaluation.prequential import FROZEN, WINDOW
from recengine.evaluation.stream_report import StreamReport
from recengine.export import counted
from recengine.jobs.events import StreamedRating, StreamEvent
from recengine.jobs.job import Job
from recengine.models.registry import RUNNING_COUNT

PARTS = 60
"""Parts of a stream, each with its recall, which the chart shows under the moving one."""
K = 10
"""Films in the list that a hit stands in."""
LATEST = 6
"""Latest events that are described in words."""
EXPLANATION = f"""
The earliest fifth of the ratings is what the models start from. Each later one is an event: first every model ranks
all films that the viewer has not rated yet, then it learns from what the viewer chose (prequential evaluation: Gama,
Sebastião & Rodrigues, *On evaluating stream learning algorithms*, Machine Learning 2013; for recommenders Vinagre,
Jorge & Gama 2014). Nothing is ever tested on what was learned before.

- $\\text{{Recall@10}}$ of an event is 1 if the film stood among the first ten, else 0; precision@10 is a tenth of it.
  The thick line is its mean over the last {WINDOW:,} events (or all, until there are that many), the thin one over each
  sixtieth of the stream by itself.
- Only viewers with an earlier event are tested; new ones have a separate table below.
- The **running count** ranks films by how often they came so far, the same for everyone. A model that does not beat
  it has learned nothing about single viewers.
- A **dashed** line is a copy of the model that stopped learning after the first fifth: the gap is what learning event
  by event is worth.
- Presets were chosen on the first fifth of MovieLens streams: what comes **after the first fifth** is given apart.
- Intervals are 95%, by resampling whole viewers (1,000 bootstrap samples): events of one viewer are not independent.
"""


def events_of(job: Job) -> list[StreamEvent]:
    """Return the reports of a replay so far."""
    return [event for event in jobs().events(job.id) if isinstance(event, StreamEvent)]


def name_of(model: str) -> str:
    """Return a model's usual name, with ", frozen" for a frozen copy."""
    if model == RUNNING_COUNT:
        return "Running count"
    return recipes.label(model.removesuffix(FROZEN)) + (", frozen" if model.endswith(FROZEN) else "")


def colours(models: Sequence[str]) -> dict[str, int]:
    """Return the number of each model's colour; a copy has that of its model."""
    learning = [model for model in models if not model.endswith(FROZEN)]
    return {model: learning.index(model.removesuffix(FROZEN)) for model in models}


def draw_figures(rows: Sequence[StreamEvent]) -> None:
    """Draw the figures of a running replay."""
    if not rows:
        return
    last, before = rows[-1], rows[max(0, len(rows) - 12)]
    took = last.seconds - before.seconds
    pace = (last.done - before.done) / took if took > 0 else last.done / max(last.seconds, 1e-9)
    left = last.seconds_left
    figures = [
        run_figures.Figure("Events", f"{last.done:,} / {last.of:,}", "Replayed so far, out of all"),
        run_figures.Figure("Tested", f"{last.evaluated:,}", "Events of viewers who had one before"),
        run_figures.Figure("Pace", f"{pace:,.0f}/s", "Events a second lately, all models together"),
        run_figures.Figure("Slowest model", f"{last.events_per_second:,.0f}/s", "What it could handle alone"),
        run_figures.Figure("Time left", "–" if left is None else duration(left), "At the pace so far"),
    ]
    run_figures.draw(figures)


def draw(rows: Sequence[StreamEvent], words: Words, result: StreamReport | None = None) -> None:
    """Draw the curves and the score of each model: so far, or with its interval when the replay is over."""
    with st.container(key="stream"):
        left, right = st.columns([7, 5], gap="large")
        with left:
            if rows:
                chart(rows, words, height=520 if result else 340)
        with right:
            if result:
                standings(result)
                how_sure(result)
            elif rows:
                race(rows[-1])


def chart(rows: Sequence[StreamEvent], words: Words, *, height: int) -> None:
    """Draw the moving recall of each model: thick over the last events, thin each part alone."""
    models = list(rows[-1].recall)
    caption = f"share of {words.items} in the top {K}; thick: last {WINDOW:,}; dashed: same model, frozen"
    st.html(f'<div class="chart-head curve"><h3>Recall@{K} as it goes</h3><p>{caption}</p></div>')
    series = [part for model in models for part in _series(rows, model)]
    spec = curves.axes("events replayed") | {"series": series}
    spec["grid"] |= {"left": 50, "right": 28}
    spec["tooltip"] |= {"valueFormatter": "%.1f %%"}
    spec["xAxis"] |= {"max": rows[-1].of, "splitNumber": 4, "axisPointer": {"label": {"precision": 0}}}
    spec["xAxis"]["axisLabel"] = {"showMaxLabel": rows[-1].of % 1_000 == 0}  # else it crowds the round one before it
    spec["yAxis"] |= {"scale": False, "min": 0, "splitNumber": 4, "axisLabel": {"formatter": "{value}%"}}
    ends = ", ".join(f"{name_of(model)} {_percent(rows[-1].moving[model])}" for model in models)
    alt = f"Curves of recall@{K} by event; at event {rows[-1].done}: {ends}"
    st.echarts_chart(spec, height=height, key="stream chart", alt=alt, renderer="svg")


def _series(rows: Sequence[StreamEvent], model: str) -> list[dict[str, Any]]:
    """Return the lines of one model; a frozen copy is dashed, in its model's colour."""
    moving = [[row.done, 100 * value] for row in rows if (value := row.moving[model]) is not None]
    frozen = model.endswith(FROZEN)
    shared = {"name": name_of(model.removesuffix(FROZEN)), "type": "line", "showSymbol": False}  # one name, one colour
    quiet = {"tooltip": {"show": False}, "silent": True}
    if frozen:
        return [{**shared, **quiet, "data": moving, "lineStyle": {"width": 1.5, "type": "dashed"}}]
    return [
        {**shared, **quiet, "data": raw(rows, model), "lineStyle": {"width": 1, "opacity": 0.4}},
        {**shared, "data": moving, "lineStyle": {"width": 2.75}},
    ]


def raw(rows: Sequence[StreamEvent], model: str) -> list[list[float]]:
    """Return (event, recall in percent) of each sixtieth of the stream that is over, from the reports within it."""
    points, hits, tested, before, part = [], 0.0, 0, 0, 0
    for row in rows:
        fresh, reached = row.evaluated - before, PARTS * row.done // row.of
        hits, tested, before = hits + fresh * (row.raw[model] or 0.0), tested + fresh, row.evaluated
        if reached > part and tested:
            points.append([row.done, 100 * hits / tested])
            hits, tested, part = 0.0, 0, reached
    return points


def race(last: StreamEvent) -> None:
    """Draw the score of each model now, the best of late first."""
    order = sorted(last.moving, key=lambda model: -(last.moving[model] or 0.0))
    colour, top = colours(list(last.moving)), max((value or 0.0 for value in last.moving.values()), default=0.0)
    body = ""
    for model in order:
        value = last.moving[model]
        body += (
            f"<tr>{_title(model, colour)}<td><b>{_percent(value)}</b>{_span(colour[model], 0, value, top)}</td>"
            f"<td>{_percent(last.recall[model])}</td></tr>"
        )
    _table(("", "Model", f"Last {min(WINDOW, last.evaluated):,}", "So far"), body)


def standings(result: StreamReport) -> None:
    """Draw the final score of each model, with its interval."""
    models = {model: figures for model, figures in result.models.items() if not math.isnan(figures.recall.value)}
    order, colour = sorted(models, key=lambda model: -models[model].recall.value), colours(list(result.models))
    top = max((part for model in order for part in models[model].recall if not math.isnan(part)), default=1.0)
    body = ""
    for model in order:
        recall, span = models[model].recall, ""
        if not math.isnan(recall.half):  # of enough viewers
            span = f"<small>{100 * recall.low:.1f} to {100 * recall.high:.1f}</small>"
            span += _span(colour[model], recall.low, recall.high, top, recall.value)
        body += (
            f'<tr>{_title(model, colour)}<td title="{html(recall.value)}"><b>{_percent(recall.value)}</b> {span}</td>'
            f"<td>{_percent(models[model].rest.value)}</td></tr>"
        )
    _table(("", "Model", f"Recall@{result.k}", "After the first fifth"), body)


def how_sure(result: StreamReport) -> None:
    """Draw which differences may be chance."""
    rows = "".join(f'<li class="{"sure" if sure else ""}">{html(text)}</li>' for text, sure in paired(result))
    if rows:
        st.html(f'<section class="notebook"><h3>How sure is that?</h3><ul class="paired">{rows}</ul></section>')


def paired(result: StreamReport) -> list[tuple[str, bool]]:
    """Return in words how far the first model is ahead of each other one, and whether that is more than chance."""
    differences = []
    for model, lead in result.ahead_of.items():
        if math.isnan(lead.value):
            continue
        side = "ahead of" if lead.value >= 0 else "behind"
        low, high = (lead.low, lead.high) if lead.value >= 0 else (-lead.high, -lead.low)
        sure = lead.low > 0 or lead.high < 0
        text = f"{name_of(result.first)} is {100 * abs(lead.value):.1f} points {side} {name_of(model)}"
        if math.isnan(lead.half):
            differences.append((f"{text}; too few viewers to say more.", False))
            continue
        text += f", 95% from {100 * low:.1f} to {100 * high:.1f}"
        differences.append((f"{text}." if sure else f"{text}: no difference beyond chance.", sure))
    return differences


def verdict(result: StreamReport, words: Words) -> None:
    """Draw the result of the replay in a sentence."""
    value = {model: figures.recall.value for model, figures in result.models.items()}
    if any(math.isnan(part) for part in value.values()):
        st.caption(
            f"{counted(result.events, 'events')}, each the first of its {words.viewer}: there was nothing to test."
        )
        return
    best = max(value, key=lambda model: value[model])
    count = "" if best == RUNNING_COUNT else f"; the running count: <b>{_percent(value[RUNNING_COUNT])}</b>"
    st.html(
        f'<p class="verdict"><b>{html(name_of(best))}</b> had <b>{_percent(value[best])}</b> of the '
        f"{words.items} in its top {result.k} before they were {'chosen' if words.is_implicit else 'rated'}{count}. "
        f"{counted(result.evaluated, 'events')} tested.</p>"
    )


def groups(result: StreamReport, words: Words) -> None:
    """Draw the recall for known and new viewers and films."""
    titles = {
        "known_user_known_item": "known viewer, known film",
        "known_user_new_item": "known viewer, new film",
        "new_user_known_item": "new viewer, known film",
        "new_user_new_item": "new viewer, new film",
    }
    models, colour = result.models, colours(list(result.models))
    counts = models[result.first].groups
    with st.expander(words.say("Known and new viewers and films, and speed"), icon=":material/person_add:"):
        body = ""
        for model, figures in models.items():
            values = "".join(f"<td>{_percent(figures.groups[group].recall)}</td>" for group in titles)
            body += f"<tr>{_title(model, colour)}{values}<td>{figures.events_per_second:,.0f}/s</td></tr>"
        heads = (f"{words.say(text)} ({counts[group].events:,})" for group, text in titles.items())
        _table(("", "Model", *heads, "speed"), body)
        text = (
            "Recall in each group; new means without an earlier event. New viewers do not count in the figures above. "
            "Speed: events a second that the model could handle alone."
        )
        st.caption(words.say(text))


def latest(dataset: Dataset, rows: Sequence[StreamEvent]) -> None:
    """Draw the latest events in words, the last one first."""
    events = [event for row in rows[-LATEST:] for event in row.last][-LATEST:][::-1]
    if not events:
        return
    st.html('<h2 class="row-title">The latest events</h2>')
    models = [model for model in events[0].rank if not model.endswith(FROZEN)]
    colour = colours(models)
    items = dataset.item_index([event.item_id for event in events])
    articles = "".join(
        _event(cards.film(dataset, int(i)), e, models, colour, words_of(dataset))
        for i, e in zip(items, events, strict=True)
    )
    st.html(f'<div class="happened">{articles}</div>')


def in_words(event: StreamedRating, models: Sequence[str], words: Words) -> str:
    """Return an event in a sentence, not escaped, with the rank of the film for the first model."""
    amount = "" if words.is_implicit else f" {words.amount(event.rating)}"
    return (
        f"{words.viewer.capitalize()} {event.user_id} {words.rated} {event.title}{amount}. "
        f"{name_of(models[0])} had ranked it {_ordinal(event.rank[models[0]])}."
    )


def _ordinal(number: int) -> str:
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def _event(
    film: cards.Film, event: StreamedRating, models: Sequence[str], colour: Mapping[str, int], words: Words
) -> str:
    ranks = "".join(
        f'<span class="{"hit" if event.rank[model] <= K else ""}" title="{html(name_of(model))}">'
        f'<i class="swatch c{colour[model]}"></i>{event.rank[model]:,}</span>'
        for model in models
    )
    mark = "hit" if event.rank[models[0]] <= K else ""
    return (
        f'<article class="{mark}"><div class="poster">{cards.poster_html(film)}</div><div>'
        f'<p>{html(in_words(event, models, words))}</p><p class="ranks">{ranks}</p></div></article>'
    )


def _title(model: str, colour: Mapping[str, int]) -> str:
    """Return the cells with the colour and the name of a model."""
    hollow = " hollow" if model.endswith(FROZEN) else ""
    return f'<td><i class="swatch c{colour[model]}{hollow}"></i></td><th>{html(name_of(model))}</th>'


def _span(colour: int, low: float, high: float | None, top: float, dot: float | None = None) -> str:
    """Return a bar from one value to another on a scale from 0 to `top`, with a dot on it."""
    if high is None or not top:
        return ""
    mark = "" if dot is None else f'<u style="left:{100 * dot / top:.1f}%"></u>'
    start, width = 100 * low / top, 100 * (high - low) / top
    return (
        f'<span class="span"><i class="swatch c{colour}" style="left:{start:.1f}%;width:{width:.1f}%"></i>{mark}</span>'
    )


def _table(head: Sequence[str], body: str) -> None:
    top = "".join(f"<th>{html(text)}</th>" for text in head)
    table = f'<table class="compare race"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    st.html(f'<div class="scroll">{table}</div>')


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}%"
