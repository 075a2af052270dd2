"""Jobs as the pages show them: one registry for all sessions, the progress of one, and how it ended."""

from __future__ import annotations

import os
import re
from pathlib import Path

import streamlit as st

from pages.hosting.visitor import visitor_id
from pages.ui import messages
from pages.ui.escape import markdown
from recengine import settings
from recengine.export import nouns
from recengine.jobs.events import EpochEvent
from recengine.jobs.job import Job, JobKind, JobState
from recengine.jobs.jobs import Jobs
from recengine.jobs.progress import Progress, progress_of
from recengine.models.registry import MODELS

TICK = 0.7
"""Seconds after which a page looks at a running job again."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _jobs(root: bytes) -> Jobs:
    return Jobs(Path(os.fsdecode(root)))


def jobs() -> Jobs:
    """Return the one registry of jobs."""
    return _jobs(os.fsencode(settings.home() / "jobs"))  # bytes: not every path is UTF-8, which a cache expects


def visible(*kinds: JobKind) -> list[Job]:
    """Return the jobs that this session may see, the latest first."""
    return [job for job in jobs().all(*kinds) if job.owner in ("", visitor_id())]


def progress(job: Job) -> Progress:
    """Return the progress of a job, or how many others it waits for."""
    if job.state is not JobState.QUEUED:
        now = progress_of(jobs().events(job.id), job.spent)
        now = now._replace(text=_with_titles(now.text))
        paused = job.state is JobState.PAUSED
        return now._replace(text=f"paused · {now.text}", seconds_left=None) if paused else now
    ahead = jobs().ahead(job)
    return Progress(0.0, f"waiting for {ahead} other {nouns(ahead, 'jobs')}" if ahead else "starting", None)


def _with_titles(text: str) -> str:
    """Return the progress of a job with the usual names of its models."""
    return re.sub(r"[\w-]+", lambda word: MODELS[word[0]].title if word[0] in MODELS else word[0], text)


def _heading(job: Job, now: Progress) -> tuple[str, ...]:
    """Return the title of a job and its progress, as Markdown; a training has no steps to name but its epochs."""
    title, text = markdown(job.title), markdown(now.text)
    if job.kind != JobKind.TRAIN or job.state is JobState.QUEUED:
        return title, text
    has_epochs = any(isinstance(event, EpochEvent) for event in jobs().events(job.id))
    return (f"Training {title}", text) if has_epochs else (f"Training {title}",)


def _time_left(now: Progress) -> str:
    return "" if now.seconds_left is None else f"at most {duration(max(1.0, now.seconds_left))} left"


def duration(seconds: float) -> str:
    """Return a length of time in the unit that reads best."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


@st.fragment(run_every=TICK)
def follow(job: Job) -> None:
    """Draw the job's progress and a way to cancel it; rerun the page once when it ends."""
    now = jobs().get(job.id)
    if now is None or not now.active:
        st.rerun()
    progress_bar(now)


def progress_bar(job: Job, *, with_title: bool = True) -> None:
    """Draw the progress of a job with its buttons; `with_title` adds its title and the time left."""
    now = progress(job)
    with st.container(horizontal=True, vertical_alignment="center", key=f"job-{job.id}"):
        parts = (*_heading(job, now), _time_left(now)) if with_title else (markdown(now.text),)
        st.progress(min(max(now.share, 0.0), 1.0), " · ".join(filter(None, parts)))
        if job.state is JobState.PAUSED:
            st.button(
                "Resume", on_click=jobs().resume, args=(job.id,), key=f"go_{job.id}", icon=":material/play_arrow:"
            )
        elif job.state is JobState.RUNNING and job.can_pause:
            st.button("Pause", on_click=jobs().pause, args=(job.id,), key=f"pause_{job.id}", icon=":material/pause:")
        st.button("Cancel", on_click=jobs().cancel, args=(job.id,), key=f"cancel_{job.id}", icon=":material/close:")


def ended_badly(job: Job, again: messages.Action, *, kept: str = "nothing was saved") -> None:
    """Draw why a job has no result, and the way to run it again."""
    if job.state is JobState.CANCELLED:
        st.info(f"{markdown(job.title)} was cancelled; {kept}.", icon=":material/info:")
    else:
        st.error(
            f"{markdown(job.title)} failed. {markdown(messages.as_sentence(reason(job)))}", icon=":material/error:"
        )
    again()


def reason(job: Job) -> str:
    """Return why a job failed: the last message of its process."""
    if job.error:
        return job.error
    last = f"; its last message was “{_with_titles(job.last_line)}”" if job.last_line else " without a message"
    return f"its process ended{last}"
