"""Train: settings in a form, the curves of a training as they grow, and the runs so far."""

from __future__ import annotations

import streamlit as st

from pages.ui import caches, curves, jobs, messages, recipes, run_figures, runs, sidebar
from pages.ui.escape import html
from pages.ui.task_form import TaskForm
from pages.ui.training_form import fill, presets, search_form, training_form
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.experiments import tune
from recengine.experiments.train import memory_needed
from recengine.jobs.job import Job, JobKind, JobState, Task
from recengine.models.registry import MODELS, WATCHED_FIRST, configure
from recengine.training.config import RunConfig

LARGE = 1e9
"""Show the memory estimate above this many bytes."""


@st.fragment
def draw_form(dataset: Dataset) -> None:
    """Draw the form; a change of a field reruns this part alone."""
    model = training_form(dataset, first_model()).models
    model.recall()
    name = st.session_state[model.name]
    form, kind = training_form(dataset, name), MODELS[name]
    form.recall(sidebar.choice().device)
    task, errors = form.read(sidebar.choice().device)
    memory = find_errors(dataset, task, errors)
    with st.container(border=True, key="form"):
        model.draw()
        model.record()
        st.html(f'<p class="about-model">{html(words_of(dataset).say(kind.summary))}</p>')
        if name in MODELS.plugins:
            draw_contract(name, dataset)
        if not dataset.timed and (
            kind.is_order_sensitive or recipes.asked(task).get("recency_half_life", "none") != "none"
        ):
            st.caption("This data has no timestamps, so this model reads the order of its rows as the order of time.")
        ready = presets(kind, has_genres=bool((dataset.items["genres"] != "").any()))
        if len(ready) > 1:
            with st.container(horizontal=True, gap="xsmall", key="presets"):
                for title, texts in ready.items():
                    st.button(title, on_click=fill, args=(form.fields, texts), key=f"preset {title}")
        form.draw_fields(columns=2, width=130, errors=errors)
        note = "Correct the marked fields first." if errors else ""
        if memory > LARGE:
            note = f"Takes about {memory / 1e9:.1f} GB of memory."
        clicked = form.draw_start(task, "Train", ":material/play_arrow:", start, disabled=bool(errors), note=note)
        if kind.Config.__dataclass_fields__:
            with st.expander("Search for the best settings", icon=":material/manage_search:"):
                clicked |= draw_search(search_form(dataset, name), task, disabled=bool(errors))
        if clicked:
            st.rerun()  # the callback has started it; now the rest of the page shows it


def first_model() -> str:
    """Return the model that the form begins with: the sidebar's, if there is anything to watch in its training."""
    chosen = recipes.task_of(sidebar.choice().model).model
    return chosen if MODELS[chosen].preset_epochs else WATCHED_FIRST


def draw_contract(name: str, dataset: Dataset) -> None:
    """Draw whether a custom model passes the checks that every model here passes."""
    findings = caches.findings(name, MODELS[name].version, dataset.fingerprint, dataset)
    broken = [finding for finding in findings if finding.error]
    if not broken:
        st.caption(f":material/verified: Custom model: passes all {len(findings)} checks of the contract.")
        return
    st.warning(f"Custom model: fails {len(broken)} of {len(findings)} checks of the contract.", icon=":material/rule:")
    rows = "".join(
        f"<li>{html(messages.as_sentence(broken_line.line))} <b>{html(broken_line.error)}</b></li>"
        for broken_line in broken
    )
    st.html(f'<ul class="findings">{rows}</ul>')


def find_errors(dataset: Dataset, task: Task, errors: dict[str, BadInput]) -> int:
    """Add what is wrong with a task on this data and this machine; return the bytes of memory that it takes."""
    try:
        run = RunConfig(device=task.device, seed=task.seed)  # type: ignore[arg-type]  # it checks
        run.torch_device()
        model = MODELS[task.model](configure(task.model, dict(task.settings), run)[0])
        model.check(dataset.items, dataset.users)
        return memory_needed(dataset, model)
    except BadInput as error:
        errors[error.field] = error
        return 0


def start(task: Task) -> None:
    """Start a training or a search, unless it has errors. For callbacks."""
    dataset, errors = sidebar.dataset(), dict[str, BadInput]()
    find_errors(dataset, task, errors)
    if not errors:
        runs.start(dataset, task)


def draw_search(form: TaskForm, task: Task, *, disabled: bool) -> bool:
    """Draw the number of trials and the button that starts a search; return whether it was clicked."""
    if not tune.can_tune():
        st.caption("Searching needs optuna. Install it with `pip install optuna`, then restart the app.")
        disabled = True
    else:
        st.caption("Trains many times on a part of the ratings and compares on validation. What you set above stays.")
    trials = form.fields[-1]
    trials.recall()
    trials.draw()
    trials.record()
    return form.draw_start(form.read(task.device)[0], "Search", ":material/search:", start, disabled=disabled)


def watch(dataset: Dataset) -> None:
    """Draw the chosen run and the curves of the runs shown with it."""
    job = runs.focus(dataset)
    if job is None:
        messages.empty(
            "Nothing trained yet",
            "Pick a model, keep its settings, and watch it learn.",
            lambda: st.button(
                f"Train {recipes.label(WATCHED_FIRST)}",
                on_click=runs.start,
                args=(dataset, recipes.task_of(WATCHED_FIRST, sidebar.choice().device)),
                icon=":material/play_arrow:",
            ),
        )
    elif job.active:
        follow(job.id, dataset)
    else:
        draw_run(job, dataset)


@st.fragment(run_every=jobs.TICK)
def follow(id: str, dataset: Dataset) -> None:
    """Draw a running job again and again; when it is over, the whole page once."""
    job = jobs.jobs().get(id)
    if job is None or not job.active:
        st.rerun()
    draw_run(job, dataset)


def draw_run(job: Job, dataset: Dataset) -> None:
    """Draw one run: its figures, its bar or its end, and the curves."""
    runs.headline(job)
    if job.active:
        jobs.progress_bar(job, with_title=False)
    elif job.state is JobState.DONE:
        runs.finished(job, dataset)
    else:
        jobs.ended_badly(job, lambda: runs.again_button(job, dataset))
    if job.kind == JobKind.TUNE:
        run_figures.draw_trials(job)
    # of a search, the curves of the trial that runs
    shown = [run for run in runs.shown(dataset) if run.kind == JobKind.TRAIN or run.active]
    curves.draw(shown, words_of(dataset))


with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=420):
        dataset = sidebar.dataset()
    with st.container(key="bench-in-use" if runs.focus(dataset) else "bench"):
        left, right = st.columns([5, 7], gap="large")
        with left:
            draw_form(dataset)
        with right, st.container(border=True, key="watch"):
            watch(dataset)
    run_figures.draw_side_by_side(runs.shown(dataset))
    runs.listing(dataset)
    with st.expander("How to read the curves", icon=":material/function:"):
        st.markdown(words_of(dataset).say(curves.EXPLANATION))
    sidebar.show_model_status(dataset)
