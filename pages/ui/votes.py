"""What visitors' votes between two lists say of the models."""

from __future__ import annotations

import math

import streamlit as st

from pages.ui import recipes, visitor_ratings
from pages.ui.escape import html
from recengine.data.dataset import Dataset
from recengine.evaluation.duel import Standings, control, split_control
from recengine.evaluation.intervals import LEAST_USERS, Interval
from recengine.export import counted


def draw_standings(dataset: Dataset) -> None:
    """Draw how often each model's list is preferred, once anybody has voted."""
    votes, twins = split_control(visitor_ratings.event_log().votes(visitor_ratings.catalogue(dataset)))
    if not votes:
        return
    st.html('<h2 class="row-title">Preferred in duels</h2>')
    standings = Standings(votes)
    rows = "".join(_row(recipes.label(name), standings.chance(name)) for name in standings.models)
    st.html(
        '<table class="votes"><thead><tr><th>Model</th><th>Wins against an average model</th><th>95% interval</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )
    voters = len({vote.voter for vote in votes})
    scope = "" if standings.by_voter else " The intervals speak of these voters alone."
    if len(votes) < LEAST_USERS:
        scope = f" From {LEAST_USERS} votes on there are intervals."
    st.caption(
        f"{counted(len(votes), 'votes')} by {counted(voters, 'voters')}, fitted by Bradley and Terry’s model.{scope}"
    )
    if twins:
        left = control(twins)
        st.caption(
            f"Control: between two halves of one list, the left won {_percent(left)} of "
            f"{counted(len(twins), 'votes')}; half is what chance gives."
        )


def _row(name: str, chance: Interval) -> str:
    width = f"{100 * chance.value:.0f}%"
    ends = "–" if math.isnan(chance.low) else f"{chance.low:.0%} to {chance.high:.0%}"
    bar = f'<span class="bar"><i style="width:{width}"></i></span>'
    return f"<tr><td>{html(name)}</td><td>{bar} {width}</td><td>{ends}</td></tr>"


def _percent(share: Interval) -> str:
    ends = "" if math.isnan(share.low) else f" ({share.low:.0%} to {share.high:.0%})"
    return f"{share.value:.0%}{ends}"
