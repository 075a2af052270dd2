"""Compare: train models, test them on held-back ratings, and read a leaderboard with its intervals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from pages.ui import cards, jobs, leaderboard, messages, recipes, sidebar, votes
from pages.ui.datasets import liked_from
from pages.ui.escape import html, plain
from pages.ui.task_form import Choice, Models, Number, Switch, TaskForm
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.data.splits import HOLDS_OUT_USERS, SPLITS
from recengine.evaluation import glossary
from recengine.evaluation.report import EvaluationReport
from recengine.export import counted, json_ready
from recengine.jobs.events import NoteEvent
from recengine.jobs.job import JOB_DIR, Job, JobState, Task
from recengine.models.base import FAMILIES
from recengine.models.registry import COMPARED_FIRST, MODELS
from recengine.serving import viewers

MOST = 10
"""Models that are compared at once."""
SAMPLED = 99
"""Negative samples for each test item, where sampled metrics are chosen."""
HELD_BACK = {
    "leave-last": "each viewer's last film",
    "random": "a random fifth of all likes",
    "stratified": "a random fifth of each viewer's likes",
    "time": "the latest fifth of all likes",
    "cold-user": "viewers who are not in training",
    "sitting": "viewers who are not in training, known by twelve ratings in no order",
    "cold-item": "a tenth of the films, with all their ratings",
}
"""What each split holds back, in words; published splits keep their names."""
EXTREMES = 12
"""Viewers to choose from at either end."""


def make_form(dataset: Dataset) -> TaskForm:
    """Return the form for this data."""
    words = words_of(dataset)
    splits = [*(name for name in SPLITS if name != "predefined"), *dataset.predefined]
    return TaskForm(
        dataset,
        "evaluate",
        "Compare",
        Models(
            name="models",
            label="Models",
            default=list(COMPARED_FIRST),
            options=list(MODELS),
            most=MOST,
            placeholder="Two or more",
        ),
        (
            Choice(
                name="split",
                label="Held back for the test",
                default=splits[0],
                options=splits,
                text_of=lambda name: words.say(HELD_BACK[name]) if name in HELD_BACK else f"as published: {name}",
                flags=split_flags,
            ),
            Number(name="at", label=words.say("Films in a list"), default=10, most=100, flag="-k"),
            Number(
                name="seeds",
                label="Seeds",
                default=1,
                most=5,
                help="How many times each model is trained; the figures are averaged. Closed forms never differ.",
                flag="--seeds",
            ),
            Switch(
                name="sampled",
                label=f"Also against {SAMPLED} sampled {words.items}",
                help="Shows how sampled metrics can mislead.",
                flags=lambda task: ("--negatives", str(SAMPLED)) if is_on(task, "sampled") else (),
            ),
            Switch(
                name="recent",
                label="Weight recent likes (chosen on validation)",
                help="As on the other pages. Published figures do not.",
                flags=recency_flags,
            ),
        ),
    )


def split_flags(task: Task) -> list[str]:
    """Return the flags of what is held back, with the share that its words promise."""
    name = task.options["split"]
    return ["--split", name, *(["--test-share", "0.2"] if "fifth" in HELD_BACK.get(name, "") else [])]


def is_on(task: Task, switch: str) -> bool:
    """Tell whether a switch is on."""
    return task.options[switch] == "yes"


def recency_flags(task: Task) -> list[str]:
    """Return the flags that let recency weigh as on the other pages, if that is asked for."""
    models = task.models if is_on(task, "recent") else ()
    return recipes.set_flags({f"{m}.{option}": value for m in models for option, value in recipes.presets(m).items()})


def draw_form(form: TaskForm, task: Task, *, is_running: bool) -> None:
    """Draw the form, its errors, and the button that starts the comparison, unless it runs."""
    with st.container(border=True, key="form"):
        form.draw(columns=4, width=170)
        errors = find_errors(form.dataset, task)
        for error in errors:
            messages.field_error(error)
        form.draw_start(task, "Compare", ":material/leaderboard:", start, disabled=bool(errors) or is_running)


def find_errors(dataset: Dataset, task: Task) -> list[str]:
    """Return what is wrong with a task on this data, a sentence each."""
    words = words_of(dataset)
    errors = [] if len(task.models) > 1 else ["choose at least two models to compare"]
    for name in task.models:
        try:
            MODELS[name]().check(dataset.items, dataset.users)
        except ValueError as error:
            errors.append(str(error))
        if task.options["split"] in HOLDS_OUT_USERS and "fold-in" not in MODELS[name].abilities:
            errors.append(
                f"{recipes.label(name)} can only serve {words.viewers} it was trained on; leave it out of this test"
            )
    if int(task.options["at"]) > dataset.n_items:
        errors.append(
            f"a list of {task.options['at']} {words.items} is too long: there are only {dataset.n_items}; choose fewer"
        )
    return errors


@messages.toast_errors
def start(task: Task) -> None:
    """Start the comparison. For callbacks."""
    make_form(sidebar.dataset()).start(task, ["--users", f"{JOB_DIR}/users.csv"])


def watch(job: Job) -> None:
    """Draw the progress of the comparison, and the results so far."""
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


def draw_result(form: TaskForm, task: Task, job: Job, report: EvaluationReport) -> None:
    """Draw the leaderboard, its charts, one viewer's lists, and the downloads."""
    k, words = report.settings.k, words_of(form.dataset)
    key = f"ndcg@{k}"
    order = leaderboard.ranked(report, key)
    best = leaderboard.figure_of(report, order[0], key)
    st.html(
        f'<p class="verdict"><b>{html(recipes.label(order[0]))}</b> leads with NDCG@{k} '
        f"<b>{best.value:.4f}</b>: {counted(report.users, words.viewers)}, "
        f"all {counted(report.items, words.items)} ranked.</p>"
    )
    group = st.segmented_control(
        "Columns", glossary.GROUPS, default=glossary.GROUPS[0], required=True, format_func=str.capitalize, key="group"
    )
    leaderboard.draw_table(report, group, order, words)
    leaderboard.draw_policy(report, words)
    left, right = st.columns([6, 5], gap="large")
    with left:
        caption = f"dot: mean over {words.viewers}; bar: 95% interval"
        st.html(f'<div class="chart-head"><h3>NDCG@{k}</h3><p>{caption}</p></div>')
        leaderboard.draw_intervals(report, key)
    with right:
        leaderboard.draw_words(report)
    with st.grid(2, min_column_width=320, gap="medium"):
        with st.container(border=True):
            st.html('<div class="chart-head"><h3>Accuracy and coverage</h3><p>up and to the right is better</p></div>')
            leaderboard.draw_trade(report, f"coverage@{k}", key)
        with st.container(border=True):
            st.html('<div class="chart-head"><h3>Accuracy and cost</h3><p>up and to the left is better</p></div>')
            leaderboard.draw_trade(report, "train_seconds", key, logarithmic=True)
    if is_on(task, "sampled"):
        st.html(f'<h2 class="row-title">Ranked among all {words.items}, and among a sample</h2>')
        leaderboard.draw_sampled(report, words.items)
    votes.draw_standings(form.dataset)
    draw_one_viewer(form.dataset, job, order, key)
    draw_downloads(form.command_line(task), report, words)
    with st.expander("Column guide", icon=":material/function:"):
        leaderboard.draw_formulas(report, words)


@st.cache_data(max_entries=8, show_spinner=False)
def read_viewers(id: str) -> pd.DataFrame | None:
    """Return each viewer's figures and lists of a finished comparison."""
    text = jobs.jobs().text(id, "users.csv")
    return leaderboard.read_viewers(text) if text else None


@st.fragment
def draw_one_viewer(dataset: Dataset, job: Job, order: list[str], key: str) -> None:
    """Offer the viewers whom a model serves best and worst, and draw the list of one of them from every model."""
    table = read_viewers(job.id)
    if table is None:
        return
    words = words_of(dataset)
    st.html(f'<h2 class="row-title">One {words.viewer}, every model</h2>')
    wide = table.pivot(index="user_id", columns="model", values=key)
    with st.grid(3, min_column_width=220, gap="small"):
        chosen = st.selectbox("Best or worst served by", order, format_func=recipes.label, key="judge")
        end = st.segmented_control("Show", ("best", "worst"), default="best", required=True, key="end")
        others = wide.drop(columns=chosen).mean(axis=1).fillna(0.0)
        lead = (wide[chosen] - others).sort_values(ascending=end == "worst", kind="stable")
        viewer = st.selectbox(
            words.viewer.capitalize(),
            lead.index[:EXTREMES].tolist(),
            format_func=lambda id: f"{plain(id)}: {wide[chosen][id]:.2f}, others {others[id]:.2f}",
            key=f"viewer {chosen} {end}",
        )
    side = "beats the others" if end == "best" else "falls behind the others"
    st.caption(f"{words.viewers.capitalize()} for whom {recipes.label(chosen)} {side} most, by NDCG.")
    user = int(dataset.user_index([viewer])[0])
    past = viewers.history_of(dataset, user)
    positive = liked_from(dataset)
    liked = past.items[past.ratings >= positive].tolist()
    names = ", ".join(cards.named(cards.film(dataset, item)) for item in liked[:12])
    st.html(
        f'<p class="status-line"><b>{words.viewer.capitalize()} {html(viewer)}</b> {words.loved} {html(names)} …</p>'
    )
    rows = table[table["user_id"] == str(viewer)].set_index("model")
    lists = {name: dataset.item_index(rows["list"][name]).tolist() if rows["list"][name] else [] for name in order}
    with st.grid(4, min_column_width=220, gap="medium", key="through"):
        for name in order:
            films = "".join(
                f'<li class="{"both" if item in liked else ""}">{html(cards.named(cards.film(dataset, item)))}</li>'
                for item in lists[name]
            )
            shared = [len(set(lists[name]) & set(lists[other])) for other in order if other != name]
            text = f"NDCG {rows[key][name]:.3f}"
            if shared:
                text += f" · shares {np.mean(shared):.2g} of {len(lists[name])} with the other lists"
            title = html(recipes.label(name))
            st.html(f'<section class="column"><h3>{title}</h3><p>{text}</p><ol>{films}</ol></section>')
    st.caption(f"Bold: held-back {words.items} that this {words.viewer} {words.loved}. A good list has them.")


def draw_downloads(command_line: str, report: EvaluationReport, words: Words) -> None:
    """Offer the leaderboard as files, and the command that makes it again."""
    with st.container(horizontal=True, key="take-away"):
        for label, name, kind, text in (
            ("CSV", "leaderboard.csv", "text/csv", leaderboard.to_csv(report, command_line)),
            ("Markdown", "leaderboard.md", "text/markdown", leaderboard.to_markdown(report, command_line, words)),
            (
                "JSON",
                "leaderboard.json",
                "application/json",
                json.dumps(json_ready(report.to_dict()), ensure_ascii=False),
            ),
        ):
            st.download_button(label, text, name, kind, icon=":material/download:", on_click="ignore")
    st.code(command_line, language="bash", wrap_lines=True)


def draw_families(words: Words) -> None:
    """List the models by family, each with its one line and its paper."""
    for family, summary in FAMILIES.items():
        rows = "".join(
            f"<li><b>{html(recipes.label(kind.name))}</b> {html(words.say(kind.summary))} "
            f"<i>{html(kind.reference)}</i></li>"
            for kind in MODELS.values()
            if kind.family == family
        )
        if rows:
            st.html(
                f'<section class="family"><div><h3>{html(family.capitalize())}</h3>'
                f"<p>{html(words.say(summary))}</p></div><ul>{rows}</ul></section>"
            )


with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=420):
        form = make_form(sidebar.dataset())
    task = form.recall(sidebar.choice().device)
    job = form.find(task)
    draw_form(form, task, is_running=job is not None and job.active)
    result = None
    if job is not None and job.state is JobState.DONE:
        result = jobs.jobs().result(job.id, EvaluationReport.from_dict)
    if job is None or (job.state is JobState.DONE and result is None):
        form.draw_first(
            task,
            "Not compared yet",
            words_of(form.dataset).say(
                "Each model is trained without the held-back ratings, then ranks every film for every viewer."
            ),
            start,
            disabled=bool(find_errors(form.dataset, replace(task, models=COMPARED_FIRST))),
        )
    elif job.active:
        watch(job)
    elif result is None:
        jobs.ended_badly(job, lambda: st.button("Run it again", type="primary", on_click=start, args=(task,)))
    else:
        draw_result(form, task, job, result)
    with st.expander("All models by family, with their papers", icon=":material/account_tree:"):
        draw_families(words_of(form.dataset))
    sidebar.show_model_status(form.dataset)
