"""Steering the visitor's list: a slider for each knob, a mood, and what each of them costs."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.hosting.visitor import check_limit
from pages.ui import jobs, kept, messages, only_from, recipes
from pages.ui.datasets import liked_from, origin_of
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.jobs.job import JobKind, Task
from recengine.serving.steering import Knobs, Steering, Traits
from recengine.serving.steering_cost import CostCurve, known_curve

ENDS = {
    "obscure": ("Well-known or lesser-known", "well-known", "lesser-known"),
    "surprising": ("Safe or surprising", "safe", "surprising"),
    "new": ("Old or new", "old", "new"),
}
"""Knob -> its label and what its two ends are called."""
POSITIONS = [position / 4 for position in range(-4, 5)]
AMOUNTS = {0.25: "a little", 0.5: "more", 0.75: "much more", 1.0: "as far as it goes"}
UNMEASURED = "Nobody has measured yet what this costs here."
ABOUT = (
    "Accuracy is NDCG@10 on viewers of whom twelve ratings are known: how well the list finds what else they liked. "
    "Each price is that of one knob alone, with its 95% interval."
)


@st.cache_resource(max_entries=4, show_spinner=False)
def _traits(fingerprint: str, positive: float, _dataset: Dataset) -> Traits:
    return Traits.of(_dataset, positive)


def _key(dataset: Dataset, knob: str) -> str:
    return f"rate knob {knob} {dataset.fingerprint}"  # moods differ by data set


def chosen_knobs(dataset: Dataset) -> Knobs:
    """Return how the visitor steers the list."""
    positions = {knob: float(kept.or_address(_key(dataset, knob), 0.0, knob, _position)) for knob in ENDS}
    mood = kept.or_address(_key(dataset, "mood"), None, "mood", partial(_mood, dataset))
    return Knobs(**positions, mood=mood or "")


def _position(text: str) -> float | None:
    """Return the position of a slider that a text of the address stands for."""
    return next((position for position in POSITIONS if f"{position:g}" == text), None)


def _mood(dataset: Dataset, text: str) -> str | None:
    """Return the mood that a text of the address stands for, if the data can carry it."""
    return text if text in _traits(dataset.fingerprint, liked_from(dataset), dataset).moods else None


def steered(dataset: Dataset, positive: float, knobs: Knobs) -> Steering:
    """Return the steering by some knobs."""
    return Steering(knobs, _traits(dataset.fingerprint, positive, dataset))


def chosen_steering(dataset: Dataset, positive: float) -> Steering | None:
    """Return the steering of the visitor's list, or None where every knob is neutral."""
    knobs = chosen_knobs(dataset)
    return None if knobs.is_neutral else steered(dataset, positive, knobs)


def draw(dataset: Dataset, mine: VisitorRatings, model: str, positive: float) -> None:
    """Draw the knobs that the data can carry, folded, each with its price where it is turned."""
    traits, knobs = _traits(dataset.fingerprint, positive, dataset), chosen_knobs(dataset)
    for name, position in knobs.positions().items():
        kept.record(name, f"{position:g}" if position else "")
    kept.record("mood", knobs.mood)
    curve = known_curve(dataset, model, positive)
    turned = [ENDS[name][2 if position > 0 else 1] for name, position in knobs.positions().items() if position]
    title = " · ".join(["Steer this list", *turned, *filter(None, [knobs.mood, only_from.text(dataset)])])
    with st.expander(title, icon=":material/tune:", key="steering"):
        able = {"obscure": True, "surprising": bool(traits.genres.any()), "new": bool(traits.new.any())}
        with st.grid(2, min_column_width=210, gap="medium", key="knobs"):
            for name, (label, low, high) in ENDS.items():
                if able[name]:
                    with st.container():
                        kept.restore(_key(dataset, name), knobs.positions()[name])
                        st.select_slider(
                            label,
                            POSITIONS,
                            format_func=partial(_position_text, low=low, high=high),
                            key=_key(dataset, name),
                            on_change=kept.keep,
                            args=(_key(dataset, name),),
                        )
                        _price(curve, Knobs().turned(name, knobs.positions()[name]))
            if traits.moods:
                with st.container():
                    mood = _key(dataset, "mood")
                    kept.restore(mood, knobs.mood or None)
                    st.pills("A mood", list(traits.moods), key=mood, on_change=kept.keep, args=(mood,))
                    _price(curve, Knobs(mood=knobs.mood))
        only_from.draw(dataset, mine)
        with st.container(horizontal=True, vertical_alignment="center", key="steering-actions"):
            st.button(
                "Back to the list as it is",
                on_click=_reset,
                args=(dataset,),
                disabled=knobs.is_neutral and not only_from.text(dataset),
                icon=":material/restart_alt:",
                key="steering-reset",
            )
            if curve is None:
                _offer(dataset, model)
        st.caption(words_of(dataset).say(ABOUT) if curve else UNMEASURED)


def _position_text(position: float, low: str, high: str) -> str:
    """Return what a position of a slider is called; its ends carry the names of both directions."""
    if not position:
        return "as it is"
    return (
        (high if position > 0 else low)
        if abs(position) == 1
        else f"{AMOUNTS[abs(position)]} {high if position > 0 else low}"
    )


def _price(curve: CostCurve | None, knobs: Knobs) -> None:
    """Draw what a knob that is turned costs."""
    for price in curve.prices_of(knobs) if curve else ():
        st.caption(price.sentence().capitalize())


def _reset(dataset: Dataset) -> None:
    """Set all knobs to neutral, and list from all films again. For callbacks."""
    only_from.reset(dataset)
    for knob in (*ENDS, "mood"):
        kept.change(_key(dataset, knob), None if knob == "mood" else 0.0)


def _offer(dataset: Dataset, model: str) -> None:
    """Offer to measure the prices, or show how far that is."""
    running = [job for job in jobs.visible(JobKind.STEERING) if job.active and job.key == _job_key(dataset, model)]
    if running:
        jobs.follow(running[0])
    else:
        label = f"Measure what it costs with {recipes.label(model)}"
        st.button(label, on_click=_measure, args=(dataset, model), icon=":material/straighten:", key="steering-measure")


def _job_key(dataset: Dataset, model: str) -> str:
    return f"steering {model} {dataset.fingerprint}"


@messages.toast_errors
def _measure(dataset: Dataset, model: str) -> None:
    """Start measuring in the background. For callbacks."""
    check_limit("job")
    origin = origin_of(dataset)
    jobs.jobs().start(
        ["steering", *origin.arguments(), "--model", model],
        kind=JobKind.STEERING,
        title=f"What steering {recipes.label(model)} costs",
        key=_job_key(dataset, model),
        owner=origin.owner,
        task=Task(models=(model,), data=origin.name, fingerprint=dataset.fingerprint),
    )
