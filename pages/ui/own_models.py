"""Which model suits the visitor: the models that are ready, compared on ratings that were hidden from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import streamlit as st

from pages.hosting.visitor import check_limit
from pages.ui import caches, messages, recipes, sidebar
from pages.ui.address import link
from pages.ui.escape import html
from pages.ui.visitor_lists import as_histories, marks_of
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.evaluation.intervals import LEAST_USERS, Interval
from recengine.experiments.store import Trained
from recengine.export import csv_text
from recengine.models.registry import COMPARED_FIRST, DEFAULT, MODELS
from recengine.serving.suits import FOLDS, LEAST_OF_A_KIND, REPEATS, Trial, can_tell, try_out, verdict

RESULT = "mine suits"


class Result(NamedTuple):
    """What was compared: the ratings that stood then, and what each model did with them."""

    of: tuple[str, float, int]
    trials: dict[str, Trial]


def draw(dataset: Dataset, mine: VisitorRatings, positive: float) -> None:
    """Draw the comparison, or the way to it."""
    words = words_of(dataset)
    liked = sum(dataset.in_scale(stars, positive) >= positive for stars in mine.stars.values())
    others = len(mine.stars) - liked
    st.html(f'<h2 class="row-title">{words.say("Which model suits you")}</h2>')
    if not can_tell(liked, others):
        needed = f"{LEAST_USERS} {words.items} you liked"
        if not words.is_implicit:
            needed = f"{LEAST_OF_A_KIND} {words.items} you liked and {LEAST_OF_A_KIND} you did not, or {needed}"
        messages.empty(
            "Too few ratings to tell",
            f"It takes {needed}. You have {liked:,} liked" + ("." if words.is_implicit else f" and {others:,} others."),
            lambda: link("home.py", words.say("Rate more films"), icon=":material/star_half:"),
        )
        return
    st.caption(
        words.say(
            "Hides a fifth of your ratings at a time, and asks each model to rank the films it was not shown. "
            "A model that knows you puts what you liked first."
        )
    )
    now = (dataset.fingerprint, positive, hash(tuple(mine.standing)))
    result: Result | None = st.session_state.get(RESULT)
    if result is not None and result.of[:2] != now[:2]:
        result = None
    if result is None or result.of != now:
        label = "Compare the models" if result is None else "Compare again: your ratings have changed"
        slot = st.empty()
        if slot.button(label, type="primary", icon=":material/science:", key="suits-run"):
            with messages.catch_bad_input(messages.start_again_link):
                check_limit("trial")
                result = st.session_state[RESULT] = Result(now, compare(dataset, mine, positive))
                slot.empty()
    if result is not None:
        draw_result(result.trials, words)


def compare(dataset: Dataset, mine: VisitorRatings, positive: float) -> dict[str, Trial]:
    """Try out every model that is ready or takes a moment, and draw how far that is."""
    history = as_histories(dataset, mine.events, [len(mine.events)], positive)
    passed, seen = (marks_of(mine.marked(kind), history) for kind in ("pass", "seen"))
    trials: dict[str, Trial] = {}
    names = [name for name, kind in MODELS.items() if "fold-in" in kind.abilities]
    slot = st.empty()
    for number, name in enumerate(names):
        slot.progress(number / len(names), text=f"{recipes.label(name)} …")
        for trained in _ready(dataset, name):
            trials[name] = try_out(trained.model, dataset, history, positive=positive, passed=passed, seen=seen)
    slot.empty()
    return trials


def _ready(dataset: Dataset, name: str) -> Iterator[Trained]:
    """Yield the model if it is trained, or if it is one of the first to compare and takes a moment."""
    device = sidebar.choice().device
    trained = caches.known_model(dataset, name, device)
    if trained is None and name in (DEFAULT, *COMPARED_FIRST) and caches.is_quick(dataset, name):
        result = caches.find_model(dataset, name, device)
        trained = result if isinstance(result, Trained) else None
    if trained is not None:
        yield trained


def draw_result(trials: dict[str, Trial], words: Words) -> None:
    """Draw a row for each model, the best first, and what that tells in words."""
    outcome = verdict(trials)
    has_pairs = not math.isnan(next(iter(trials.values())).pairs.value)
    figure = outcome.figure if outcome else "hits"
    order = sorted(trials, key=lambda name: -trials[name].value(figure))
    st.html(f'<p class="verdict" role="status">{conclusion(trials, words)}</p>')
    heads = ["Model", *(["Liked first"] if has_pairs else []), "In the top ten"]
    rows = ""
    for name in order:
        cells = [_cell(trials[name].pairs)] if has_pairs else []
        cells.append(_cell(trials[name].hit_rate))
        rows += f'<tr><th scope="row">{html(recipes.label(name))}</th>{"".join(cells)}</tr>'
    head = "".join(f'<th scope="col">{html(text)}</th>' for text in heads)
    st.html(
        f'<div class="scroll"><table class="compare race suits"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    st.caption(words.say(explanation(trials, has_pairs)))
    with st.container(horizontal=True, key="suits-actions"):
        if outcome is not None and outcome.best != sidebar.choice().model:
            label = f"Use {recipes.label(outcome.best)}"
            if st.button(label, on_click=sidebar.choose, args=("model", outcome.best), key="suits-use"):
                st.rerun()
        st.download_button(
            "Download the data",
            as_csv(trials),
            "models.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="suits-data",
        )
        link("train.py", "Train another model", icon=":material/model_training:")


def conclusion(trials: dict[str, Trial], words: Words) -> str:
    """Return in words which model suits the visitor, and how sure that is, as HTML."""
    outcome = verdict(trials)
    if outcome is None:
        return "One model is ready, so there is nothing to compare it with yet."
    best = f"<b>{html(recipes.label(outcome.best))}</b>"
    rivals = [html(recipes.label(name)) for name in outcome.rivals]
    share = f"{trials[outcome.best].value(outcome.figure):.0%}"
    did = f"it puts a film you liked ahead of one you did not in {share} of the pairs"
    if outcome.figure == "hits":
        did = f"{share} of the films you liked come back in its top ten"
    did = words.say(did)
    if outcome.is_sure:
        return f"{best} suits you best: {did}, and no other model here comes so close that chance could explain it."
    others = rivals[0] if len(rivals) == 1 else f"{', '.join(rivals[:-1])} and {rivals[-1]}"
    if len(rivals) > 3:
        others = f"{len(rivals)} others"
    return f"{best} comes first: {did}. But your ratings are too few to tell it from {others}."


def explanation(trials: dict[str, Trial], has_pairs: bool) -> str:
    """Return what the columns are, and on how many films they rest."""
    m, n = next(iter(trials.values())).order.shape
    films = f"{m:,} films you liked" + (f" and {n:,} you did not" if n else "")
    text = f"On {films}: {FOLDS} parts, each hidden once, dealt {REPEATS} times. Bars are 95% intervals. "
    if has_pairs:
        text += "Liked first: how often the model puts a film you liked ahead of one you did not; half is chance. "
    text += "In the top ten: how many of the hidden films you liked are in its list."
    if m < LEAST_USERS:
        text += f" With fewer than {LEAST_USERS} films you liked, the top ten has no interval."
    if stood_in := [recipes.label(name) for name, trial in trials.items() if trial.fallback]:
        text += f" Where {' and '.join(stood_in)} knew nothing of you, popularity stood in."
    return text


def _cell(figure: Interval) -> str:
    if math.isnan(figure.low):
        return f"<td><b>{figure.value:.0%}</b></td>"
    left, width = 100 * figure.low, 100 * (figure.high - figure.low)
    return (
        f"<td><b>{figure.value:.0%}</b> <small>{figure.low:.0%} to {figure.high:.0%}</small>"
        f'<span class="span"><i class="c0 swatch" style="left:{left:.1f}%;width:{width:.1f}%"></i>'
        f'<u style="left:{100 * figure.value:.1f}%"></u></span></td>'
    )


def as_csv(trials: dict[str, Trial]) -> str:
    """Return the figures of each model."""
    header = ("model", "pairs", "pairs_low", "pairs_high", "hits@10", "hits_low", "hits_high", "liked", "others")
    rows = []
    for name, trial in trials.items():
        figures = [None if math.isnan(value) else round(value, 4) for value in (*trial.pairs, *trial.hit_rate)]
        rows.append((name, *figures, *trial.order.shape))
    return csv_text(header, rows)
