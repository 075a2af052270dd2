"""A visitor's ratings in and out: importing exports of other sites after a review, downloading, and erasing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import streamlit as st

from pages.hosting.logs import log_event
from pages.hosting.visitor import check_limit
from pages.ui import caches, cards, datasets, messages, sidebar, visitor_ratings
from pages.ui.escape import html, markdown
from pages.ui.visitor_ratings import VisitorRatings
from recengine import settings
from recengine.data.dataset import LIKED_STARS, Dataset
from recengine.data.matching import Match, Matcher, MatchReport
from recengine.data.readers.archive import upload_label
from recengine.data.readers.exports import read_export
from recengine.errors import BadInput
from recengine.export import counted, csv_text
from recengine.serving.event_log import Event

FROM = {
    "letterboxd": "Letterboxd",
    "imdb": "IMDb",
    "tmdb": "TMDB",
    "trakt": "Trakt",
    "movielens": "MovieLens",
    "csv": "your CSV",
}
EXAMPLE = "title,year,rating,date\nThe Matrix,1999,4.5,2024-05-31\nSpirited Away,2001,★★★★★,2024-06-01\n"
ASKED, LISTED = 100, 200
"""Uncertain titles to confirm, and rows shown per part of the report; its CSV has them all."""


@st.cache_resource(max_entries=4, show_spinner=False)
def _matcher(fingerprint: str, _dataset: Dataset) -> Matcher:
    return Matcher(_dataset, caches.title_search(_dataset).titles)


def draw_import(dataset: Dataset) -> None:
    """Draw the upload of an export, the report on its rows, and the button that imports them."""
    state = st.session_state
    file = st.file_uploader("Choose a file", ["csv", "zip"], key=f"rate upload {state.get('rate uploads', 0)}")
    if file is None:
        st.caption(
            "Letterboxd (Settings, Data, Export: the zip or one of its files), IMDb (Your ratings, Export), TMDB, "
            "Trakt, MovieLens, or a CSV with `title`, `year` and `rating`. You can review everything before it is "
            f"saved. From Letterboxd’s zip, films you liked without stars count as {LIKED_STARS:g} ★, films you have "
            "seen stay out of your list, and your watchlist comes along."
        )
        return
    out_of = int(state.get("rate out of") or 5)
    asked = (file.file_id, out_of, dataset.fingerprint)
    if state.get("rate asked") != asked:
        try:
            if state.get("rate asked", ("",))[0] != file.file_id:
                check_limit("upload")
            with st.spinner("Reading the file and matching its films"):
                export = read_export(upload_label(file.name), file.getvalue(), out_of=out_of)
                state["rate report"] = _matcher(dataset.fingerprint, dataset).report(export)
        except BadInput as error:
            state["rate report"] = messages.bad_input_message(error)
        state["rate asked"] = asked
    report: MatchReport | str = state["rate report"]
    if isinstance(report, str):
        messages.error(
            report, lambda: st.download_button("Download an example", EXAMPLE, "mine.csv", icon=":material/download:")
        )
        return
    if report.source == "csv":
        st.segmented_control("The highest rating in this file is", [5, 10, 100], default=5, key="rate out of")
    counts(report)
    wanted = [*report.matched, *confirmed(dataset, report, file.file_id)]
    details(dataset, report)
    with st.container(horizontal=True, vertical_alignment="center", key="import-actions"):
        st.button(
            f"Import {amounts(wanted)}",
            type="primary",
            disabled=not wanted,
            on_click=import_matches,
            args=(dataset, report.source, wanted),
            key="import-keep",
        )
        st.download_button(
            "Download import report",
            report_csv(dataset, report),
            "import.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def confirmed(dataset: Dataset, report: MatchReport, key: str) -> list[Match]:
    """Draw a checkbox for each uncertain match, and return those that are ticked."""
    wanted: list[Match] = []
    if report.by_number:
        first = report.by_number[0]
        sure = st.checkbox(
            f"{len(report.by_number):,} rows have only a film number. Number {markdown(first.row.movielens_id)} is "
            f"{_film(dataset, first)}. Tick this if the numbers are from {markdown(dataset.name)}",
            key=f"import {key} numbers",
        )
        wanted += report.by_number if sure else []
    if report.to_confirm:
        one = len(report.to_confirm) == 1
        differ = f"{counted(len(report.to_confirm), 'titles')} {'differs' if one else 'differ'} slightly from ours."
        st.markdown(f"**Is this the film?** {differ} Tick {'it if so' if one else 'the right ones'}.")
    for match in report.to_confirm[:ASKED]:
        year = f" ({match.row.year})" if match.row.year else ""
        label = f"{markdown(match.row.title)}{year} is {_film(dataset, match)}: {match.reason}"
        if st.checkbox(label, key=f"import {key} {match.row.file} {match.row.line}"):
            wanted.append(match)
    return wanted


def amounts(matches: Sequence[Match]) -> str:
    """Return how many ratings, films seen and films to see these are, in words."""
    marks = Counter("rated" if match.row.mark == "liked" else match.row.mark for match in matches)
    ratings = f"{marks['rated']:,} rating{'' if marks['rated'] == 1 else 's'}"
    return ", ".join(
        [ratings] * bool(marks["rated"] or not matches)
        + [f"{marks['seen']:,} seen"] * bool(marks["seen"])
        + [f"{marks['watchlist']:,} for your watchlist"] * bool(marks["watchlist"])
    )


def counts(report: MatchReport) -> None:
    """Draw the counts of the report, what each file of a zip gave, and the notes on what was guessed."""
    with st.grid(4, min_column_width=130, gap="small", key="import-counts"):
        for name, rows in (
            ("Matched", report.matched),
            ("To confirm", [*report.by_number, *report.to_confirm]),
            ("Not in this catalogue", report.unmatched),
            ("Not usable", report.refused),
        ):
            st.metric(name, f"{len(rows):,}", border=True)
    lines = []
    for table in report.gave():
        says = "on your watchlist" if table["mark"] == "watchlist" else table["mark"]
        repeated = f" ({table['repeated']:,} counted above already)" if table["repeated"] else ""
        lines.append(f"**{table['file']}** {table['rows']:,} {says}{repeated}")
    if lines:
        st.caption(" · ".join(lines))
    for note in report.notes:
        st.caption(markdown(note))


def details(dataset: Dataset, report: MatchReport) -> None:
    """Draw the rows behind the counts, each with its line and its reason."""
    for name, matches in (
        ("Matched", report.matched),
        ("Not in this catalogue", report.unmatched),
        ("Rated twice", report.replaced),
    ):
        _rows(name, [(m.row.line, m.row.label, _outcome(dataset, m)) for m in matches])
    _rows("Not usable", [(row.line, row.title, row.reason) for row in report.refused])


def _rows(name: str, rows: Sequence[tuple[int, str, str]]) -> None:
    if not rows:
        return
    entries = "".join(
        f"<li>line {n:,}: {f'<b>{html(title)}</b>, ' if title else ''}{html(why)}</li>"
        for n, title, why in rows[:LISTED]
    )
    rest = f"<li>and {len(rows) - LISTED:,} more, in the import report</li>" if len(rows) > LISTED else ""
    with st.expander(f"{name} · {len(rows):,}"):
        st.html(f'<ul class="findings">{entries}{rest}</ul>')


def _outcome(dataset: Dataset, match: Match) -> str:
    if match.item_idx < 0:
        return match.reason
    film, mark = cards.named(cards.film(dataset, match.item_idx)), match.row.mark
    if mark in ("seen", "watchlist"):
        return f"{film}, {'seen' if mark == 'seen' else 'for your watchlist'}, by {match.reason}"
    liked = ", as you liked it without stars" if mark == "liked" else ""
    return f"{match.row.stars:g} ★ for {film}{liked}, by {match.reason}"


def _film(dataset: Dataset, match: Match) -> str:
    return f"**{markdown(cards.named(cards.film(dataset, match.item_idx)))}**"


def report_csv(dataset: Dataset, report: MatchReport) -> str:
    """Return the outcome of every row, as CSV in the order of the file."""
    rows = [
        (
            row.file,
            row.line,
            row.title,
            row.year,
            row.mark,
            row.stars,
            row.outcome,
            cards.named(cards.film(dataset, row.item_idx)) if row.item_idx >= 0 else "",
            row.reason,
        )
        for row in report.outcomes()
    ]
    return csv_text(("file", "line", "title", "year", "mark", "stars", "outcome", "film", "why"), rows)


@messages.toast_errors
def import_matches(dataset: Dataset, source: str, wanted: Sequence[Match]) -> None:
    """Import the matched and confirmed rows, all or none. For callbacks."""
    done = visitor_ratings.import_ratings(dataset, source, wanted)
    new = len(done.new)
    parts = [f"{new:,} rating{'' if new == 1 else 's'} imported from {FROM[source]}"]
    if any(match.row.mark in ("seen", "watchlist") for match in wanted):
        parts = [f"{counted(new, 'films')} imported from {FROM[source]}"]
    parts += [f"{done.known:,} you already had"] if done.known else []
    parts += [f"{done.since:,} left unchanged: you have rated those films here since"] if done.since else []
    st.session_state["rate imported"] = "; ".join(parts) + "."
    st.session_state["rate import"] = frozenset(done.new)
    st.session_state["rate uploads"] = st.session_state.get("rate uploads", 0) + 1  # an empty uploader
    for name in ("rate report", "rate asked"):
        st.session_state.pop(name, None)


@messages.toast_errors
def take_back(dataset: Dataset, events: Sequence[Event]) -> None:
    """Undo an import: what stood before stands again. For callbacks."""
    visitor_ratings.take_back(dataset, events)
    st.session_state.pop("rate import", None)


def draw_imported(dataset: Dataset, mine: VisitorRatings) -> None:
    """Show once what was imported, and offer to undo it for as long as this session lasts."""
    message = st.session_state.pop("rate imported", "")
    new: frozenset[str] = st.session_state.get("rate import", frozenset())
    events = [event for event in mine.standing if event.event_id in new]
    with st.container(horizontal=True, vertical_alignment="center", key="imported"):
        if message:
            st.toast(message, icon=":material/check_circle:")  # the page may be scrolled down
            st.success(message, icon=":material/check_circle:")
        if events:
            st.button(
                "Undo the import",
                on_click=take_back,
                args=(dataset, events),
                icon=":material/undo:",
                help=f"Takes back the {len(events):,} films of your last import",
                key="import-undo",
            )


def draw_export(dataset: Dataset, mine: VisitorRatings, films: Sequence[cards.Film]) -> None:
    """Offer the visitor's ratings and recommendations as files, to take back an import, and to erase everything.

    films : what is recommended, best first
    """
    moments = {event.item_id: event.timestamp for event in mine.events}
    rows = [(cards.film(dataset, item), stars) for item, stars in mine.stars.items()]
    with st.container(horizontal=True, key="take-away"):
        for label, name, text in (
            *([("Download my top 50", "recommendations.csv", recommendations_csv(films))] if films else []),
            ("Download my ratings (MovieLens format)", "ratings.csv", movielens_csv(rows, moments)),
            ("Download my ratings (Letterboxd format)", "letterboxd.csv", letterboxd_csv(rows)),
        ):
            st.download_button(label, text, name, "text/csv", icon=":material/download:", on_click="ignore")
        for source, name in FROM.items():
            if brought := [event for event in mine.standing if event.source == source]:
                st.button(
                    f"Take back {len(brought):,} from {name}",
                    on_click=take_back,
                    args=(dataset, brought),
                    icon=":material/undo:",
                    key=f"import-take-back-{source}",
                )
        with st.popover("Erase all my ratings", icon=":material/delete:"):
            st.markdown(
                "Deletes all your ratings on every data set, your watchlist, votes, links, uploads and runs. This "
                "cannot be undone. We keep only a note that a deletion happened."
            )
            st.button("Erase", on_click=erase, icon=":material/delete_forever:", key="rate-erase")


def recommendations_csv(films: Sequence[cards.Film]) -> str:
    """Return the list as CSV."""
    rows = [(rank, it.item_id, it.title, it.year) for rank, it in enumerate(films, start=1)]
    return csv_text(("rank", "item_id", "title", "year"), rows)


def movielens_csv(rows: Sequence[tuple[cards.Film, float]], moments: Mapping[str, int]) -> str:
    """Return ratings in the layout of MovieLens; the user is 0."""
    header = ("userId", "movieId", "rating", "timestamp")
    return csv_text(header, [(0, it.item_id, stars, moments.get(it.item_id, 0)) for it, stars in rows])


def letterboxd_csv(rows: Sequence[tuple[cards.Film, float]]) -> str:
    """Return ratings in the layout that Letterboxd imports: title, year and stars.

    Without days: only those of the ratings are known, of which Letterboxd would make entries in the diary.
    """
    return csv_text(("Title", "Year", "Rating"), [(it.title, it.year, stars) for it, stars in rows])


def put_aside_csv(dataset: Dataset, items: Sequence[int]) -> str:
    """Return films without ratings in the layout that Letterboxd imports, which this app reads as well.

    The address of a film holds its number; a table with this column is a watchlist, or what was seen, by its name.
    """
    rows = []
    for item in items:
        it = cards.film(dataset, item)
        imdb, tmdb = (cards.number_of(dataset, item, column) for column in ("imdb_id", "tmdb_id"))
        address = f"https://letterboxd.com/tmdb/{tmdb}" if tmdb else ""
        rows.append((it.title, it.year, address, tmdb or "", f"tt{imdb:07}" if imdb else ""))
    return csv_text(("Title", "Year", "LetterboxdURI", "tmdbID", "imdbID"), rows)


def erase() -> None:
    """Erase everything of this visitor. For callbacks."""
    log_event("everything of a visitor was erased", count=visitor_ratings.erase())
    if datasets.is_upload(sidebar.choice().data):
        sidebar.choose("data", settings.default_dataset())
    for key in [key for key in st.session_state if str(key).startswith("rate ")]:
        del st.session_state[key]
