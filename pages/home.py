"""Home: give films stars and watch your list change, with what moved, why, and what other models would recommend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.hosting.visitor import is_remembered
from pages.ui import (
    board,
    caches,
    cards,
    import_export,
    marks,
    messages,
    rating_panels,
    recipes,
    sidebar,
    steering,
    visitor_ratings,
)
from pages.ui.board import Square
from pages.ui.escape import html
from pages.ui.reason_words import because
from pages.ui.visitor_lists import SHOWN, as_histories, steered_lists
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.experiments.store import Trained
from recengine.models.base import Recommender
from recengine.serving import viewers
from recengine.serving.event_log import STARS, Event, rated
from recengine.serving.explain import Reason, reasons

DEALT = 6
"""Films offered to rate at once."""
BOARDS = ("board-hand", "board-list")
WELL_KNOWN = 60
"""Most-rated films among which those to rate are chosen."""
PANELS = ("Side by side", "Rank over time", "How it grew", "Your taste", "Import and export")


def moved(before: list[int], items: Sequence[int]) -> dict[int, str]:
    """Return ▲3, ▼2, NEW or "" for each item, against the list before; "" for all where there was none."""
    marks = {}
    for index, item in enumerate(items):
        if not before:
            marks[item] = ""
        elif item not in before:
            marks[item] = "NEW"
        else:
            rise = before.index(item) - index
            marks[item] = f"▲{rise}" if rise > 0 else f"▼{-rise}" if rise < 0 else ""
    return marks


def keep(dataset: Dataset, events: list[Event]) -> None:
    """Append acts to the log, and pin the films of the list that they were on to their ranks."""
    shown: list[int] = st.session_state.get("rate shown", [])
    pins: dict[int, int] = st.session_state.setdefault("rate pins", {})
    for event in events:
        if event.kind == "undo":
            pins.pop(event.item_idx, None)
        elif event.item_idx in shown:
            pins.setdefault(event.item_idx, shown.index(event.item_idx))
    visitor_ratings.append(dataset, events)


def forget_other_dataset(dataset: Dataset) -> None:
    """Drop what this session keeps of another data set, whose indices mean other films here."""
    state = st.session_state
    if state.setdefault("rate dataset", dataset.fingerprint) != dataset.fingerprint:
        for name in ("hand", "offered", "shown", "pins", "before", "stands"):
            state.pop(f"rate {name}", None)
        state["rate dataset"] = dataset.fingerprint


def placed(fresh: Sequence[int], pins: dict[int, int]) -> list[int]:
    """Return the list with pinned films at their ranks and the fresh ones in between."""
    pinned = {index: item for item, index in pins.items()}
    rest = iter([item for item in fresh if item not in pins])
    shown = [pinned[index] if index in pinned else next(rest, -1) for index in range(SHOWN)]
    return [item for item in shown if item >= 0]


def your_list(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw the list, and what moved in it since the last act."""
    state, words = st.session_state, words_of(dataset)
    pins: dict[int, int] = state.setdefault("rate pins", {})
    pins = state["rate pins"] = {i: p for i, p in pins.items() if i in mine.stars or i in mine.passed}
    items, fallback = steered_lists(model, dataset, mine, [len(mine.stars)], positive)
    shown = placed([int(item) for item in items[0] if item >= 0], pins)
    stands = (mine.standing, steering.chosen_knobs(dataset))
    if state.get("rate stands") != stands:  # the marks stay until the next act
        state["rate before"], state["rate stands"] = state.get("rate shown", []), stands
    state["rate shown"] = shown
    change = moved(state["rate before"], shown) if len(state["rate before"]) == len(shown) else dict.fromkeys(shown, "")
    with st.container(horizontal=True, vertical_alignment="center", key="list-head"):
        st.html('<h2 class="row-title">Your list</h2>', width="stretch")
        if pins:
            st.button(
                words.say("Replace the films you rated"),
                on_click=pins.clear,
                icon=":material/refresh:",
                key="rate-refresh",
            )
    last = next(reversed(mine.stars), None)
    status = f"{html(recipes.label(model.name))} made this list."
    if last is not None:
        amount = "" if words.is_implicit else f" ({mine.stars[last]:g} ★)"
        status = f"Updated after <b>{html(cards.film(dataset, last).title)}</b>{amount}"
        if mine.events[-1].source in import_export.FROM:  # which of its films was the last one says nothing
            status = f"Updated after your import from {import_export.FROM[mine.events[-1].source]}"
    if fallback[0]:
        least = min((stars for stars in STARS if dataset.in_scale(stars, positive) >= positive), default=max(STARS))
        act = f"Like {words.an_item}" if words.is_implicit else f"Give {words.an_item} {least:g} ★ or more"
        status = f"{act} to make this list yours. Until then: what is popular."
    st.html(f'<p class="status-line" data-testid="answered">{status}</p>')
    steering.draw(dataset, model.name, positive)
    fresh = [item for item in shown if item not in pins]
    if fallback[0]:
        why = [Reason("popular")] * len(fresh)
    else:
        history = as_histories(dataset, mine.events, [len(mine.events)], positive)
        why = reasons(model, history, fresh, positive=positive, new_user=True)
    notes = {item: because(dataset, reason, item) for item, reason in zip(fresh, why, strict=True)}
    squares = [
        Square(
            item,
            stars=mine.stars.get(item, 0.0),
            passed=item in mine.passed,
            rank=rank,
            moved="" if item in pins else change[item],
            note=notes.get(item, ("", "", "")),
        )
        for rank, item in enumerate(shown, start=1)
    ]
    draw(dataset, mine, squares, BOARDS[1])


def draw(dataset: Dataset, mine: VisitorRatings, squares: list[Square], key: str) -> None:
    """Draw a board that knows which acts are in the log."""
    board.draw(dataset, squares, key=key, acknowledged=mine.acknowledged)


def deal(dataset: Dataset, mine: VisitorRatings) -> None:
    """Choose the films that are offered next: well-known ones of many genres, not offered before. For callbacks."""
    offered: set[int] = st.session_state.setdefault("rate offered", set())
    gone = offered | set(mine.stars) | mine.passed | set(st.session_state.get("rate shown", []))
    known = [int(i) for i in np.argsort(-dataset.ratings.item_counts, kind="stable") if int(i) not in gone][:WELL_KNOWN]
    of_kind = {dataset.items["genres"].iloc[item].partition("|")[0]: item for item in reversed(known)}
    hand = [item for item in known if item in of_kind.values()][:DEALT]
    hand += [item for item in known if item not in hand][: DEALT - len(hand)]
    st.session_state["rate hand"] = hand
    offered.update(hand)


def to_rate(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the films that are offered, or the matches of a search."""
    words = words_of(dataset)
    st.html(f'<h2 class="row-title">{"Mark what you like" if words.is_implicit else "Rate what you have seen"}</h2>')
    query = st.text_input(
        words.say("Find a film to rate"),
        type="search",
        live="200ms",
        placeholder="A title, as you remember it",
        key="rate query",
    )
    if "rate hand" not in st.session_state:
        deal(dataset, mine)
    hand: list[int] = st.session_state["rate hand"]
    if query:
        matches = caches.title_search(dataset).find(query, limit=DEALT)
        hand = matches.films
        messages.search_note(query, matches)
    squares = [Square(item, stars=mine.stars.get(item, 0.0), passed=item in mine.passed) for item in hand]
    draw(dataset, mine, squares, BOARDS[0])
    if not query:
        st.button("Show others", on_click=deal, args=(dataset, mine), icon=":material/casino:", key="rate-deal")


@messages.toast_errors
def start_as(dataset: Dataset, persona: viewers.Persona) -> None:
    """Add what a persona liked and disliked most to the visitor's ratings. For callbacks."""
    past = viewers.sitting_of(dataset, persona.user_idx)
    low, high = dataset.rating_range
    stars = past.ratings if high <= 5 else 0.5 + 4.5 * (past.ratings - low) / (high - low)
    chosen = list(zip(dataset.item_ids[past.items].tolist(), stars.tolist(), strict=True))
    events = [rated(str(item), round(2 * value) / 2, source="persona") for item, value in reversed(chosen)]
    visitor_ratings.append(dataset, events)


def starts(dataset: Dataset, positive: float) -> None:
    """Offer personas to a visitor without ratings."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="viewers"):
        st.html('<span class="legend">Or borrow a taste</span>', width="content")
        words = words_of(dataset)
        for persona in caches.personas(dataset, positive)[:5]:
            count = len(viewers.sitting_of(dataset, persona.user_idx).items)
            st.button(
                persona.title,
                on_click=start_as,
                args=(dataset, persona),
                help=f"Adds {count} {words.ratings} from this {words.viewer}: {persona.why}",
                key=f"persona {persona.user_idx}",
            )


@st.fragment
def studio(model: Recommender, positive: float) -> None:
    """Draw everything that a rating changes; an act reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        forget_other_dataset(dataset)
        if events := visitor_ratings.unkept(dataset, BOARDS):
            messages.toast_errors(keep)(dataset, events)
        mine = visitor_ratings.current(dataset)
        visitor_ratings.acknowledge(mine)
        if not is_remembered():
            st.caption(visitor_ratings.FORGOTTEN)
        messages.show_pending_toast()
        import_export.draw_imported(dataset, mine)
        left, right = st.columns([5, 8], gap="large")
        with right:
            your_list(dataset, model, mine, positive)
        with left:
            to_rate(dataset, mine)
        marks.draw(dataset, mine)
        if not mine.stars:
            starts(dataset, positive)
            sources = " from Letterboxd, IMDb or MovieLens" if words_of(dataset).is_film else ""
            with st.expander(f"Import your ratings{sources}", icon=":material/upload:"):
                import_export.draw_import(dataset)
            return
        panel = st.segmented_control("More about your list", PANELS, default=PANELS[0], required=True, key="rate panel")
        if panel == PANELS[0]:
            rating_panels.side_by_side(dataset, model, mine, positive)
        elif panel == PANELS[1]:
            rating_panels.ranks_over_time(dataset, model, mine, positive)
        elif panel == PANELS[2]:
            rating_panels.step_by_step(dataset, model, mine, positive)
        elif panel == PANELS[3]:
            rating_panels.taste(dataset, mine, positive)
        else:
            items, _ = steered_lists(model, dataset, mine, [len(mine.stars)], positive, k=50)
            import_export.draw_export(dataset, mine, [cards.film(dataset, int(item)) for item in items[0] if item >= 0])
            st.html('<h2 class="row-title">Import ratings</h2>')
            import_export.draw_import(dataset)


ready = sidebar.ready()
with messages.catch_bad_input(messages.start_again_link):
    able = "fold-in" in ready.trained.model.abilities
    trained = ready.trained if able else caches.find_model(ready.dataset, caches.DEFAULT_MODEL, sidebar.choice().device)
    if not able:
        st.info(
            f"{recipes.label(sidebar.choice().model)} cannot read new ratings, so "
            f"{recipes.label(caches.DEFAULT_MODEL)} makes this list.",
            icon=":material/info:",
        )
    if isinstance(trained, Trained):
        studio(trained.model, ready.positive)
    else:
        messages.error("The model for your list is still training; come back in a moment", messages.start_again_link)
