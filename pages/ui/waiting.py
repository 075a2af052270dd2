"""What a page shows while a model trains: how far it is, about how long it takes, and popular films meanwhile."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.ui import cards, jobs
from pages.ui.escape import html
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.jobs.job import Job, JobState

SHOWN = 10


def draw(dataset: Dataset, job: Job) -> None:
    """Draw the progress of a training, its likely length, and the most rated films, each a link."""
    words = words_of(dataset)
    jobs.follow(job)
    st.html(f'<p class="status-line">{html(about_how_long(job))}</p><h2 class="row-title">Popular here meanwhile</h2>')
    counts = dataset.ratings.item_counts
    with st.grid(5, min_column_width=150, gap="medium", key="meanwhile"):
        for position, item in enumerate(np.argsort(-counts, kind="stable")[:SHOWN]):
            cards.card(
                cards.film(dataset, int(item)),
                key=f"meanwhile-{position}",
                note=f"{words.rated} by <b>{counts[item]:,}</b> {words.viewers}",
            )


def about_how_long(job: Job) -> str:
    """Return how long a training takes: as the last one of its kind here did, where there was one."""
    past = [
        other.spent
        for other in jobs.jobs().all(job.kind)
        if other.state is JobState.DONE and (other.task.model, other.task.data) == (job.task.model, job.task.data)
    ]
    if past:
        return f"The last time this took {jobs.duration(past[0])}. The page goes on by itself when it is done."
    return "This takes from a few seconds to a few minutes. The page goes on by itself when it is done."
