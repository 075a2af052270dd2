"""Train: settings in a form, a training in a process of its own, its curves as they grow, and the runs made so far."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from pages.ui import caches, curves, form, jobs, messages, outcomes, recipes, runs, sidebar
from pages.ui.escape import html
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.experiments.train import memory_needed
from recengine.jobs.job import Job, JobState
from recengine.models.registry import MODELS, OWN, WATCHED_FIRST, configure
from recengine.training.config import RunConfig

LARGE = 1e9
"""Bytes of memory from which on it is said what a training takes."""
TRIALS = (5, 200)
"""Fewest and most settings that a search of this page tries."""


@st.fragment
def settings_form(dataset: Dataset) -> None:
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
        kind, fields = MODELS[name], form.fields_of(MODELS[name])
        st.html(f'<p class="about-model">{html(kind.summary)}</p>')
        if name in OWN:
            contract_held(name, dataset)
        whole = st.container()
        ready = form.presets(kind)
        if len(ready) > 1:
            with st.container(horizontal=True, gap="xsmall", key="presets"):
                for title, values in ready.items():
                    st.button(title, on_click=form.fill, args=(name, fields, values), key=f"preset {title}")
        places = form.draw(name, fields)
        with st.grid(2, min_column_width=130, gap="small"):
            with st.container(gap="xxsmall"):
                st.number_input("Seed", value=0, step=1, key="train_seed", persist_state="session")
                places["seed"] = st.container()
            with st.container(gap="xxsmall"):
                st.selectbox("Device", ["auto", "cpu", "cuda"], key="train_device", persist_state="session")
                places["device"] = st.container()
        asked = ask(dataset)
        for field, fault in asked.faults.items():
            form.say(places.get(field, whole), fault)
        if not dataset.timed and (
            kind.is_order_sensitive or asked.wanted.asked.get("recency_half_life", "none") != "none"
        ):
            whole.caption("This data has no timestamps: the order of its rows stands for time, which this model reads.")
        start(dataset, asked)


def contract_held(name: str, dataset: Dataset) -> None:
    """Say how a model of one's own stands to the contract that every model here keeps."""
    found = caches.findings(name, OWN[name].version, dataset.fingerprint, dataset)
    broken = [finding for finding in found if finding.fault]
    if not broken:
        st.caption(f":material/verified: Your own model; it keeps all {len(found)} lines of the contract.")
        return
    st.warning(f"Your own model breaks {len(broken)} of {len(found)} lines of the contract.", icon=":material/rule:")
    rows = "".join(f"<li>{html(messages.as_sentence(line.what))} <b>{html(line.fault)}</b></li>" for line in broken)
    st.html(f'<ul class="findings">{rows}</ul>')


class Asked(NamedTuple):
    """What the form asks for, where it should run, what is wrong by field ("" is the model), the bytes it takes."""

    wanted: recipes.Recipe
    device: str
    faults: dict[str, str]
    needed: int


def ask(dataset: Dataset) -> Asked:
    """Return what the form holds now, and what is wrong with it on this data and this machine."""
    state = st.session_state
    name, device = state["train_model"], state["train_device"]
    settings, faults = form.read(name, form.fields_of(MODELS[name]))
    wanted, needed = recipes.Recipe(name, settings, state["train_seed"]), 0
    try:
        run = RunConfig(device=device, seed=wanted.seed)
        run.torch_device()
        model = MODELS[name](configure(name, dict(settings), run)[0])
        model.check(dataset.items, dataset.users)
        needed = memory_needed(dataset, model)
    except BadInput as fault:
        said = str(fault)
        field = said.partition("=")[0]
        if field not in {*settings, "seed", "device"}:  # a text that cannot be read is quoted
            field = next((key for key, text in settings.items() if repr(text) in said), "")
        faults[field] = said
    return Asked(wanted, device, faults, needed)


def _train(dataset: Dataset) -> None:
    asked = ask(dataset)  # what was typed last may not have been drawn
    if not asked.faults:
        runs.start(dataset, asked.wanted, asked.device)


def _search(dataset: Dataset) -> None:
    asked = ask(dataset)
    if not asked.faults:
        runs.search(dataset, asked.wanted, asked.device, st.session_state["trials"])


def start(dataset: Dataset, asked: Asked) -> None:
    """Draw the buttons that start a training or a search, and what they amount to."""
    wanted, wrong = asked.wanted, [name.replace("_", " ") or "the model" for name in asked.faults]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        clicked = st.button(
            "Train",
            type="primary",
            icon=":material/play_arrow:",
            disabled=bool(wrong),
            on_click=_train,
            args=(dataset,),
            key="train",
        )
        if wrong:
            st.caption(f"Correct {', '.join(wrong)} first.")
        elif asked.needed > LARGE:
            st.caption(f"Takes about {asked.needed / 1e9:.1f} GB of memory.")
    if MODELS[wanted.model].Config.__dataclass_fields__:
        with st.expander("Let a search find the settings", icon=":material/manage_search:"):
            st.caption("Each trial trains on a part and is judged on validation; what you set above stays as it is.")
            with st.container(horizontal=True, vertical_alignment="bottom"):
                st.slider("Trials", *TRIALS, value=20, step=5, key="trials", persist_state="session")
                clicked |= st.button("Search", disabled=bool(wrong), on_click=_search, args=(dataset,))
    with st.expander("The same on the command line", icon=":material/terminal:"):
        flags = recipes.flags(dataset, wanted, asked.device)
        st.code(recipes.command_line(dataset, ["train", wanted.model], flags), language="bash", wrap_lines=True)
    if clicked:
        st.rerun()  # the callback has started it; now the rest of the page shows it


def watch(dataset: Dataset) -> None:
    """Draw the run that is looked at: how it goes while it goes, else how it went; and the curves of those shown."""
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
        live(job.id, dataset)
    else:
        look(job, dataset)


@st.fragment(run_every=jobs.TICK)
def live(id: str, dataset: Dataset) -> None:
    """Draw a running job again and again; when it is over, the whole page once."""
    job = jobs.jobs().get(id)
    if job is None or not job.active:
        st.rerun()
    look(job, dataset)


def look(job: Job, dataset: Dataset) -> None:
    """Draw one run: its figures, its bar or its end, and the curves."""
    runs.headline(job)
    if job.active:
        jobs.progress_bar(job, with_title=False)
    elif job.state is JobState.DONE:
        runs.finished(job)
    else:
        jobs.ended_badly(job, lambda: runs.again_button(job, dataset))
    if job.kind == "tune":
        outcomes.trials(job)
    # of a search, the curves of the trial that runs
    curves.draw([run for run in runs.shown(dataset) if run.kind == "train" or run.active])


with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=420):
        dataset = sidebar.dataset()
    with st.container(key="bench-in-use" if runs.focus(dataset) else "bench"):
        left, right = st.columns([5, 7], gap="large")
        with left:
            settings_form(dataset)
        with right, st.container(border=True, key="watch"):
            watch(dataset)
    outcomes.compare(runs.shown(dataset))
    runs.listing(dataset)
    with st.expander("How to read the curves", icon=":material/function:"):
        st.markdown(curves.EXPLANATION)
    sidebar.show_model_status(dataset)
