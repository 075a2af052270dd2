"""A visitor's ratings in and out: exports of other sites come in after a look at what they mean, and all goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter

import streamlit as st

from pages.hosting.logs import log_event
from pages.hosting.visitor import check_limit, visitor_id
from pages.ui import cards, messages, visitor_ratings
from pages.ui.escape import html, markdown
from pages.ui.visitor_ratings import VisitorRatings
from recengine.data.dataset import Dataset
from recengine.data.matching import Match, Matcher, MatchReport
from recengine.data.readers.exports import read_export
from recengine.errors import BadInput
from recengine.export import csv_text

FROM = {"letterboxd": "Letterboxd", "imdb": "IMDb", "movielens": "MovieLens", "csv": "your CSV"}
EXAMPLE = "title,year,rating,date\nThe Matrix,1999,4.5,2024-05-31\nSpirited Away,2001,★★★★★,2024-06-01\n"
ASKED, LISTED = 100, 200
"""Titles much alike that are asked about, and rows of a part of the report that are shown; its CSV has them all."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _matcher(fingerprint: str, _dataset: Dataset) -> Matcher:
    return Matcher(_dataset)


def draw_import(dataset: Dataset) -> None:
    """Draw the upload of an export, what became of its rows, and the button that keeps them."""
    state = st.session_state
    st.markdown(
        "Letterboxd (Settings, Data, Export: the zip or its `ratings.csv`), IMDb (Your ratings, Export), MovieLens, or "
        "a CSV with `title`, `year` and `rating`. Nothing is kept before you have seen what was found."
    )
    given = st.file_uploader(
        "Ratings from elsewhere", ["csv", "zip"], key=f"rate upload {state.get('rate uploads', 0)}"
    )
    if given is None:
        return
    out_of = int(state.get("rate out of") or 5)
    asked = (given.file_id, out_of, dataset.fingerprint)
    if state.get("rate asked") != asked:
        try:
            if state.get("rate asked", ("",))[0] != given.file_id:
                check_limit("upload")
            with st.spinner("Reading every row and looking for its film"):
                export = read_export(_label(given.name), given.getvalue(), out_of=out_of)
                state["rate found"] = _matcher(dataset.fingerprint, dataset).report(export)
        except BadInput as fault:
            state["rate found"] = str(fault)
        state["rate asked"] = asked
    found: MatchReport | str = state["rate found"]
    if isinstance(found, str):
        messages.error(
            found, lambda: st.download_button("Download an example", EXAMPLE, "mine.csv", icon=":material/download:")
        )
        return
    if found.source == "csv":
        st.segmented_control("The best rating in this file is", [5, 10, 100], default=5, key="rate out of")
    counts(found)
    wanted = [*found.matched, *confirmed(dataset, found, given.file_id)]
    details(dataset, found)
    with st.container(horizontal=True, vertical_alignment="center", key="import-actions"):
        st.button(
            f"Keep {len(wanted):,} rating{'' if len(wanted) == 1 else 's'}",
            type="primary",
            disabled=not wanted,
            on_click=keep,
            args=(dataset, found.source, wanted),
            key="import-keep",
        )
        st.download_button(
            "What became of every row",
            report_csv(dataset, found),
            "import.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def confirmed(dataset: Dataset, found: MatchReport, key: str) -> list[Match]:
    """Ask about films that are not certain, and return those that were confirmed."""
    wanted: list[Match] = []
    if found.by_number:
        first = found.by_number[0]
        sure = st.checkbox(
            f"{len(found.by_number):,} rows give a number alone. Here number {markdown(first.row.movielens_id)} is "
            f"{_film(dataset, first)}: the numbers are those of {markdown(dataset.name)}",
            key=f"import {key} numbers",
        )
        wanted += found.by_number if sure else []
    if found.to_confirm:
        st.markdown(f"**Is this the film?** {len(found.to_confirm):,} titles are not quite those here.")
    for match in found.to_confirm[:ASKED]:
        year = f" ({match.row.year})" if match.row.year else ""
        label = f"{markdown(match.row.title)}{year} is {_film(dataset, match)}: {match.how}"
        if st.checkbox(label, key=f"import {key} {match.row.line}"):
            wanted.append(match)
    return wanted


def counts(found: MatchReport) -> None:
    """Draw the counts of the report, and what was guessed."""
    with st.grid(4, min_column_width=130, gap="small", key="import-counts"):
        for name, rows in (
            ("Found", found.matched),
            ("To confirm", [*found.by_number, *found.to_confirm]),
            ("Not here", found.unmatched),
            ("Not usable", found.refused),
        ):
            st.metric(name, f"{len(rows):,}", border=True)
    for note in found.notes:
        st.caption(markdown(note))


def details(dataset: Dataset, found: MatchReport) -> None:
    """Draw the rows behind the counts, each with its line and its reason."""
    for name, matches in (("Found", found.matched), ("Not here", found.unmatched), ("Rated twice", found.replaced)):
        _rows(name, [(m.row.line, m.row.title or m.row.movielens_id, _told(dataset, m)) for m in matches])
    _rows("Not usable", [(row.line, row.title, row.why) for row in found.refused])


def _rows(name: str, rows: Sequence[tuple[int, str, str]]) -> None:
    if not rows:
        return
    said = "".join(
        f"<li>line {n:,}: {f'<b>{html(title)}</b>, ' if title else ''}{html(why)}</li>"
        for n, title, why in rows[:LISTED]
    )
    rest = f"<li>and {len(rows) - LISTED:,} more, in the file below</li>" if len(rows) > LISTED else ""
    with st.expander(f"{name} · {len(rows):,}"):
        st.html(f'<ul class="findings">{said}{rest}</ul>')


def _told(dataset: Dataset, match: Match) -> str:
    if match.item_idx < 0:
        return match.how
    return f"{match.row.stars:g} ★ for {cards.named(cards.film(dataset, match.item_idx))}, by {match.how}"


def _film(dataset: Dataset, match: Match) -> str:
    return f"**{markdown(cards.named(cards.film(dataset, match.item_idx)))}**"


def report_csv(dataset: Dataset, found: MatchReport) -> str:
    """Return what became of every row, as CSV in the order of the file."""
    parts = {
        "matched": found.matched,
        "to confirm": [*found.by_number, *found.to_confirm],
        "unmatched": found.unmatched,
        "replaced by a later row": found.replaced,
    }
    rows: list[tuple[int, str, int | None, float | None, str, str, str]] = [
        (
            m.row.line,
            m.row.title,
            m.row.year,
            m.row.stars,
            part,
            cards.named(cards.film(dataset, m.item_idx)) if m.item_idx >= 0 else "",
            m.how,
        )
        for part, matches in parts.items()
        for m in matches
    ]
    rows += [(row.line, row.title, None, None, "rejected", "", row.why) for row in found.refused]
    return csv_text(("line", "title", "year", "stars", "outcome", "film", "why"), sorted(rows, key=itemgetter(0)))


@messages.toast_errors
def keep(dataset: Dataset, source: str, wanted: Sequence[Match]) -> None:
    """Keep what was found and confirmed, all or none. For callbacks."""
    new, since = visitor_ratings.import_ratings(dataset, source, wanted)
    old = len(wanted) - new - since
    said = [f"{new:,} rating{'' if new == 1 else 's'} came in from {FROM[source]}"]
    said += [f"{old:,} were here already"] if old else []
    said += [f"{since:,} of films that you have rated here since stay as you left them"] if since else []
    st.session_state["rate brought"] = "; ".join(said) + "."
    st.session_state["rate uploads"] = st.session_state.get("rate uploads", 0) + 1  # an empty uploader
    for name in ("rate found", "rate asked"):
        st.session_state.pop(name, None)


def toast_imported() -> None:
    """Say once what came in."""
    if said := st.session_state.pop("rate brought", ""):
        st.success(said, icon=":material/check_circle:")


def _label(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[-80:] or "the file"


def draw_export(dataset: Dataset, mine: VisitorRatings, films: Sequence[cards.Film]) -> None:
    """List what the visitor rated, offer it and the list as files, and offer to erase it all.

    films : what is recommended, best first
    """
    moments = {event.item_id: event.timestamp for event in mine.events}
    rows = [(cards.film(dataset, item), stars) for item, stars in mine.stars.items()]
    said = "".join(f"<li>{html(cards.named(it))} <b>{stars:g} ★</b></li>" for it, stars in reversed(rows))
    st.html(f'<section class="rated-list"><h3>{len(rows)} films rated</h3><ol>{said}</ol></section>')
    with st.container(horizontal=True, key="take-away"):
        for label, name, text in (
            ("My list, 50 films", "recommendations.csv", recommendations_csv(films)),
            ("My ratings, as MovieLens has them", "ratings.csv", movielens_csv(rows, moments)),
            ("My ratings, for Letterboxd", "letterboxd.csv", letterboxd_csv(rows, moments)),
        ):
            st.download_button(label, text, name, "text/csv", icon=":material/download:", on_click="ignore")
        with st.popover("Erase everything of mine", icon=":material/delete:"):
            st.markdown("All your ratings, on every data set, are deleted for good. That they were is recorded.")
            st.button("Erase", type="primary", on_click=erase, key="rate-erase")


def recommendations_csv(films: Sequence[cards.Film]) -> str:
    """Return the list as CSV."""
    rows = [(rank, it.item_id, it.title, it.year) for rank, it in enumerate(films, start=1)]
    return csv_text(("rank", "item_id", "title", "year"), rows)


def movielens_csv(rows: Sequence[tuple[cards.Film, float]], moments: Mapping[str, int]) -> str:
    """Return ratings in the layout of MovieLens; the user is 0."""
    header = ("userId", "movieId", "rating", "timestamp")
    return csv_text(header, [(0, it.item_id, stars, moments.get(it.item_id, 0)) for it, stars in rows])


def letterboxd_csv(rows: Sequence[tuple[cards.Film, float]], moments: Mapping[str, int]) -> str:
    """Return ratings in the layout that Letterboxd imports: title, year, stars and the day of the rating."""

    def day(item_id: str) -> str:
        return datetime.fromtimestamp(moments[item_id], UTC).date().isoformat() if item_id in moments else ""

    header = ("Title", "Year", "Rating", "WatchedDate")
    return csv_text(header, [(it.title, it.year, stars, day(it.item_id)) for it, stars in rows])


def erase() -> None:
    """Forget this visitor. For callbacks."""
    log_event("everything of a visitor was erased", count=visitor_ratings.event_log().erase(visitor_id()))
    for key in [key for key in st.session_state if str(key).startswith("rate ")]:
        del st.session_state[key]
