"""Work that outlives a rerun: one thread per job, whose progress every session can watch and cancel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from pages.ui.text import markdown

Report = Callable[[float, str], None]
Work = Callable[[Report], Any]


_KEPT = 8
"""Jobs that are over and still known, for those who watched them."""


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The person cancelled the job."""


class Job:
    """One piece of work in a thread. `work(report)` calls `report(share, note)`, which raises when cancelled."""

    def __init__(self, key: str, title: str, work: Work) -> None:
        self.key = key
        self.title = title
        self.share = 0.0
        self.note = ""
        self.result: Any = None
        self.error: Exception | None = None
        self._started = time.monotonic()
        self._cancel = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, name=title, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._work(self._report)
        except Exception as fault:
            self.error = fault

    def _report(self, share: float, note: str) -> None:
        if self._cancel.is_set():
            raise Cancelled
        self.share, self.note = min(max(share, 0.0), 1.0), note

    def cancel(self) -> None:
        """Ask the work to stop at its next report."""
        self._cancel.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether the job is over."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def eta(self) -> float | None:
        """Return the seconds left at the pace so far, or None while there is no telling."""
        spent = time.monotonic() - self._started
        return spent * (1 - self.share) / self.share if self.share > 0.02 and spent > 0.5 else None


class Jobs:
    """The jobs of this process by key; at most one of a key at a time."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, key: str, title: str, work: Work) -> Job:
        """Return the job of that key, starting it when it is not running."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.running:
                over = [other for other, done in self._jobs.items() if not done.running]
                for other in over[:-_KEPT]:
                    del self._jobs[other]
                job = self._jobs[key] = Job(key, title, work)
            return job

    def get(self, key: str) -> Job | None:
        """Return the running or last job of that key."""
        return self._jobs.get(key)

    def drop(self, key: str) -> None:
        """Forget a job that is over."""
        with self._lock:
            self._jobs.pop(key, None)


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """Return the one registry of jobs."""
    return Jobs()


def show(job: Job) -> None:
    """Draw the job's progress and a way to cancel it; rerun the page once when it ends."""
    _watch(job)


@st.fragment(run_every=0.5)
def _watch(job: Job) -> None:
    if not job.running or cancelled(job.key):
        st.rerun()
    left = f"at most {job.eta:,.0f} s left" if job.eta is not None else ""
    with st.container(horizontal=True, vertical_alignment="center", key="job"):
        st.progress(job.share, " · ".join(part for part in (markdown(job.title), job.note, left) if part))
        st.button("Cancel", on_click=_cancel, args=(job,), key="cancel_job")


def _cancel(job: Job) -> None:
    job.cancel()
    st.session_state["cancelled"] = job.key


def cancelled(key: str) -> bool:
    """Tell whether this session cancelled the job and has not asked for it again."""
    return st.session_state.get("cancelled") == key


def ask_again() -> None:
    """Forget that this session cancelled a job; for callbacks."""
    st.session_state.pop("cancelled", None)
