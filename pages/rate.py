"""Rate: give films stars and watch the list follow, with what moved, why, and what other models would say."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.ui import board, caches, cards, import_export, messages, rating_panels, recipes, sidebar, visitor_ratings
from pages.ui.board import Square
from pages.ui.escape import html, markdown
from pages.ui.visitor_lists import SHOWN, lists
from pages.ui.visitor_ratings import VisitorRatings
from recengine.data.dataset import Dataset
from recengine.experiments.store import Trained
from recengine.models.base import Recommender
from recengine.serving import viewers
from recengine.serving.event_log import Event, rated
from recengine.serving.explain import Reason, reasons

DEALT = 6
"""Films that are offered to rate."""
BOARDS = ("board-hand", "board-list")
WELL_KNOWN = 60
"""Films among which those to rate are chosen."""
PANELS = ("Side by side", "Rank over time", "After 0, 1, 2, 5", "Your taste", "Import and export")
LIKED_MOST = 8
"""Films of a persona that a visitor starts from."""


def moved(before: list[int], items: Sequence[int]) -> dict[int, str]:
    """Return ▲3, ▼2, NEW or "" for each item, against the list before; "" for all where there was none."""
    found = {}
    for place, item in enumerate(items):
        if not before:
            found[item] = ""
        elif item not in before:
            found[item] = "NEW"
        else:
            rise = before.index(item) - place
            found[item] = f"▲{rise}" if rise > 0 else f"▼{-rise}" if rise < 0 else ""
    return found


def because(dataset: Dataset, reason: Reason) -> tuple[str, str, str]:
    """Return why a film is listed, in three parts of which the middle one is a title."""
    if reason.kind == "contribution":
        return "because you rated", cards.film(dataset, reason.item_idx).title, f"· {reason.share:.0%} of the score"
    if reason.kind == "neighbour":
        return "nearest of what you liked:", cards.film(dataset, reason.item_idx).title, ""
    return ("a favourite of everybody", "", "") if reason.kind == "popular" else ("", "", "")


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


def unkept(dataset: Dataset) -> list[Event]:
    """Return the acts on the boards that are not in the log, as far as this session knows."""
    events = [event for key in BOARDS for event in board.sent(dataset, key)]
    if events and "acknowledged" not in st.session_state:  # a new session of a browser that has acted before
        acknowledge(visitor_ratings.current(dataset))
    return [event for event in events if event.event_id not in st.session_state["acknowledged"]]


def acknowledge(mine: VisitorRatings) -> None:
    """Note which acts are in the log; the boards' last messages may hold them still."""
    st.session_state.setdefault("acknowledged", set()).update(mine.acknowledged)


def placed(fresh: Sequence[int], pins: dict[int, int]) -> list[int]:
    """Return the list with the films that are held in their places, and the fresh ones in what is left."""
    held = {place: item for item, place in pins.items()}
    rest = iter([item for item in fresh if item not in pins])
    found = [held[place] if place in held else next(rest, -1) for place in range(SHOWN)]
    return [item for item in found if item >= 0]


def your_list(dataset: Dataset, model: Recommender, mine: VisitorRatings, positive: float) -> None:
    """Draw the list, what moved in it since the last act, and how long it took."""
    state = st.session_state
    pins: dict[int, int] = state.setdefault("rate pins", {})
    pins = state["rate pins"] = {i: p for i, p in pins.items() if i in mine.stars or i in mine.passed}
    started = time.perf_counter()
    items, fallback = lists(model, dataset, mine, [len(mine.stars)], positive)
    took = time.perf_counter() - started
    shown = placed([int(item) for item in items[0] if item >= 0], pins)
    stands = (mine.events, mine.passed)
    if state.get("rate stands") != stands:  # the marks stay until something else is done
        state["rate before"], state["rate stands"] = state.get("rate shown", []), stands
    state["rate shown"] = shown
    change = moved(state["rate before"], shown) if len(state["rate before"]) == len(shown) else dict.fromkeys(shown, "")
    with st.container(horizontal=True, vertical_alignment="center", key="list-head"):
        st.html('<h2 class="row-title">Your list</h2>', width="stretch")
        if pins:
            st.button("Clear the rated ones", on_click=pins.clear, icon=":material/refresh:", key="rate-refresh")
    liked = [item for item, stars in mine.stars.items() if dataset.in_scale(stars) >= positive]
    last = next(reversed(mine.stars), None)
    told = f"{recipes.label(model.name)} answered in <b>{1e3 * took:.1f} ms</b>"
    if last is not None:
        told += f" after <b>{html(cards.film(dataset, last).title)}</b>, {mine.stars[last]:g} ★"
    if fallback[0]:
        told = "You have liked nothing yet, so these are the favourites of everybody."
    st.html(f'<p class="status-line" data-testid="answered">{told}</p>')
    fresh = [item for item in shown if item not in pins]
    why = [Reason("popular")] * len(fresh) if fallback[0] else reasons(model, liked, fresh, newcomer=True)
    notes = {item: because(dataset, reason) for item, reason in zip(fresh, why, strict=True)}
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
    """Draw a board whose acts are kept."""
    board.draw(dataset, squares, key=key, acknowledged=mine.acknowledged)


def deal(dataset: Dataset, mine: VisitorRatings) -> None:
    """Choose the films that are offered next: well known ones that were not, of many kinds. For callbacks."""
    offered: set[int] = st.session_state.setdefault("rate offered", set())
    gone = offered | set(mine.stars) | mine.passed | set(st.session_state.get("rate shown", []))
    known = [int(i) for i in np.argsort(-dataset.ratings.item_counts, kind="stable") if int(i) not in gone][:WELL_KNOWN]
    of_kind = {dataset.items["genres"].iloc[item].partition("|")[0]: item for item in reversed(known)}
    hand = [item for item in known if item in of_kind.values()][:DEALT]
    hand += [item for item in known if item not in hand][: DEALT - len(hand)]
    st.session_state["rate hand"] = hand
    offered.update(hand)


def to_rate(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the films that are offered, or those that a search finds."""
    st.html('<h2 class="row-title">Films you may know</h2>')
    query = st.text_input(
        "Find a film to rate", type="search", live="200ms", placeholder="A title, as you remember it", key="rate query"
    )
    if "rate hand" not in st.session_state:
        deal(dataset, mine)
    hand: list[int] = st.session_state["rate hand"]
    if query:
        hand = caches.title_index(dataset).find(query, limit=DEALT)
        if not hand:
            st.caption(f"No film is called anything like “{markdown(query)}”. Try fewer letters.")
    squares = [Square(item, stars=mine.stars.get(item, 0.0), passed=item in mine.passed) for item in hand]
    draw(dataset, mine, squares, BOARDS[0])
    if not query:
        st.button("Other films", on_click=deal, args=(dataset, mine), icon=":material/casino:", key="rate-deal")


@messages.toast_errors
def start_as(dataset: Dataset, persona: viewers.Persona) -> None:
    """Rate for the visitor what a persona loved most. For callbacks."""
    past = viewers.history_of(dataset, persona.user_idx)
    low, high = dataset.rating_range
    stars = past.ratings if high <= 5 else 0.5 + 4.5 * (past.ratings - low) / (high - low)
    chosen = list(zip(dataset.item_ids[past.items[:LIKED_MOST]].tolist(), stars[:LIKED_MOST].tolist(), strict=True))
    events = [rated(str(item), round(2 * value) / 2, source="persona") for item, value in reversed(chosen)]
    visitor_ratings.append(dataset, events)


def starts(dataset: Dataset, positive: float) -> None:
    """Offer personas to somebody who has rated nothing."""
    with st.container(horizontal=True, gap="xsmall", key="people"):
        st.html('<span class="legend">Or start as somebody</span>', width="content")
        for persona in caches.personas(dataset, positive)[:5]:
            st.button(
                persona.title,
                on_click=start_as,
                args=(dataset, persona),
                help=f"Rates {LIKED_MOST} films as they did: {persona.why}",
                key=f"persona {persona.user_idx}",
            )


@st.fragment
def studio(model: Recommender, positive: float) -> None:
    """Draw what a rating changes; an act reruns this part alone."""
    with messages.catch_bad_input(messages.start_again_link):
        dataset = sidebar.dataset()
        if events := unkept(dataset):
            messages.toast_errors(keep)(dataset, events)
        mine = visitor_ratings.current(dataset)
        acknowledge(mine)
        messages.show_pending_toast()
        import_export.toast_imported()
        left, right = st.columns([5, 8], gap="large")
        with right:
            your_list(dataset, model, mine, positive)
        with left:
            to_rate(dataset, mine)
        if not mine.stars:
            starts(dataset, positive)
            with st.expander("Bring your ratings from Letterboxd, IMDb or MovieLens", icon=":material/upload:"):
                import_export.draw_import(dataset)
            return
        panel = st.segmented_control("Look closer", PANELS, default=PANELS[0], required=True, key="rate panel")
        if panel == PANELS[0]:
            rating_panels.side_by_side(dataset, model, mine, positive)
        elif panel == PANELS[1]:
            rating_panels.ranks_over_time(dataset, model, mine, positive)
        elif panel == PANELS[2]:
            rating_panels.step_by_step(dataset, model, mine, positive)
        elif panel == PANELS[3]:
            rating_panels.taste(dataset, mine, positive)
        else:
            items, _ = lists(model, dataset, mine, [len(mine.stars)], positive, k=50)
            import_export.draw_export(dataset, mine, [cards.film(dataset, int(item)) for item in items[0] if item >= 0])
            st.html('<h2 class="row-title">Bring ratings in</h2>')
            import_export.draw_import(dataset)


ready = sidebar.ready()
with messages.catch_bad_input(messages.start_again_link):
    able = "fold-in" in ready.trained.model.abilities
    trained = ready.trained if able else caches.find_model(ready.dataset, caches.DEFAULT_MODEL, sidebar.choice().device)
    if not able:
        st.info(
            f"{recipes.label(sidebar.choice().model)} serves only people it was trained on, so "
            f"{recipes.label(caches.DEFAULT_MODEL)} answers here.",
            icon=":material/info:",
        )
    if isinstance(trained, Trained):
        studio(trained.model, ready.positive)
    else:
        messages.error(
            "The model that answers newcomers is still being trained; come back in a moment", messages.start_again_link
        )
