"""Jobs as the pages see them: one registry for all sessions, a fragment that follows one, how one ended in words."""

from __future__ import annotations

import uuid
from ipaddress import ip_address
from pathlib import Path

import streamlit as st

from pages.hosting import identity
from pages.hosting.limits import Buckets
from pages.hosting.logs import tell
from pages.ui import messages
from pages.ui.escape import markdown
from recengine import settings
from recengine.errors import BadInput
from recengine.jobs.job import Job, JobState
from recengine.jobs.jobs import Jobs
from recengine.jobs.progress import Progress, progress_of

TICK = 0.7
"""Seconds between two looks of a page at a running job."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _jobs(root: str) -> Jobs:
    return Jobs(Path(root))


def jobs() -> Jobs:
    """Return the one registry of jobs."""
    return _jobs(str(settings.home() / "jobs"))


def visitor() -> str:
    """Return who this is: who has signed in, or else whoever holds this browser's cookie, in every tab.

    Nothing in the address can name another visitor.
    """
    return account() or browser()


def browser() -> str:
    """Return the visitor of the signed cookie; a browser that keeps no cookies is a new one in each session."""
    if "visitor" not in st.session_state:
        token = st.context.cookies.get(identity.COOKIE)
        known = identity.read(token) if isinstance(token, str) else None  # without a browser there are no cookies
        st.session_state["visitor"] = known or uuid.uuid4().hex
        tell("a visit began")
    return st.session_state["visitor"]


@st.cache_resource(show_spinner=False)
def has_provider() -> bool:
    """Return whether the secrets, as they were when the app started, name an identity provider."""
    return bool(st.secrets.load_if_toml_exists() and "auth" in st.secrets)


def account() -> str | None:
    """Return the visitor who has signed in with an identity provider, by its issuer and subject; None for nobody."""
    if not has_provider():
        return None
    who = st.user.to_dict()
    issuer, subject = who.get("iss"), who.get("sub")
    if not who.get("is_logged_in") or not isinstance(issuer, str) or not isinstance(subject, str):
        return None
    return identity.account(issuer, subject)


@st.cache_resource(show_spinner=False)
def _buckets() -> Buckets:
    return Buckets()


def allow(kind: str, count: int = 1) -> None:
    """Count what this visitor asks for. Raises BadInput, in a hosted app alone, when it is more than their share."""
    if settings.hosted():
        try:
            _buckets().take(kind, visitor(), client(), count=count)
        except BadInput:
            tell("a limit was reached", count=count)
            raise


def client() -> str:
    """Return the address that the visitor comes from, or "": a private one is a proxy's, behind which is everybody."""
    address = st.context.ip_address
    try:
        return str(address) if ip_address(str(address)).is_global else ""
    except ValueError:  # there is none
        return ""


def visible(*kinds: str) -> list[Job]:
    """Return the jobs that this session may see, the latest first."""
    return [job for job in jobs().all(*kinds) if job.owner in ("", visitor())]


def progress(job: Job) -> Progress:
    """Return how far a job is, and while it waits, what for."""
    if job.state is not JobState.QUEUED:
        how = progress_of(jobs().events(job.id), job.spent)
        paused = job.state is JobState.PAUSED
        return how._replace(text=f"paused · {how.text}", seconds_left=None) if paused else how
    ahead = jobs().ahead(job)
    return Progress(0.0, f"waiting for {ahead} other job{'s' if ahead > 1 else ''}" if ahead else "starting", None)


def time_left(how: Progress) -> str:
    """Return the time left in words, or ""."""
    return "" if how.seconds_left is None else f"at most {duration(max(1.0, how.seconds_left))} left"


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


@st.fragment(run_every=TICK)
def show(job: Job) -> None:
    """Draw the job's progress and a way to cancel it; rerun the page once when it ends."""
    now = jobs().get(job.id)
    if now is None or not now.active:
        st.rerun()
    bar(now)


def bar(job: Job, *, whole: bool = True) -> None:
    """Draw how far a job is, with a way to cancel it; not `whole` where its title and time left stand beside it."""
    how = progress(job)
    with st.container(horizontal=True, vertical_alignment="center", key=f"job-{job.id}"):
        said = (markdown(job.title), markdown(how.text), time_left(how)) if whole else (markdown(how.text),)
        st.progress(min(max(how.share, 0.0), 1.0), " · ".join(filter(None, said)))
        if job.state is JobState.PAUSED:
            st.button("Go on", on_click=jobs().resume, args=(job.id,), key=f"go_{job.id}", icon=":material/play_arrow:")
        elif job.state is JobState.RUNNING and job.can_pause:
            st.button("Pause", on_click=jobs().pause, args=(job.id,), key=f"pause_{job.id}", icon=":material/pause:")
        st.button("Cancel", on_click=jobs().cancel, args=(job.id,), key=f"cancel_{job.id}", icon=":material/close:")


def ended_badly(job: Job, again: messages.Action, *, kept: str = "nothing half-made was kept") -> None:
    """Draw why a job has no result, and the way to run it again."""
    if job.state is JobState.CANCELLED:
        st.info(f"{markdown(job.title)} was cancelled; {kept}.", icon=":material/info:")
    else:
        st.error(
            f"{markdown(job.title)} failed. {markdown(messages.as_sentence(reason(job)))}", icon=":material/error:"
        )
    again()


def reason(job: Job) -> str:
    """Return why a job failed: what its process said last."""
    if job.error:
        return job.error
    last = f"; the last it said was “{job.last_line}”" if job.last_line else " without a word"
    return f"its process ended{last}"
