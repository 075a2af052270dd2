"""Rate: give films stars and watch the list follow, with what moved, why, and what other models would say."""

from __future__ import annotations

import time
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.ui import board, cards, exchange, frame, models, people, recipes, states, visit
from pages.ui.board import Act, Square
from pages.ui.text import html, markdown, plain
from pages.ui.visit import Visit
from recengine.data.dataset import Dataset
from recengine.models.base import Recommender, abilities
from recengine.serving.event_log import rated
from recengine.serving.explain import Reason, reasons
from recengine.serving.recommendations import recommend_newcomers
from recengine.serving.store import Trained

SHOWN, DEALT = 10, 6
"""Films of the list, and films that are offered to rate."""
BOARDS = ("board-hand", "board-list")
BESIDE = ("step", "gru", "ease", "popularity")
"""Models that answer side by side."""
WELL_KNOWN = 60
"""Films among which those to rate are chosen."""
STEPS = (0, 1, 2, 5)
"""Numbers of ratings after which the lists are set side by side."""
TRACED = 12
"""Ratings that the chart of ranks looks back on."""
PANELS = ("Side by side", "Rank over time", "After 0, 1, 2, 5", "Your taste", "Import and export")
LIKED_MOST = 8
"""Films of a persona that a visitor starts from."""


def lists(
    model: Recommender, dataset: Dataset, now: Visit, lengths: Sequence[int], positive: float, k: int = SHOWN
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (len(lengths), k) items after the first ratings, and which lists are popularity (nothing liked yet)."""
    among = None
    if now.passed:
        among = np.setdiff1d(np.arange(dataset.n_items), np.fromiter(now.passed, np.int64))
    if model.name == "step":
        return online_lists(model, dataset, now, lengths, positive, min(k, dataset.n_items), among)
    people_then = visit.histories(dataset, now.ratings, lengths)
    listing = recommend_newcomers(
        model, dataset, people_then, k=min(k, dataset.n_items), positive=positive, among=among
    )
    return listing.ranking.items.numpy(), listing.fallback


def online_lists(
    model: Recommender,
    dataset: Dataset,
    now: Visit,
    lengths: Sequence[int],
    positive: float,
    k: int,
    among: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what `lists` does, from a session that learned from one rating after the other.

    What is not liked is only remembered. The session goes on from where it was, as long as nothing is taken back.
    """
    from recengine.serving.online import OnlineSession, Taken  # brings a compiler

    rated = [(item, dataset.in_scale(stars)) for item, stars in now.ratings.items()]
    events = [Taken(item, rating, rating >= positive) for item, rating in rated]
    if list(lengths) == [len(events)]:
        held = st.session_state.get("rate session")
        if held is None or held.model is not model:
            held = st.session_state["rate session"] = OnlineSession(model)  # type: ignore[arg-type]
    else:
        held = OnlineSession(model)  # type: ignore[arg-type]
    found = []
    for length in lengths:
        held.follow(events[:length])
        found.append(held.top(k, among=among).items[0].numpy())
    return np.stack(found), np.array([not any(event.learned for event in events[:n]) for n in lengths])


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


def take(dataset: Dataset, acts: list[Act]) -> None:
    """Keep what was done, and hold the films of the list that it was done to in their places."""
    visit.take(dataset, acts)
    shown: list[int] = st.session_state.get("rate shown", [])
    pins: dict[int, int] = st.session_state.setdefault("rate pins", {})
    for act in acts:
        if act.kind == "undo":
            pins.pop(act.item_idx, None)
        elif act.item_idx in shown:
            pins.setdefault(act.item_idx, shown.index(act.item_idx))


def placed(fresh: Sequence[int], pins: dict[int, int]) -> list[int]:
    """Return the list with the films that are held in their places, and the fresh ones in what is left."""
    held = {place: item for item, place in pins.items()}
    rest = iter([item for item in fresh if item not in pins])
    found = [held[place] if place in held else next(rest, -1) for place in range(SHOWN)]
    return [item for item in found if item >= 0]


def your_list(dataset: Dataset, model: Recommender, now: Visit, positive: float) -> None:
    """Draw the list, what moved in it since the last act, and how long it took."""
    state = st.session_state
    pins: dict[int, int] = state.setdefault("rate pins", {})
    pins = state["rate pins"] = {i: p for i, p in pins.items() if i in now.ratings or i in now.passed}
    started = time.perf_counter()
    items, fallback = lists(model, dataset, now, [len(now.ratings)], positive)
    took = time.perf_counter() - started
    shown = placed([int(item) for item in items[0] if item >= 0], pins)
    stands = (list(now.ratings.items()), now.passed)
    if state.get("rate stands") != stands:  # the marks stay until something else is done
        state["rate before"], state["rate stands"] = state.get("rate shown", []), stands
    state["rate shown"] = shown
    change = moved(state["rate before"], shown) if len(state["rate before"]) == len(shown) else dict.fromkeys(shown, "")
    with st.container(horizontal=True, vertical_alignment="center", key="list-head"):
        st.html('<h2 class="row-title">Your list</h2>', width="stretch")
        if pins:
            st.button("Clear the rated ones", on_click=pins.clear, icon=":material/refresh:", key="rate-refresh")
    liked = [item for item, stars in now.ratings.items() if dataset.in_scale(stars) >= positive]
    last = next(reversed(now.ratings), None)
    told = f"{recipes.label(model.name)} answered in <b>{1e3 * took:.1f} ms</b>"
    if last is not None:
        told += f" after <b>{html(cards.film(dataset, last).title)}</b>, {now.ratings[last]:g} ★"
    if fallback[0]:
        told = "You have liked nothing yet, so these are the favourites of everybody."
    st.html(f'<p class="status-line" data-testid="answered">{told}</p>')
    fresh = [item for item in shown if item not in pins]
    why = [Reason("popular")] * len(fresh) if fallback[0] else reasons(model, liked, fresh, newcomer=True)
    notes = {item: because(dataset, reason) for item, reason in zip(fresh, why, strict=True)}
    squares = [
        Square(
            item,
            stars=now.ratings.get(item, 0.0),
            passed=item in now.passed,
            rank=rank,
            moved="" if item in pins else change[item],
            note=notes.get(item, ("", "", "")),
        )
        for rank, item in enumerate(shown, start=1)
    ]
    draw(dataset, now, squares, BOARDS[1])


def draw(dataset: Dataset, now: Visit, squares: list[Square], key: str) -> None:
    """Draw a board whose acts are kept."""
    board.draw(dataset, squares, key=key, acknowledged=now.acts)


def deal(dataset: Dataset, now: Visit) -> None:
    """Choose the films that are offered next: well known ones that were not, of many kinds. For callbacks."""
    offered: set[int] = st.session_state.setdefault("rate offered", set())
    gone = offered | set(now.ratings) | now.passed | set(st.session_state.get("rate shown", []))
    known = [int(i) for i in np.argsort(-dataset.ratings.item_counts, kind="stable") if int(i) not in gone][:WELL_KNOWN]
    of_kind = {dataset.items["genres"].iloc[item].partition("|")[0]: item for item in reversed(known)}
    hand = [item for item in known if item in of_kind.values()][:DEALT]
    hand += [item for item in known if item not in hand][: DEALT - len(hand)]
    st.session_state["rate hand"] = hand
    offered.update(hand)


def to_rate(dataset: Dataset, now: Visit) -> None:
    """Draw the films that are offered, or those that a search finds."""
    st.html('<h2 class="row-title">Films you may know</h2>')
    query = st.text_input(
        "Find a film to rate", type="search", live="200ms", placeholder="A title, as you remember it", key="rate query"
    )
    if "rate hand" not in st.session_state:
        deal(dataset, now)
    hand: list[int] = st.session_state["rate hand"]
    if query:
        hand = models.title_index(dataset).find(query, limit=DEALT)
        if not hand:
            st.caption(f"No film is called anything like “{markdown(query)}”. Try fewer letters.")
    squares = [Square(item, stars=now.ratings.get(item, 0.0), passed=item in now.passed) for item in hand]
    draw(dataset, now, squares, BOARDS[0])
    if not query:
        st.button("Other films", on_click=deal, args=(dataset, now), icon=":material/casino:", key="rate-deal")


@states.told
def start_as(dataset: Dataset, persona: people.Persona) -> None:
    """Rate for the visitor what a persona loved most. For callbacks."""
    past = people.history(dataset, persona.user_idx)
    low, high = dataset.rating_range
    stars = past.ratings if high <= 5 else 0.5 + 4.5 * (past.ratings - low) / (high - low)
    chosen = list(zip(dataset.item_ids[past.items[:LIKED_MOST]].tolist(), stars[:LIKED_MOST].tolist(), strict=True))
    events = [rated(str(item), round(2 * value) / 2, source="persona") for item, value in reversed(chosen)]
    visit.keep(dataset, events)


def starts(dataset: Dataset, positive: float) -> None:
    """Offer personas to somebody who has rated nothing."""
    with st.container(horizontal=True, gap="xsmall", key="people"):
        st.html('<span class="legend">Or start as somebody</span>', width="content")
        for persona in models.personas(dataset, positive)[:5]:
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
    with states.guard(states.start_again):
        dataset = frame.dataset()
        now = visit.now(dataset)
        if acts := [act for key in BOARDS for act in board.done(dataset, key, set(now.acts))]:
            states.told(take)(dataset, acts)
            now = visit.now(dataset)
        states.say_told()
        exchange.say_brought()
        left, right = st.columns([5, 8], gap="large")
        with right:
            your_list(dataset, model, now, positive)
        with left:
            to_rate(dataset, now)
        if not now.ratings:
            starts(dataset, positive)
            with st.expander("Bring your ratings from Letterboxd, IMDb or MovieLens", icon=":material/upload:"):
                exchange.bring(dataset)
            return
        panel = st.segmented_control("Look closer", PANELS, default=PANELS[0], required=True, key="rate panel")
        if panel == PANELS[0]:
            side_by_side(dataset, model, now, positive)
        elif panel == PANELS[1]:
            ranks_over_time(dataset, model, now, positive)
        elif panel == PANELS[2]:
            step_by_step(dataset, model, now, positive)
        elif panel == PANELS[3]:
            taste(dataset, now, positive)
        else:
            items, _ = lists(model, dataset, now, [len(now.ratings)], positive, k=50)
            exchange.take_away(dataset, now, [cards.film(dataset, int(item)) for item in items[0] if item >= 0])
            st.html('<h2 class="row-title">Bring ratings in</h2>')
            exchange.bring(dataset)


def column(dataset: Dataset, title: str, said: str, items: Sequence[int], known: set[int]) -> None:
    """Draw one short list of titles; those that the main list has too are marked."""
    rows = "".join(
        f'<li class="{"both" if item in known else ""}">{html(cards.named(cards.film(dataset, item)))}</li>'
        for item in items
        if item >= 0
    )
    st.html(f'<section class="column"><h3>{html(title)}</h3><p>{html(said)}</p><ol>{rows}</ol></section>')


@states.told
def start_training(dataset: Dataset, name: str) -> None:
    """Start a training that the visitor does not wait for. For callbacks."""
    recipes.train(dataset, recipes.recipe(name), frame.choice().device)


def side_by_side(dataset: Dataset, model: Recommender, now: Visit, positive: float) -> None:
    """Draw what other models would say to the same ratings, and how much they agree."""
    own, _ = lists(model, dataset, now, [len(now.ratings)], positive)
    known = {int(item) for item in own[0] if item >= 0}
    with st.grid(5, min_column_width=190, gap="small", key="beside"):
        column(dataset, recipes.label(model.name), "your list", own[0].tolist(), known)
        for name in (name for name in BESIDE if name != model.name):
            with st.container(key=f"beside-{name}"):
                found = models.known_model(dataset, name, frame.choice().device)
                if found is None and models.is_quick(dataset, name):
                    with st.spinner(f"Fitting {recipes.label(name)} …"):
                        found = models.find_model(dataset, name, frame.choice().device)  # type: ignore[assignment]
                if not isinstance(found, Trained):
                    st.html(f'<section class="column"><h3>{html(recipes.label(name))}</h3></section>')
                    st.button(
                        f"Train {recipes.label(name)}",
                        on_click=start_training,
                        args=(dataset, name),
                        key=f"train {name}",
                        help="In the background; you can go on rating.",
                    )
                    continue
                theirs, _ = lists(found.model, dataset, now, [len(now.ratings)], positive)
                both = len(known & set(theirs[0].tolist()))
                column(dataset, recipes.label(name), f"{both} of {SHOWN} in your list too", theirs[0].tolist(), known)


def ranks_over_time(dataset: Dataset, model: Recommender, now: Visit, positive: float) -> None:
    """Draw how the films of the list came to their places, rating by rating."""
    count = len(now.ratings)
    lengths = list(range(max(0, count - TRACED), count + 1))
    then, _ = lists(model, dataset, now, lengths, positive)
    final = [int(item) for item in then[-1] if item >= 0]
    titles = {item: plain(cards.named(cards.film(dataset, item)))[:40] for item in final}
    rows = [
        {"ratings": length, "rank": place, "film": titles[int(item)], "now": final.index(int(item)) + 1}
        for length, items in zip(lengths, then, strict=True)
        for place, item in enumerate(items, start=1)
        if int(item) in titles
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("ratings:Q", title="ratings given", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("rank:Q", title="rank", scale=alt.Scale(domain=[SHOWN + 0.5, 0.5]), axis=alt.Axis(tickMinStep=1)),
        color=alt.Color("film:N", legend=None),
        tooltip=["film:N", "ratings:Q", "rank:Q"],
    )
    names = (
        base.transform_filter(f"datum.ratings == {count}")
        .mark_text(align="left", dx=10, fontSize=12)
        .encode(text="film:N")
    )
    chart = base.mark_line(interpolate="monotone", strokeWidth=3) + base.mark_circle(size=70, opacity=1) + names
    st.altair_chart(
        chart.properties(height=380, background="transparent", padding={"right": 220}),
        alt="Lines: the rank of each film of your list after each of your last ratings",
    )
    st.caption("A line that begins in the middle is a film that was not among the first ten before.")


def step_by_step(dataset: Dataset, model: Recommender, now: Visit, positive: float) -> None:
    """Draw the lists after none, one, two and five ratings side by side."""
    lengths = [n for n in STEPS if n <= len(now.ratings)]
    then, fallback = lists(model, dataset, now, lengths, positive)
    final = set(lists(model, dataset, now, [len(now.ratings)], positive)[0][0].tolist())
    rated = list(now.ratings.items())
    with st.grid(4, min_column_width=220, gap="medium", key="steps"):
        for length, items, popular in zip(lengths, then, fallback, strict=True):
            said = "everybody’s favourites" if popular else "in the order you rated"
            if length:
                item, stars = rated[length - 1]
                said = f"the last: {plain(cards.film(dataset, item).title)[:32]}, {stars:g} ★"
            column(dataset, f"After {length}", said, items.tolist(), final)
    st.caption("Marked: what stands in your list now.")


def taste(dataset: Dataset, now: Visit, positive: float) -> None:
    """Draw which genres and decades the visitor likes, against what everybody likes."""
    mine = np.array([i for i, stars in now.ratings.items() if dataset.in_scale(stars) >= positive], np.int64)
    if not len(mine):
        st.caption("You have liked nothing yet; there is no taste to draw.")
        return
    liked = dataset.ratings.at_least(positive)
    everybody = np.bincount(liked.item_idx, minlength=dataset.n_items) / max(1, len(liked))
    years = dataset.items["year"].to_numpy(np.float64, na_value=np.nan)
    decades = {f"{d:.0f}s": np.floor(years / 10) * 10 == d for d in np.unique(np.floor(years / 10) * 10) if d == d}
    genres = {name: people.has_genre(dataset, name) for name in people.genre_names(dataset)}
    for title, groups in (("Genres", genres), ("Decades", decades)):
        rows = [(plain(name), float(has[mine].mean()), float(everybody[has].sum())) for name, has in groups.items()]
        if title == "Genres":
            rows = sorted(rows, key=lambda row: -row[1])[:12]
        table = pd.DataFrame(rows, columns=["group", "you", "everybody"])
        bars = alt.Chart(table).encode(y=alt.Y("group:N", sort=None, title=None))
        share = alt.Axis(format="%", title="share of the films liked")
        chart = bars.mark_bar(cornerRadiusEnd=3, height={"band": 0.7}).encode(
            x=alt.X("you:Q", axis=share), tooltip=["group", alt.Tooltip("you", format=".0%")]
        ) + bars.mark_tick(thickness=3, size=18, color="#888").encode(
            x="everybody:Q", tooltip=["group", alt.Tooltip("everybody", format=".0%")]
        )
        st.html(f"<h3>{title}</h3>")
        st.altair_chart(
            chart.properties(height=26 * len(rows) + 40, background="transparent"),
            alt=f"Bars: your share by {title.lower()}; ticks: everybody’s",
        )
    st.caption(f"Bars: the {len(mine)} films you liked. Ticks: what everybody here liked.")


ready = frame.ready()
with states.guard(states.start_again):
    able = "fold-in" in abilities(ready.trained.model)
    trained = ready.trained if able else models.find_model(ready.dataset, models.DEFAULT_MODEL, frame.choice().device)
    if not able:
        st.info(
            f"{recipes.label(frame.choice().model)} serves only people it was trained on, so "
            f"{recipes.label(models.DEFAULT_MODEL)} answers here.",
            icon=":material/info:",
        )
    if isinstance(trained, Trained):
        studio(trained.model, ready.positive)
    else:
        states.problem(
            "The model that answers newcomers is still being trained; come back in a moment", states.start_again
        )
