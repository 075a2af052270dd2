"""Live: ratings replayed in the order of time: each model guesses before every one, and learns after it."""

from __future__ import annotations

import json

import streamlit as st

from pages.ui import jobs, messages, replay, sidebar, visitor_ratings
from pages.ui.datasets import liked_from
from pages.ui.task_form import Choice, Models, TaskForm
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.evaluation.stream_report import StreamReport
from recengine.export import counted, csv_text, json_ready, nouns
from recengine.jobs.job import JOB_DIR, PAUSE_FILE, Job, JobState, Task
from recengine.models.registry import MODELS, REPLAYED_FIRST, RUNNING_COUNT

MOST = 7
"""Models that run with the count; together they are as many as there are colours."""
KINDS = ("top", "liked", "all")
"""Ratings to replay."""
EVENTS = ("5000", "20000", "100000", "all")
"""Events to replay at most, after those that the models start from."""
SPEEDS = {
    "full": "as fast as they can",
    "1000": "at 1,000 events a second",
    "200": "at 200 events a second",
    "50": "at 50 events a second",
}
ROWS = 1_000_000
"""Most rows of the table of all events, one for each event and model; a larger one is not written."""


def make_form(dataset: Dataset) -> TaskForm:
    """Return the form for this data."""
    words = words_of(dataset)
    incremental = [name for name, kind in MODELS.items() if "incremental" in kind.abilities]
    return TaskForm(
        dataset,
        "stream",
        "Replay with",
        Models(
            name="replayed",
            label="Models to test (against a simple count)",
            default=list(REPLAYED_FIRST),
            options=[name for name in incremental if name != RUNNING_COUNT],
            most=MOST,
            placeholder="One or more",
        ),
        (
            Choice(
                name="ratings",
                label=f"{words.ratings.capitalize()} to replay",
                default="all" if words.is_implicit else "top",
                options=KINDS,
                text_of=lambda kind: describe_kind(dataset, kind),
            ),
            Choice(
                name="events",
                label="Most events",
                default="20000",
                options=EVENTS,
                text_of=lambda text: text if text == "all" else f"{int(text):,}",
                flags=lambda task: () if task.options["events"] == "all" else ("--events", task.options["events"]),
            ),
            Choice(
                name="speed",
                label="Speed",
                default="1000",
                options=list(SPEEDS),
                text_of=SPEEDS.__getitem__,
                flags=lambda task: () if task.options["speed"] == "full" else ("--pace", task.options["speed"]),
                names_result=False,
            ),
        ),
        model_flag="--model",
        positive=lambda task: lowest_rating(dataset, task.options["ratings"]),
    )


def lowest_rating(dataset: Dataset, kind: str) -> float:
    """Return the rating from which on an event is replayed."""
    low, high = dataset.rating_range
    if kind == "all" or low == high:
        return 0.0
    return high if kind == "top" else liked_from(dataset)


def describe_kind(dataset: Dataset, kind: str) -> str:
    """Return the ratings that are replayed, in words, with their number."""
    lowest = lowest_rating(dataset, kind)
    count = int((dataset.ratings.rating >= lowest).sum()) if lowest else len(dataset.ratings)
    words = words_of(dataset)
    if not lowest:
        return f"{counted(count, words.ratings)}, {'all of them' if words.is_implicit else 'whatever the stars'}"
    stars = words.amount(lowest) if lowest == dataset.rating_range[1] else words.at_least(lowest)
    return f"{counted(count, words.ratings)} of {stars}"


def draw_form(form: TaskForm, task: Task, running: Job | None) -> None:
    """Draw the form, and the button that starts the replay, unless it is `running`."""
    dataset = form.dataset
    with st.container(border=True, key="form"):
        form.draw(columns=3, width=200)
        if count := len(rated_by_visitor(dataset, task)):
            label = f"Mix in my {counted(count, 'ratings')}, spread over the stream"
            st.toggle(
                label,
                key="mix",
                help=words_of(dataset).say("They are replayed as the viewer “guest”. Only you see this replay."),
            )
        disabled = not task.models or running is not None
        form.draw_start(task, "Replay", ":material/play_arrow:", start, disabled=disabled)
        if not task.models:
            messages.field_error("choose at least one model to test")
        if running is not None and running.task.options["speed"] != task.options["speed"]:
            st.caption(f"It is running {SPEEDS[running.task.options['speed']]}. Cancel it to replay at another speed.")
        if not dataset.timed:
            st.caption("This data has no timestamps, so it is replayed in the order of its rows.")
        elif dataset.simulated:
            st.caption("A demonstration on simulated people: these viewers and times are not real.")


def rated_by_visitor(dataset: Dataset, task: Task) -> list[tuple[str, float]]:
    """Return (item id, rating) of the visitor's ratings that the replay would take, in the order of rating."""
    lowest = lowest_rating(dataset, task.options["ratings"])
    rated = [(i, dataset.in_scale(stars, lowest)) for i, stars in visitor_ratings.current(dataset).stars.items()]
    return [(dataset.films[item][0], rating) for item, rating in rated if rating >= lowest]


def mixed_in(dataset: Dataset, task: Task) -> str:
    """Return the visitor's ratings as CSV if they are to be mixed in, else ""."""
    rows = rated_by_visitor(dataset, task) if st.session_state.get("mix") else []
    return csv_text(("item_id", "rating"), rows) if rows else ""


@messages.toast_errors
def start(task: Task) -> None:
    """Start the replay. For callbacks."""
    dataset = sidebar.dataset()
    events = task.options["events"]
    n_events = len(dataset.ratings) if events == "all" else int(events)
    mix = mixed_in(dataset, task)
    arguments = ["--hold", f"{JOB_DIR}/{PAUSE_FILE}"]
    if n_events * (2 * len(task.models) + 1) <= ROWS:  # those that learn have a copy that does not
        arguments += ["--out", f"{JOB_DIR}/events.csv"]
    if mix:
        arguments += ["--mix", f"{JOB_DIR}/mine.csv"]
    make_form(dataset).start(task, arguments, files={"mine.csv": mix.encode()} if mix else None, more=mix)


@st.fragment(run_every=jobs.TICK)
def watch(id: str, dataset: Dataset) -> None:
    """Draw a running replay again and again; when it is over, the whole page once."""
    job = jobs.jobs().get(id)
    if job is None or not job.active:
        st.rerun()
    jobs.progress_bar(job, with_title=False)
    events = replay.events_of(job)
    replay.draw_figures(events)
    if not events:
        st.caption("The models are learning from the earliest fifth of the ratings first.")
        return
    replay.draw(events, words_of(dataset))
    replay.latest(dataset, events)


def draw_result(job: Job, dataset: Dataset, result: StreamReport) -> None:
    """Draw the result of a replay."""
    events = replay.events_of(job)
    replay.verdict(result, words_of(dataset))
    replay.draw(events, words_of(dataset), result)
    replay.groups(result, words_of(dataset))
    replay.latest(dataset, events)
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
        text = json.dumps(json_ready(result.to_dict()), ensure_ascii=False)
        icon = ":material/download:"
        st.download_button("JSON", text, "stream.json", "application/json", icon=icon, on_click="ignore")


with messages.catch_bad_input(messages.start_again_link):
    with st.skeleton(height=420):
        form = make_form(sidebar.dataset())
    words = words_of(form.dataset)
    one = nouns(1, words.ratings)
    task = form.recall(sidebar.choice().device)
    job = form.find(task, mixed_in(form.dataset, task))
    result = None
    if job is not None and job.state is JobState.DONE:
        result = jobs.jobs().result(job.id, StreamReport.from_dict)
    draw_form(form, task, job if job is not None and job.active else None)
    if job is None or (job.state is JobState.DONE and result is None):
        form.draw_first(
            task,
            "Nothing replayed yet",
            f"Before each {one}, every model ranks the {words.item}. Then it learns from the {one}.",
            start,
        )
    elif job.active:
        watch(job.id, form.dataset)
    elif result is not None:
        draw_result(job, form.dataset, result)
    else:
        events = replay.events_of(job)
        jobs.ended_badly(
            job,
            lambda: st.button("Run it again", type="primary", on_click=start, args=(task,)),
            kept="the results so far are below" if events else "nothing had been replayed yet",
        )
        if events:
            replay.draw(events, words_of(form.dataset))
    with st.expander("How to read this", icon=":material/function:"):
        st.markdown(words_of(form.dataset).say(replay.EXPLANATION))
    sidebar.show_model_status(form.dataset)
