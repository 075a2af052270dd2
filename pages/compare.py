"""Compare: train models, test them on what was held back, and read a leaderboard that says how sure it is."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import cards, jobs, leaderboard, messages, recipes, sidebar
from pages.ui.address import recall, record
from pages.ui.escape import html, markdown
from recengine.data.dataset import Dataset
from recengine.data.splits import SPLITS
from recengine.evaluation import glossary
from recengine.jobs.events import NoteEvent
from recengine.jobs.job import JOB_DIR, Job, JobState
from recengine.jobs.job import Task as JobTask
from recengine.models.base import FAMILIES
from recengine.models.registry import COMPARED_FIRST, MODELS
from recengine.serving import viewers

MOST = 10
"""Models that are compared at once."""
SAMPLED = 99
"""Negatives that stand beside each test item, where they are asked for."""
WORDS = {
    "leave-last": "the last film of each person",
    "random": "a random fifth of all likes",
    "stratified": "a random fifth of each person's likes",
    "time": "the latest fifth of all likes",
    "cold-user": "people who are not in training",
}
"""What each split holds back; the published ones are named by themselves."""
EXTREMES = 12
"""People who are offered at either end."""


class Task(NamedTuple):
    """What is compared on what."""

    models: tuple[str, ...]
    split: str
    k: int
    seeds: int
    sampled: bool
    recent: bool

    def arguments(self, dataset: Dataset, device: str) -> list[str]:
        """Return the arguments of `evaluate` beside the models and the data set."""
        settings = {
            f"{name}.{key}": value
            for name in self.models
            for key, value in (recipes.presets(name) if self.recent else {}).items()
        }
        more = ["--split", self.split, "-k", str(self.k), "--seeds", str(self.seeds)]
        more += ["--negatives", str(SAMPLED)] if self.sampled else []
        return [*recipes.flags(dataset, settings, 0, device), *more]


def task(dataset: Dataset) -> Task:
    """Return what the form asks for; the address and the session say it before the form is drawn."""
    state, known = st.session_state, splits(dataset)
    recall("models", list(COMPARED_FIRST), lambda text: [name for name in text.split(",") if name in MODELS] or None)
    recall("split", known[0], lambda text: text if text in known else None)
    recall("at", 10, partial(_number, most=100))
    recall("seeds", 1, partial(_number, most=5))
    for name in ("sampled", "recent"):
        recall(name, False, lambda text: {"yes": True, "no": False}.get(text))
    return Task(tuple(state["models"]), state["split"], state["at"], state["seeds"], state["sampled"], state["recent"])


def _number(text: str, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= most else None


def splits(dataset: Dataset) -> list[str]:
    """Return the splits of a data set: the usual ones, then the published ones."""
    return [*(name for name in SPLITS if name != "predefined"), *dataset.predefined]


def _record(name: str) -> None:
    """Put a choice into the address. For callbacks, and after its widget is drawn."""
    if name == "models":
        record(name, list(COMPARED_FIRST), ",".join)
    elif name in ("sampled", "recent"):
        record(name, False, {True: "yes", False: "no"}.__getitem__)
    else:
        record(name, {"split": SPLITS[0], "at": 10, "seeds": 1}[name])


def form(dataset: Dataset, asked: Task) -> None:
    """Draw what can be chosen, and the button that starts it."""
    with st.container(border=True, key="form"):
        st.multiselect(
            "Models",
            list(MODELS),
            key="models",
            format_func=recipes.label,
            max_selections=MOST,
            on_change=_record,
            args=("models",),
            placeholder="Two or more",
        )
        with st.grid(4, min_column_width=170, gap="small"):
            st.selectbox(
                "Held back for the test",
                splits(dataset),
                key="split",
                format_func=lambda name: WORDS.get(name, f"as published: {name}"),
                on_change=_record,
                args=("split",),
            )
            st.number_input("Films in a list", 1, 100, key="at", on_change=_record, args=("at",))
            st.number_input(
                "Seeds",
                1,
                5,
                key="seeds",
                help="Trainings of each model that are averaged; closed forms are the same each time.",
                on_change=_record,
                args=("seeds",),
            )
            with st.container(gap="xxsmall"):
                st.checkbox(
                    f"Also against {SAMPLED} sampled films",
                    key="sampled",
                    help="To see how sampled metrics mislead.",
                    on_change=_record,
                    args=("sampled",),
                )
                st.checkbox(
                    "Recent likes may count more",
                    key="recent",
                    help="Where validation says so, as on the other pages; published figures are without.",
                    on_change=_record,
                    args=("recent",),
                )
        for name in ("models", "split", "at", "seeds", "sampled", "recent"):
            _record(name)
        wrong = faults(dataset, asked)
        for fault in wrong:
            st.html(f'<p class="fault" role="alert">{html(messages.as_sentence(fault))}</p>')
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Compare",
                type="primary",
                icon=":material/leaderboard:",
                on_click=compare,
                args=(dataset, asked),
                disabled=bool(wrong),
                key="compare",
            )
            with st.popover("On the command line", icon=":material/terminal:"):
                st.code(command(dataset, asked), language="bash", wrap_lines=True)


def faults(dataset: Dataset, asked: Task) -> list[str]:
    """Return what is wrong with a task on this data, a sentence each."""
    found = [] if len(asked.models) > 1 else ["choose at least two models: one is no comparison"]
    for name in asked.models:
        try:
            MODELS[name]().check(dataset.items, dataset.users)
        except ValueError as fault:
            found.append(str(fault))
        if asked.split == "cold-user" and "fold-in" not in MODELS[name].abilities:
            found.append(f"{recipes.label(name)} serves only people it was trained on; leave it out for this test")
    if asked.k > dataset.n_items:
        found.append(f"a list of {asked.k} films is more than the {dataset.n_items} there are; choose fewer")
    return found


def key_of(dataset: Dataset, asked: Task, device: str) -> str:
    """Return a name for the result: the same models on the same data and the same test have one."""
    versions = [MODELS[name].version for name in asked.models]
    said = json.dumps([dataset.fingerprint, versions, asked.models, asked.arguments(dataset, device)])
    return f"evaluate {hashlib.sha256(said.encode()).hexdigest()[:20]}"


def command(dataset: Dataset, asked: Task) -> str:
    """Return the command line that gives the same figures."""
    parts = ["python", "-m", "recengine", "evaluate", *asked.models, "--dataset", dataset.name]
    return shlex.join([*parts, *asked.arguments(dataset, sidebar.choice().device)])


@messages.toast_errors
def compare(dataset: Dataset, asked: Task) -> None:
    """Start the comparison. For callbacks."""
    device = sidebar.choice().device
    recipes.start_on(
        dataset,
        ["evaluate", *asked.models],
        [*asked.arguments(dataset, device), "--users", f"{JOB_DIR}/people.csv"],
        title=f"Compare {', '.join(recipes.label(name) for name in asked.models)}"[:80],
        key=key_of(dataset, asked, device),
        task=JobTask(asked.models, device=device),
    )


def watch(job: Job) -> None:
    """Draw how far the comparison is, and what is known so far."""
    jobs.follow(job)
    _so_far(job.id)


@st.fragment(run_every=2.0)
def _so_far(id: str) -> None:
    for event in jobs.jobs().events(id):
        if isinstance(event, NoteEvent) and event.model:
            name = html(recipes.label(event.model))
            for key, values in event.metrics.items():
                value = ", ".join(f"{value:.4f}" for value in values)
                st.html(f'<p class="status-line"><b>{name}</b> {html(glossary.title(key))} {value}</p>')


def show(dataset: Dataset, asked: Task, job: Job, result: Mapping[str, Any]) -> None:
    """Draw the leaderboard, and what can be asked of it."""
    key = f"ndcg@{result['k']}"
    order = leaderboard.ranked(result, key)
    best = result["results"][order[0]][key]
    st.html(
        f'<p class="verdict"><b>{html(recipes.label(order[0]))}</b> leads with NDCG@{result["k"]} '
        f"<b>{best['value']:.4f}</b>: {result['users']:,} people, all {result['items']:,} films ranked.</p>"
    )
    group = st.segmented_control(
        "Columns", glossary.GROUPS, default=glossary.GROUPS[0], required=True, format_func=str.capitalize, key="group"
    )
    leaderboard.draw_table(result, group, order)
    left, right = st.columns([6, 5], gap="large")
    with left:
        said = "dot: mean over people; bar: 95 % interval"
        st.html(f'<div class="chart-head"><h3>NDCG@{result["k"]}</h3><p>{said}</p></div>')
        leaderboard.draw_intervals(result, key)
    with right:
        leaderboard.draw_words(result)
    with st.grid(2, min_column_width=320, gap="medium"):
        with st.container(border=True):
            st.html('<div class="chart-head"><h3>Accuracy and coverage</h3><p>up and to the right is better</p></div>')
            leaderboard.draw_trade(result, f"coverage@{result['k']}", key)
        with st.container(border=True):
            st.html('<div class="chart-head"><h3>Accuracy and cost</h3><p>up and to the left is better</p></div>')
            leaderboard.draw_trade(result, "train_seconds", key, logarithmic=True)
    if asked.sampled:
        st.html('<h2 class="row-title">All films, and a sample of them</h2>')
        leaderboard.draw_sampled(result)
    one_person(dataset, job, order, key)
    take_away(dataset, asked, result)
    with st.expander("What the columns are", icon=":material/function:"):
        leaderboard.draw_formulas(result)


@st.cache_data(max_entries=8, show_spinner=False)
def people_of(id: str) -> pd.DataFrame | None:
    """Return each person's figures and lists of a finished comparison."""
    text = jobs.jobs().text(id, "people.csv")
    return leaderboard.read_people(text) if text else None


@st.fragment
def one_person(dataset: Dataset, job: Job, order: list[str], key: str) -> None:
    """Draw whom a model serves best and worst, and one person through all the models."""
    table = people_of(job.id)
    if table is None:
        return
    st.html('<h2 class="row-title">One person through all the models</h2>')
    wide = table.pivot(index="user_id", columns="model", values=key)
    with st.grid(3, min_column_width=220, gap="small"):
        judge = st.selectbox("Served by", order, format_func=recipes.label, key="judge")
        end = st.segmented_control("Show", ("best", "worst"), default="best", required=True, key="end")
        others = wide.drop(columns=judge).mean(axis=1).fillna(0.0)
        lead = (wide[judge] - others).sort_values(ascending=end == "worst", kind="stable")
        chosen = st.selectbox(
            "Person",
            lead.index[:EXTREMES].tolist(),
            format_func=lambda id: f"{markdown(id)}: {wide[judge][id]:.2f}, others {others[id]:.2f}",
            key=f"person {judge} {end}",
        )
    st.caption(f"Those whom {recipes.label(judge)} serves {end} beside the mean of the others, by NDCG.")
    user = int(dataset.user_index([chosen])[0])
    past = viewers.history_of(dataset, user)
    positive = recipes.positive_threshold(dataset)
    held = past.items[past.ratings >= positive][:12]
    names = ", ".join(cards.named(cards.film(dataset, int(item))) for item in held)
    st.html(f'<p class="status-line"><b>Person {html(chosen)}</b> loved {html(names)} …</p>')
    own = table[table["user_id"] == str(chosen)].set_index("model")
    lists = {name: dataset.item_index(own["list"][name]).tolist() if own["list"][name] else [] for name in order}
    liked = set(past.items[past.ratings >= positive].tolist())
    with st.grid(4, min_column_width=220, gap="medium", key="through"):
        for name in order:
            rows = "".join(
                f'<li class="{"both" if item in liked else ""}">{html(cards.named(cards.film(dataset, item)))}</li>'
                for item in lists[name]
            )
            shared = [len(set(lists[name]) & set(lists[other])) for other in order if other != name]
            said = f"NDCG {own[key][name]:.3f}"
            said += f" · {np.mean(shared):.1f} films shared with another model" if shared else ""
            title = html(recipes.label(name))
            st.html(f'<section class="column"><h3>{title}</h3><p>{html(said)}</p><ol>{rows}</ol></section>')
    st.caption("Set in bold: films that this person loved and that were held back, which the models were to find.")


def take_away(dataset: Dataset, asked: Task, result: Mapping[str, Any]) -> None:
    """Offer the leaderboard as files, and the command that makes it again."""
    line = command(dataset, asked)
    with st.container(horizontal=True, key="take-away"):
        for label, name, kind, text in (
            ("CSV", "leaderboard.csv", "text/csv", leaderboard.to_csv(result)),
            ("Markdown", "leaderboard.md", "text/markdown", leaderboard.to_markdown(result, line)),
            ("JSON", "leaderboard.json", "application/json", json.dumps(result, ensure_ascii=False)),
        ):
            st.download_button(label, text, name, kind, icon=":material/download:", on_click="ignore")
    st.code(line, language="bash", wrap_lines=True)


def families() -> None:
    """Say where each model stands among the ways of recommending."""
    st.html('<h2 class="row-title">Families of models</h2>')
    for family, said in FAMILIES.items():
        rows = "".join(
            f"<li><b>{html(recipes.label(kind.name))}</b> {html(kind.summary)} <i>{html(kind.reference)}</i></li>"
            for kind in MODELS.values()
            if kind.family == family
        )
        if rows:
            st.html(
                f'<section class="family"><div><h3>{html(family.capitalize())}</h3><p>{html(said)}</p></div>'
                f"<ul>{rows}</ul></section>"
            )


with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=420):
        dataset = sidebar.dataset()
    asked = task(dataset)
    form(dataset, asked)
    job = jobs.jobs().latest(key_of(dataset, asked, sidebar.choice().device))
    result = jobs.jobs().result(job.id) if job is not None and job.state is JobState.DONE else None
    if job is None or (job.state is JobState.DONE and result is None):
        messages.empty(
            "These models have not met on this data yet",
            "Each is trained without what is held back, then ranks every film for everybody.",
            lambda: st.button(
                f"Compare {', '.join(map(recipes.label, COMPARED_FIRST))}",
                on_click=compare,
                args=(dataset, asked._replace(models=COMPARED_FIRST)),
                icon=":material/play_arrow:",
                disabled=bool(faults(dataset, asked._replace(models=COMPARED_FIRST))),
            ),
        )
    elif job.active:
        watch(job)
    elif result is None:
        args = (dataset, asked)
        jobs.ended_badly(job, lambda: st.button("Run it again", type="primary", on_click=compare, args=args))
    else:
        show(dataset, asked, job, result)
    families()
    sidebar.show_model_status(dataset)
