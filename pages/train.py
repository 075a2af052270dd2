"""Train: settings in a form, a training in a process of its own, its curves as they grow, and the runs made so far."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from pages.ui import caches, curves, jobs, messages, model_settings, recipes, run_figures, runs, sidebar
from pages.ui.escape import html
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.experiments import tune
from recengine.experiments.train import memory_needed
from recengine.jobs.job import Job, JobState
from recengine.models.registry import MODELS, WATCHED_FIRST, configure
from recengine.training.config import RunConfig

LARGE = 1e9
"""Show the memory estimate above this many bytes."""
TRIALS = (5, 200)
"""Fewest and most trials of a search."""


@st.fragment
def draw_form(dataset: Dataset) -> None:
    """Draw the form; a change of a field reruns this part alone."""
    state = st.session_state
    with st.container(border=True, key="form"):
        if "train_model" not in state:  # the sidebar's model, if there is anything to watch in its training
            chosen = recipes.recipe(sidebar.choice().model).model
            state["train_model"] = chosen if MODELS[chosen].preset_epochs else WATCHED_FIRST
        name = st.selectbox(
            "Model to train",
            list(MODELS),
            key="train_model",
            format_func=lambda model: f"{recipes.label(model)} · {MODELS[model].family}",
            persist_state="session",
        )
        kind, settings = MODELS[name], model_settings.settings_of(MODELS[name])
        st.html(f'<p class="about-model">{html(kind.summary)}</p>')
        if name in MODELS.plugins:
            draw_contract(name, dataset)
        whole = st.container()
        ready = model_settings.presets(kind)
        if len(ready) > 1:
            with st.container(horizontal=True, gap="xsmall", key="presets"):
                for title, texts in ready.items():
                    st.button(title, on_click=model_settings.fill, args=(settings, texts), key=f"preset {title}")
        slots = model_settings.draw(settings)
        with st.grid(2, min_column_width=130, gap="small"):
            with st.container(gap="xxsmall"):
                st.number_input("Seed", value=0, step=1, key="train_seed", persist_state="session")
                slots["seed"] = st.container()
            with st.container(gap="xxsmall"):
                st.selectbox("Device", ["auto", "cpu", "cuda"], key="train_device", persist_state="session")
                slots["device"] = st.container()
        order = read_form(dataset)
        for error in order.errors:
            with slots.get(error.field, whole):
                messages.field_error(messages.bad_input_message(error))
        weighs_recency = order.recipe.asked.get("recency_half_life", "none") != "none"
        if not dataset.timed and (kind.is_order_sensitive or weighs_recency):
            whole.caption("This data has no timestamps: the order of its rows stands for time, which this model reads.")
        draw_start(dataset, order)


def draw_contract(name: str, dataset: Dataset) -> None:
    """Say whether one's own model keeps the contract that every model here keeps."""
    findings = caches.findings(name, MODELS[name].version, dataset.fingerprint, dataset)
    broken = [finding for finding in findings if finding.error]
    if not broken:
        st.caption(f":material/verified: Your own model; it keeps all {len(findings)} lines of the contract.")
        return
    st.warning(f"Your own model breaks {len(broken)} of {len(findings)} lines of the contract.", icon=":material/rule:")
    rows = "".join(
        f"<li>{html(messages.as_sentence(broken_line.line))} <b>{html(broken_line.error)}</b></li>"
        for broken_line in broken
    )
    st.html(f'<ul class="findings">{rows}</ul>')


class Order(NamedTuple):
    """What the form asks for, where it should run, what is wrong with it, and the bytes of memory it takes."""

    recipe: recipes.Recipe
    device: str
    errors: list[BadInput]
    memory: int


def read_form(dataset: Dataset) -> Order:
    """Return what the form holds now, and what is wrong with it on this data and this machine."""
    state = st.session_state
    name, device = state["train_model"], state["train_device"]
    settings, errors = model_settings.read(model_settings.settings_of(MODELS[name]))
    recipe, memory = recipes.Recipe(name, settings, state["train_seed"]), 0
    try:
        run = RunConfig(device=device, seed=recipe.seed)
        run.torch_device()
        model = MODELS[name](configure(name, dict(settings), run)[0])
        model.check(dataset.items, dataset.users)
        memory = memory_needed(dataset, model)
    except BadInput as error:
        errors[error.field] = error
    return Order(recipe, device, list(errors.values()), memory)


def _train(dataset: Dataset) -> None:
    order = read_form(dataset)  # what was typed last may not have been drawn
    if not order.errors:
        runs.start(dataset, order.recipe, order.device)


def _search(dataset: Dataset) -> None:
    order = read_form(dataset)
    if not order.errors:
        runs.search(dataset, order.recipe, order.device, st.session_state["trials"])


def draw_start(dataset: Dataset, order: Order) -> None:
    """Draw the buttons that start a training or a search, and the command line that does the same."""
    recipe, args = order.recipe, (dataset,)
    disabled, icon = bool(order.errors), ":material/play_arrow:"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        clicked = st.button(
            "Train", type="primary", icon=icon, disabled=disabled, on_click=_train, args=args, key="train"
        )
        if order.errors:
            st.caption("Correct what is marked first.")
        elif order.memory > LARGE:
            st.caption(f"Takes about {order.memory / 1e9:.1f} GB of memory.")
    if MODELS[recipe.model].Config.__dataclass_fields__:
        with st.expander("Search for the best settings", icon=":material/manage_search:"):
            clicked |= draw_search(args, disabled=disabled)
    with st.expander("The same on the command line", icon=":material/terminal:"):
        flags = recipes.flags(dataset, recipe, order.device)
        st.code(recipes.command_line(dataset, ["train", recipe.model], flags), language="bash", wrap_lines=True)
    if clicked:
        st.rerun()  # the callback has started it; now the rest of the page shows it


def draw_search(args: tuple[Dataset], *, disabled: bool) -> bool:
    """Draw how many settings to try and the button that starts; return whether it was clicked."""
    if not tune.can_tune():
        st.caption("A search needs optuna, which is not installed: `pip install optuna`, then start the app again.")
        disabled = True
    else:
        st.caption("Each trial trains on a part and is judged on validation; what you set above stays as it is.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.slider("Trials", *TRIALS, value=20, step=5, key="trials", persist_state="session", disabled=disabled)
        return st.button("Search", disabled=disabled, on_click=_search, args=args)


def watch(dataset: Dataset) -> None:
    """Draw the chosen run, running or over, and the curves of the runs shown with it."""
    job = runs.focus(dataset)
    if job is None:
        messages.empty(
            "Nothing has been trained here yet",
            "Choose a model, leave the settings as they are, and watch it learn.",
            lambda: st.button(
                f"Train {recipes.label(WATCHED_FIRST)}",
                on_click=runs.start,
                args=(dataset, recipes.Recipe(WATCHED_FIRST), sidebar.choice().device),
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
        runs.finished(job)
    else:
        jobs.ended_badly(job, lambda: runs.again_button(job, dataset))
    if job.kind == "tune":
        run_figures.draw_trials(job)
    # of a search, the curves of the trial that runs
    curves.draw([run for run in runs.shown(dataset) if run.kind == "train" or run.active])


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
        st.markdown(curves.EXPLANATION)
    sidebar.show_model_status(dataset)
