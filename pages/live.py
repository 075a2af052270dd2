"""Live: ratings replayed in the order of time; before each one the models are asked, after it they learn."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import NamedTuple

import streamlit as st

from pages.ui import jobs, messages, recipes, replay, sidebar, visitor_ratings
from pages.ui.address import recall, record
from recengine.data.dataset import Dataset
from recengine.export import csv_text
from recengine.jobs.job import JOB_DIR, PAUSE_FILE, Job, JobState
from recengine.jobs.job import Task as JobTask
from recengine.models.registry import MODELS, REPLAYED_FIRST, RUNNING_COUNT

MOST = 7
"""Models that run beside the count: with it, as many as there are colours."""
KINDS = ("top", "liked", "all")
"""Ratings that are replayed."""
EVENTS = ("5000", "20000", "100000", "all")
"""Events that are replayed at most, after those that the models start from."""
SPEEDS = {
    "full": "as fast as they can",
    "1000": "at 1,000 events a second",
    "200": "at 200 events a second",
    "50": "at 50 events a second",
}
DEFAULTS = {"ratings": "top", "events": "20000", "speed": "1000"}
ROWS = 1_000_000
"""Rows of the table of all events, one for each event and model, beyond which it is not written."""


class Task(NamedTuple):
    """What is replayed before whom."""

    models: tuple[str, ...]
    kind: str
    events: str
    speed: str

    def arguments(self, dataset: Dataset, device: str) -> list[str]:
        """Return the arguments of `stream` beside the data set and the speed."""
        models = [part for name in self.models for part in ("--model", name)]
        most = [] if self.events == "all" else ["--events", self.events]
        flags = recipes.flags(dataset, {}, 0, device, positive=least(dataset, self.kind))
        return [*models, *flags, "-k", str(replay.K), *most]

    @property
    def pace(self) -> list[str]:
        return [] if self.speed == "full" else ["--pace", self.speed]


def least(dataset: Dataset, kind: str) -> float:
    """Return the rating from which on an event is replayed."""
    low, high = dataset.rating_range
    if kind == "all" or low == high:
        return 0.0
    return high if kind == "top" else recipes.positive_threshold(dataset)


def incremental() -> list[str]:
    """Return the models that learn from single events, but for the count, which runs anyway."""
    return [name for name, kind in MODELS.items() if "incremental" in kind.abilities and name != RUNNING_COUNT]


def task(dataset: Dataset) -> Task:
    """Return what the form asks for; the address and the session say it before the form is drawn."""
    known, state = incremental(), st.session_state
    recall("replayed", list(REPLAYED_FIRST), lambda text: _models(text, known))
    for name, options in (("ratings", KINDS), ("events", EVENTS), ("speed", tuple(SPEEDS))):
        recall(name, DEFAULTS[name], lambda text, options=options: text if text in options else None)  # type: ignore[misc]
    return Task(tuple(state["replayed"]), state["ratings"], state["events"], state["speed"])


def _models(text: str, known: list[str]) -> list[str] | None:
    """Return the models that an address names; none where it names none, None where it is wrong."""
    return [name for name in text.split(",") if name in known][:MOST] or (None if text else [])


def _record(name: str) -> None:
    """Put a choice into the address. For callbacks, and after its widget is drawn."""
    if name == "replayed":
        record(name, list(REPLAYED_FIRST), ",".join)
    else:
        record(name, DEFAULTS[name])


def form(dataset: Dataset, asked: Task, running: Job | None) -> None:
    """Draw what can be chosen, and the button that starts it, unless it is `running`."""

    def kind_said(kind: str) -> str:
        lowest = least(dataset, kind)
        count = int((dataset.ratings.rating >= lowest).sum()) if lowest else len(dataset.ratings)
        stars = f"{lowest:g} ★" if lowest == dataset.rating_range[1] else f"{lowest:g} ★ or more"
        return f"{count:,} ratings of {stars}" if lowest else f"{count:,} ratings, whatever the stars"

    with st.container(border=True, key="form"):
        st.multiselect(
            "Models, beside the running count",
            incremental(),
            key="replayed",
            format_func=recipes.label,
            max_selections=MOST,
            on_change=_record,
            args=("replayed",),
            placeholder="One or more",
        )
        with st.grid(3, min_column_width=200, gap="small"):
            for name, title, options, said in (
                ("ratings", "What is replayed", KINDS, kind_said),
                ("events", "Events at most", EVENTS, lambda text: text if text == "all" else f"{int(text):,}"),
                ("speed", "Speed", tuple(SPEEDS), SPEEDS.__getitem__),
            ):
                st.selectbox(title, options, key=name, format_func=said, on_change=_record, args=(name,))
        if count := len(mine(dataset, asked.kind)):
            label = f"Mix in my own {count} ratings, spread over the stream"
            st.toggle(label, key="mix", help="They stand there as of the person “guest”; only you see this replay.")
        for name in ("replayed", *DEFAULTS):
            _record(name)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Replay",
                type="primary",
                icon=":material/play_arrow:",
                on_click=start,
                args=(dataset, asked),
                disabled=not asked.models or running is not None,
                key="replay",
            )
            with st.popover("On the command line", icon=":material/terminal:"):
                st.code(command(dataset, asked), language="bash", wrap_lines=True)
        if not asked.models:
            st.html('<p class="fault" role="alert">Choose at least one model to run beside the count.</p>')
        if running is not None and running.task.options["speed"] != asked.speed:
            st.caption(f"It runs {SPEEDS[running.task.options['speed']]}; cancel it to replay it at another speed.")
        if not dataset.timed:
            st.caption("This data has no timestamps: the order of its rows stands for time.")
        elif dataset.simulated:
            st.caption("People and times are simulated here: this shows how a stream works, not how people are.")


def mine(dataset: Dataset, kind: str) -> list[tuple[str, float]]:
    """Return (item id, rating) of what the visitor rated and such a replay takes, in the order of rating."""
    rated = [(i, dataset.in_scale(stars)) for i, stars in visitor_ratings.current(dataset).stars.items()]
    return [(dataset.films[item][0], rating) for item, rating in rated if rating >= least(dataset, kind)]


def mixed_in(dataset: Dataset, asked: Task) -> str:
    """Return the visitor's ratings as CSV if they are to be mixed in, or else nothing."""
    rows = mine(dataset, asked.kind) if st.session_state.get("mix") else []
    return csv_text(("item_id", "rating"), rows) if rows else ""


def key_of(dataset: Dataset, asked: Task, device: str) -> str:
    """Return a name for the replay, the same at any speed."""
    versions = [MODELS[name].version for name in asked.models]
    said = json.dumps([dataset.fingerprint, versions, asked.arguments(dataset, device), mixed_in(dataset, asked)])
    return f"stream {hashlib.sha256(said.encode()).hexdigest()[:20]}"


def command(dataset: Dataset, asked: Task) -> str:
    """Return the command line that does the same."""
    parts = ["python", "-m", "recengine", "stream", "--dataset", dataset.name]
    return shlex.join([*parts, *asked.arguments(dataset, sidebar.choice().device), *asked.pace])


@messages.toast_errors
def start(dataset: Dataset, asked: Task) -> None:
    """Start the replay. For callbacks."""
    device = sidebar.choice().device
    events = len(dataset.ratings) if asked.events == "all" else int(asked.events)
    more = mixed_in(dataset, asked)
    written = events * (2 * len(asked.models) + 1) <= ROWS  # those that learn have a copy that does not
    recipes.start_on(
        dataset,
        ["stream"],
        [
            *asked.arguments(dataset, device),
            *asked.pace,
            *("--hold", f"{JOB_DIR}/{PAUSE_FILE}"),
            *(["--out", f"{JOB_DIR}/events.csv"] if written else []),
            *(["--mix", f"{JOB_DIR}/mine.csv"] if more else []),
        ],
        title=f"Replay for {', '.join(recipes.label(name) for name in asked.models)}"[:80],
        key=key_of(dataset, asked, device),
        task=JobTask(asked.models, device=device, options={"speed": asked.speed}),
        files={"mine.csv": more.encode()} if more else None,
    )


@st.fragment(run_every=jobs.TICK)
def live(id: str, dataset: Dataset) -> None:
    """Draw a running replay again and again; when it is over, the whole page once."""
    job = jobs.jobs().get(id)
    if job is None or not job.active:
        st.rerun()
    jobs.progress_bar(job, with_title=False)
    told = replay.told(job)
    replay.figures(told)
    if not told:
        st.caption("First the models learn from the earliest fifth of the ratings.")
        return
    replay.draw(told)
    replay.latest(dataset, told)


def look(job: Job, dataset: Dataset) -> None:
    """Draw what a replay came to."""
    told, result = replay.told(job), jobs.jobs().result(job.id) or {}
    replay.verdict(result)
    replay.draw(told, result)
    replay.groups(result)
    replay.latest(dataset, told)
    with st.container(horizontal=True, key="take-away"):
        if f"{JOB_DIR}/events.csv" in job.command:
            st.download_button(
                "All events, CSV",
                lambda: jobs.jobs().text(job.id, "events.csv") or "",
                "events.csv",
                "text/csv",
                icon=":material/download:",
                on_click="ignore",
            )
        text = json.dumps(result, ensure_ascii=False)
        icon = ":material/download:"
        st.download_button("JSON", text, "stream.json", "application/json", icon=icon, on_click="ignore")


with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=420):
        dataset = sidebar.dataset()
    asked = task(dataset)
    job = jobs.jobs().latest(key_of(dataset, asked, sidebar.choice().device))
    form(dataset, asked, job if job is not None and job.active else None)
    if job is not None and job.active:
        live(job.id, dataset)
    elif job is not None and job.state is JobState.DONE:
        look(job, dataset)
    elif job is not None:
        told, args = replay.told(job), (dataset, asked)
        jobs.ended_badly(
            job,
            lambda: st.button("Run it again", type="primary", on_click=start, args=args),
            kept="this is as far as it came" if told else "nothing had been replayed yet",
        )
        if told:
            replay.draw(told)
    else:
        messages.empty(
            "Nothing has been replayed here yet",
            "Each rating first asks the models where they would have ranked the film, then teaches them.",
            lambda: st.button(
                f"Replay for {', '.join(map(recipes.label, REPLAYED_FIRST))}",
                on_click=start,
                args=(dataset, asked._replace(models=REPLAYED_FIRST)),
                icon=":material/play_arrow:",
                key="replay first",
            ),
        )
    with st.expander("How to read this", icon=":material/function:"):
        st.markdown(replay.EXPLANATION)
    sidebar.show_model_status(dataset)
