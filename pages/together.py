"""Together: two to five tastes, and the films that suit all of them tonight."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import streamlit as st
import torch

from pages.ui import caches, cards, messages, sidebar, visitor_ratings
from pages.ui.address import link, recall, record
from pages.ui.escape import html, plain
from pages.ui.visitor_lists import as_histories
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.models.abilities import SupportsFoldIn
from recengine.serving.group import Strategy, debts, recommend_group
from recengine.serving.recommend import recommend, recommend_new

MOST = 5
"""Members of a group."""
YOU = "you"
STRATEGIES: dict[Strategy, tuple[str, str]] = {
    "misery": ("Nobody suffers", "Films are judged by whoever likes them least: this is what none of you minds."),
    "average": ("Best on average", "The largest sum: one of you may love what another would never choose."),
    "turns": (
        "Fair turns",
        "Each in turn gets a film from the top of their list, the one that suits the rest best.",
    ),
}
FIRST: Strategy = "misery"


class Member(NamedTuple):
    """Somebody in the group: what the address calls them, their name, and their user of the data (-1: the visitor)."""

    key: str
    name: str
    user_idx: int


def candidates(dataset: Dataset, mine: visitor_ratings.VisitorRatings, positive: float) -> dict[str, Member]:
    """Return who can join: you, once you have rated something, and the personas of the data."""
    known = [Member(YOU, "You", -1)] if mine.events else []
    for persona in caches.personas(dataset, positive):
        known.append(Member(str(dataset.user_ids[persona.user_idx]), persona.title, persona.user_idx))
    return {member.key: member for member in known}


def choose_members(dataset: Dataset, known: dict[str, Member]) -> list[Member]:
    """Draw the picker of members and return who is in."""

    def read(text: str) -> list[str] | None:
        keys = [key for key in text.split("|") if key in known][:MOST]
        return keys or None

    recall("group", list(known)[:2], read, of_dataset=True)
    st.multiselect(
        "Who is watching?",
        list(known),
        format_func=lambda key: plain(known[key].name),
        max_selections=MOST,
        key="group",
        on_change=lambda: record("group", None, "|".join),
    )
    record("group", None, "|".join)
    return [known[key] for key in st.session_state["group"]]


def choose_strategy() -> Strategy:
    """Draw the picker of the strategy with what it means, and return it."""
    recall("strategy", FIRST, lambda text: text if text in STRATEGIES else None)
    st.segmented_control(
        "How to agree",
        list(STRATEGIES),
        format_func=lambda key: STRATEGIES[key][0],
        key="strategy",
        required=True,
        on_change=lambda: record("strategy", FIRST),
    )
    record("strategy", FIRST)
    chosen: Strategy = st.session_state["strategy"]
    st.caption(STRATEGIES[chosen][1])
    return chosen


@torch.inference_mode()
def own_lists(
    ready: sidebar.Ready, members: list[Member], mine: visitor_ratings.VisitorRatings
) -> tuple[torch.Tensor, list[str]]:
    """Return (M, n_items) each member's whole list without what they have rated, and whose is only popularity."""
    dataset, k = ready.dataset, ready.dataset.n_items
    rows, popular = [], []
    for member in members:
        if member.user_idx < 0:
            among = np.setdiff1d(np.arange(k), [*mine.marked("pass"), *mine.marked("seen")])
            histories = as_histories(dataset, mine.events, [len(mine.events)])
            listing = recommend_new(ready.trained.model, dataset, histories, k=k, positive=ready.positive, among=among)
        else:
            listing = recommend(ready.trained.model, dataset, member.user_idx, k=k, positive=ready.positive)
        rows.append(listing.ranking.items[0])
        popular += [member.name] if listing.fallback[0] else []
    return torch.stack(rows), popular


def owed_to(members: list[Member]) -> np.ndarray:
    """Return what is owed to each member (M,) for films chosen earlier in this session."""
    debt: dict[str, float] = st.session_state.setdefault("gave way", {})
    return np.array([debt.get(member.key, 0.0) for member in members])


def chosen_for_tonight(members: list[Member], ranks: list[int], title: str) -> None:
    """Remember who gave way for a film. For callbacks."""
    after = debts(owed_to(members), ranks)
    st.session_state["gave way"] |= {member.key: debt for member, debt in zip(members, after.tolist(), strict=True)}
    st.session_state["tonight"] = title


def draw_debts(members: list[Member]) -> None:
    """Draw what was chosen last and who is owed the most."""
    if title := st.session_state.get("tonight"):
        owed = owed_to(members)
        most = members[int(owed.argmax())].name
        note = f" {html(most)} gave way most, so the next list leans their way." if owed.max() > 0 else ""
        st.html(f'<p class="notice" role="status">Tonight: <b>{html(title)}</b>.{note}</p>')


def draw_list(ready: sidebar.Ready, members: list[Member], mine: visitor_ratings.VisitorRatings) -> None:
    """Draw the films for the group, each with its rank in every member's own list."""
    dataset, words = ready.dataset, words_of(ready.dataset)
    strategy = choose_strategy()
    rankings, popular = own_lists(ready, members, mine)
    for name in popular:
        st.info(f"Too little is known of {plain(name)}: what is popular stands in.", icon=":material/info:")
    listing = recommend_group(rankings, strategy=strategy, owed=owed_to(members))
    draw_debts(members)
    if not len(listing.items):
        messages.empty(words.say("No films are left that nobody has seen"), "Try a smaller group.", one_fewer)
        return
    with st.grid(5, min_column_width=150, gap="medium", key="together"):
        for position, (item, ranks) in enumerate(zip(listing.items.tolist(), listing.ranks.tolist(), strict=True)):
            it = cards.film(dataset, item)
            turn = int(listing.chosen_for[position])
            lines = [f"{html(member.name)}: <b>#{rank:,}</b>" for member, rank in zip(members, ranks, strict=True)]
            if turn >= 0:
                lines.insert(0, f"<i>{html(members[turn].name)} to choose</i>")
            with st.container(key=f"tonight-{position}", gap="xsmall"):
                cards.card(it, key=f"together-{position}", rank=position + 1, note="<br>".join(lines))
                st.button(
                    "Watch this",
                    key=f"watch-{position}",
                    on_click=chosen_for_tonight,
                    args=(members, ranks, cards.named(it)),
                )
    st.caption(
        words.say("The number after a name is the film’s rank in that viewer’s own list; films that any of you rated ")
        + "are left out. “Watch this” remembers, in this tab, who gave way."
    )


def one_fewer() -> None:
    """Offer to take the last member out."""

    def leave() -> None:
        st.session_state["group"] = st.session_state["group"][:-1]
        record("group", None, "|".join)

    st.button("One fewer", type="primary", on_click=leave)


ready = sidebar.ready()
with messages.catch_bad_input(messages.start_again_link):
    mine = visitor_ratings.current(ready.dataset)
    if not isinstance(ready.trained.model, SupportsFoldIn):
        mine = visitor_ratings.VisitorRatings([], [])
    known = candidates(ready.dataset, mine, ready.positive)
    members = choose_members(ready.dataset, known)
    if YOU not in known:
        link("home.py", words_of(ready.dataset).say("Rate a film to join in yourself"), icon=":material/star_half:")
    if len(members) < 2:
        messages.empty("Choose at least two", "Then the list appears here.", lambda: None)
    else:
        draw_list(ready, members, mine)
