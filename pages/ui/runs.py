"""The runs of trainings and searches: which of them is shown, and what can be done with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.ui import curves, exports, jobs, messages, recipes, run_figures
from pages.ui.address import link
from pages.ui.escape import html, plain
from pages.ui.training_form import fill, search_form, settings_of, training_form
from recengine.data.dataset import Dataset
from recengine.experiments.train import TrainingReport
from recengine.experiments.tune import TuneReport
from recengine.jobs.job import Job, JobKind, JobState, Task
from recengine.models.registry import MODELS

KINDS = (JobKind.TRAIN, JobKind.TUNE)


def on(dataset: Dataset) -> list[Job]:
    """Return the runs on a data set that this session may see, the latest first."""
    return [job for job in jobs.visible(*KINDS) if job.task.fingerprint == dataset.fingerprint]


@messages.toast_errors
def start(dataset: Dataset, task: Task) -> None:
    """Start a training or a search and look at it, even if the store has the model: who asks wants to watch."""
    form = (search_form if task.trials else training_form)(dataset, task.model)
    _look_at(form.start(task, () if task.trials else ["--force", "--validate"]).id)


def _look_at(id: str) -> None:
    _show([id, *(other for other in _asked() if other != id)][: curves.MOST])


def focus(dataset: Dataset) -> Job | None:
    """Return the run that is looked at: the first that the address names, else what runs, else the latest one."""
    runs = {job.id: job for job in on(dataset)}
    asked = [runs[id] for id in _asked() if id in runs]
    active = [job for job in runs.values() if job.state is JobState.RUNNING]
    return next(iter([*asked, *active, *runs.values()]), None)


def _asked() -> list[str]:
    return [id for id in st.query_params.get("runs", "").split(",") if id]


def _show(ids: Sequence[str]) -> None:
    """Put the runs in the charts into the address: a view is a link."""
    st.query_params["runs"] = ",".join(ids)


def shown(dataset: Dataset) -> list[Job]:
    """Return the runs in the charts, the one that is looked at first."""
    looked_at = focus(dataset)
    if looked_at is None:
        return []
    asked = [job for job in on(dataset) if job.id in _asked() and job.id != looked_at.id and job.kind == JobKind.TRAIN]
    return [looked_at, *asked][: curves.MOST]


def headline(job: Job) -> None:
    """Draw the title of a run and its figures."""
    st.html(f'<h2 class="run-title">{html(job.title)}</h2>')
    run_figures.draw(run_figures.figures_of(job))


def finished(job: Job, dataset: Dataset) -> None:
    """Draw what can be done with the result of a run."""
    if job.kind == JobKind.TUNE:
        tuned = jobs.jobs().result(job.id, TuneReport.from_dict)
        st.success("Search finished. The best settings are below.", icon=":material/check_circle:")
        texts = {key: str(value) for key, value in tuned.best.settings.items()} if tuned else {}
        st.button(
            "Use the best settings",
            type="primary",
            on_click=_adopt,
            args=(job.task.model, texts),
            icon=":material/edit_note:",
        )
        return
    trained = jobs.jobs().result(job.id, TrainingReport.from_dict)
    fresh = trained is None or trained.fresh
    text = "Trained, then refitted on everything." if fresh else "This model was trained before."
    st.success(f"{text} You can pick it on every page.", icon=":material/check_circle:")
    link("viewers.py", "See what it recommends", icon=":material/arrow_forward:", model=choice_of(job), runs=None)
    if trained is not None:
        exports.draw_model(job, trained, dataset, lambda: again_button(job, dataset))


def _adopt(model: str, texts: Mapping[str, str]) -> None:
    st.session_state["train_model"] = st.query_params["train_model"] = model
    fill(settings_of(MODELS[model]), texts)


def choice_of(job: Job) -> str:
    """Return the run's model as the sidebar has it: the run, or the model where all settings are presets."""
    return job.task.model if recipes.is_preset(job.task) else job.id


def again_button(job: Job, dataset: Dataset) -> None:
    """Offer to run a run once more."""
    st.button("Run it again", type="primary", on_click=start, args=(dataset, job.task), icon=":material/refresh:")


def listing(dataset: Dataset) -> None:
    """Draw the runs on this data set, each with its buttons."""
    runs = on(dataset)
    if not runs:
        return
    st.html('<h2 class="row-title">Runs on this data set</h2>')
    order = [job.id for job in shown(dataset)]
    with st.container(gap="xsmall", key="runs"):
        for job in runs:
            _row(job, order)
    if "renaming" in st.session_state:
        rename(st.session_state.pop("renaming"))


def _row(job: Job, order: list[str]) -> None:
    """Draw one run: the colour of its curves, if any, its title, its state, and its buttons."""
    on = job.id in order
    colour = f"swatch c{order.index(job.id)}" if on else "swatch"
    with st.container(border=True, key=f"run-{job.id}", horizontal=True, vertical_alignment="center"):
        st.html(
            f'<div class="run"><i class="{colour}"></i><div><h3>{html(job.title)}</h3>'
            f"<p>{html(run_figures.status_line(job))}</p></div></div>"
        )
        if job.kind == JobKind.TRAIN:
            st.toggle(
                "Curves",
                value=on,
                key=f"curves {job.id} {on}",
                on_change=_toggle,
                args=(job.id, order),
                disabled=job.id == order[0],
            )
        options = ["Show", "Rename", "Delete"]
        st.menu_button("Actions", options, key=f"menu {job.id}", on_click=_act, args=(job.id,))


def _toggle(id: str, order: list[str]) -> None:
    _show([other for other in order if other != id] if id in order else [*order, id][-curves.MOST :])


def _act(id: str) -> None:
    match st.session_state[f"menu {id}"]:
        case "Show":
            _look_at(id)
        case "Rename":
            st.session_state["renaming"] = id
        case "Delete":
            jobs.jobs().delete(id)


@st.dialog("Rename the run")
def rename(id: str) -> None:
    """Ask for another title."""
    job = jobs.jobs().get(id)
    if job is None:
        return
    title = st.text_input("Title", value=job.title, max_chars=80)
    if not title.strip():
        messages.field_error("a run needs a title")
    elif st.button("Rename"):
        jobs.jobs().rename(id, plain(title))
        st.rerun()
