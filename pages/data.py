"""Data: the loaded data set and its distributions, the registered data sets, and a visitor's upload."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from pages.hosting.visitor import check_limit
from pages.ui import charts, datasets, exports, messages, reading_form, sidebar
from pages.ui.address import link
from pages.ui.escape import html, markdown
from pages.ui.jobs import ended_badly, follow, jobs
from pages.ui.words import words_of
from recengine import settings
from recengine.data import sources
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.export import counted
from recengine.jobs.job import JobKind, JobState


def overview(dataset: Dataset) -> None:
    """Draw the counts."""
    r, words = dataset.ratings, words_of(dataset)
    rated = int((r.item_counts > 0).sum())
    with st.grid(5, min_column_width=150, gap="small", key="counts"):
        st.metric(words.ratings.capitalize(), f"{len(r):,}", border=True)
        st.metric(words.viewers.capitalize(), f"{dataset.n_users:,}", border=True)
        st.metric(
            words.items.capitalize(),
            f"{dataset.n_items:,}",
            border=True,
            help=f"{rated:,} of them have {words.ratings}",
        )
        density = len(r) / (dataset.n_users * dataset.n_items)
        st.metric(
            "Density", f"{density:.2%}", border=True, help=words.say("Share of all viewer–film pairs that the data has")
        )
        st.metric(
            f"Per {words.viewer}",
            f"{np.median(r.user_counts):,.0f}",
            border=True,
            help=f"Median number of {words.ratings}",
        )


def spread(dataset: Dataset) -> None:
    """Draw the four distributions."""
    counts = np.sort(dataset.ratings.item_counts)[::-1]
    fifth = counts[: max(1, round(len(counts) * 0.2))].sum() / counts.sum()
    low, high = dataset.rating_range
    mean = float(dataset.ratings.rating.mean())
    words = words_of(dataset)
    ratings = "Amounts" if words.is_implicit else "Ratings"
    invented = ", simulated" if dataset.simulated else ""
    top = f"The most popular fifth of the {words.items} has {fifth:.0%} of the {words.ratings}."
    parts = [
        (ratings, f"From {low:g} to {words.amount(high)}, {mean:.2f} on average{invented}.", charts.ratings),
        ("Popularity", top, charts.popularity),
    ]
    if words.is_film:
        parts += [
            ("Genres", "Films by genre; a film may have several.", charts.genres),
            ("Years", "Films by decade.", charts.years),
        ]
    with st.grid(2, min_column_width=300, gap="small", key="spread"):
        for name, text, draw in parts:
            with st.container(border=True, height="stretch", key=f"chart-{name.lower()}"):
                st.html(f'<div class="chart-head"><h2>{name}</h2><p>{html(text)}</p></div>')
                draw(dataset)


def report(dataset: Dataset) -> None:
    """Draw the import summary and the licence."""
    lines = "".join(f"<li>{html(line)}</li>" for line in dataset.cleaning.lines(words_of(dataset).ratings))
    terms = f"<p>{html(dataset.licence)}</p>" if dataset.licence else ""
    st.html(f'<section class="notebook"><h3>Import summary</h3><ul>{lines}</ul>{terms}</section>')


@messages.toast_errors
def _fetch(name: str) -> None:
    check_limit("job")
    job = jobs().start(["datasets", "fetch", name], kind=JobKind.FETCH, title=f"Fetching {name}", key=f"fetch {name}")
    st.session_state["fetching"] = job.id


def fetched() -> None:
    """Draw the fetches that run or wait, of any visitor, and how this session's last one ended."""
    requested = st.session_state.get("fetching")
    for job in jobs().all(JobKind.FETCH):
        if job.active:
            follow(job)
        elif job.id == requested and job.state is JobState.DONE:
            st.success(f"{markdown(job.command[-1])} is ready to use.", icon=":material/check_circle:")
        elif job.id == requested:
            ended_badly(job, partial(st.button, "Try again", on_click=_fetch, args=(job.command[-1],)))


def catalogue() -> None:
    """Draw the registered data sets, each with a button to use or fetch it."""
    chosen = sidebar.choice().data
    for info in sources.SOURCES.values():
        with st.container(border=True, height="stretch", key=f"set-{info.name}"):
            size = f" · {info.size / 1e6:,.0f}\N{NO-BREAK SPACE}MB" if info.size >= 1e6 else ""
            st.html(
                f'<div class="set"><h3>{html(info.title)} <code>{html(info.name)}</code></h3>'
                f'<p class="meta">{info.n_ratings:,} ratings · {info.n_users:,} viewers · '
                f"{info.n_items:,} films{size}</p>"
                f"<details><summary>Terms of use</summary><p>{html(info.licence)}</p></details></div>"
            )
            if info.name == chosen:
                st.button("In use", key=f"use_{info.name}", disabled=True, icon=":material/check:")
            elif sources.is_present(info.name):
                st.button("Use", key=f"use_{info.name}", on_click=sidebar.choose, args=("data", info.name))
            else:
                st.button(
                    "Fetch", key=f"fetch_{info.name}", on_click=_fetch, args=(info.name,), icon=":material/download:"
                )


def upload() -> None:
    """Draw the upload of a file, and what it would be read as before it is used."""
    state = st.session_state
    file = st.file_uploader(
        "Upload your own ratings or events",
        type=list(sources.UPLOAD_SUFFIXES),
        key=f"upload {state.get('uploads used', 0)}",
        help="A table with one rating or event per row, or one user per row and one item per column; or a zip with "
        "`ratings.csv` and `movies.csv`. Only you can see it.",
    )
    if file is None:
        state.pop("draft", None)
        return
    draft = state.get("draft")
    if draft is None or draft.id != file.file_id:
        try:
            check_limit("upload")
        except BadInput as error:
            messages.error(messages.bad_input_message(error), messages.start_again_link)
            return
        with st.spinner("Reading and checking every row"):
            draft = state["draft"] = reading_form.Draft.of(file.file_id, file.name, file.getvalue())
    if not draft.shown.names and draft.shown.problem is not None:
        messages.error(messages.bad_input_message(draft.shown.problem), reading_form.example_button)
        return
    reading_form.draw(draft, use_upload)


@messages.toast_errors
def use_upload() -> None:
    """Keep the upload and make it the data set of all pages. For callbacks."""
    state = st.session_state
    draft: reading_form.Draft = state["draft"]
    name, positive = reading_form.use(draft), reading_form.liked(draft)
    sidebar.choose("data", name)
    if positive is not None:
        datasets.set_liked(positive)
    del state["draft"]
    state["uploads used"] = state.get("uploads used", 0) + 1


@messages.toast_errors
def _forget(name: str) -> None:
    sidebar.choose("data", settings.default_dataset())
    datasets.forget(name)


def in_use(dataset: Dataset) -> None:
    """Draw that an upload is in use, how it was read, and where to go from here."""
    name = sidebar.choice().data
    words = words_of(dataset)
    with st.container(border=True, key="in use"):
        st.success(
            f"{markdown(datasets.label(name))} is in use: {counted(len(dataset.ratings), words.ratings)} by "
            f"{counted(dataset.n_users, words.viewers)} of {counted(dataset.n_items, words.items)}. "
            "Only you can see it.",
            icon=":material/check_circle:",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            link("compare.py", "Compare models on it", icon=":material/leaderboard:")
            link("viewers.py", "See what it recommends", icon=":material/arrow_forward:")
            st.button("Delete it", on_click=_forget, args=(name,), icon=":material/delete:", key="forget upload")


def liked(dataset: Dataset) -> None:
    """Draw what counts as liked on this data set, for all pages."""
    positive = datasets.liked_from(dataset)
    with st.container(border=True, key="liked from"):
        left, right = st.columns([1, 3], vertical_alignment="bottom")
        with left:
            key = f"liked from {dataset.fingerprint} {positive:g}"
            st.number_input(
                "Liked from", *datasets.limits(dataset), value=positive, step=0.5, format="%g", key=key,
                on_change=lambda: datasets.set_liked(st.session_state[key]),
                help="What models learn from and are tested on, on every page. 0: every row counts.",
            )  # fmt: skip
        with right:
            st.caption(markdown(datasets.liked_text(dataset, positive)))


with messages.catch_bad_input(messages.start_again_link):
    upload()
    with st.skeleton(height=420):
        dataset = sidebar.dataset()
    if datasets.is_upload(sidebar.choice().data):
        in_use(dataset)
    if dataset.simulated:
        st.html(
            '<p class="simulated"><b>The films are real, the viewers are simulated.</b> Their ratings come from a '
            "documented taste model with a fixed seed, so that everything works without a network. Fetch a MovieLens "
            "data set below for ratings by real people.</p>"
        )
    overview(dataset)
    liked(dataset)
    spread(dataset)
    report(dataset)
    exports.draw_dataset(dataset)
    st.html('<h2 class="row-title">Data sets</h2>')
    fetched()
    with st.grid(2, min_column_width=300, gap="small", key="sets"):
        catalogue()
    for citation in dict.fromkeys(source.citation for source in sources.SOURCES.values() if source.citation):
        st.caption(f"Please cite: {citation}")
    sidebar.show_model_status(dataset)
