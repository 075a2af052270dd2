"""A film and the visitor: their stars, what the model expects of them, why, and what would change that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType

from pages.ui import board, caches, marks, messages, recipes, sidebar, visitor_ratings
from pages.ui.address import link
from pages.ui.board import Square
from pages.ui.escape import html
from pages.ui.reason_words import listed
from pages.ui.steering import chosen_steering
from pages.ui.visitor_lists import SHOWN, as_histories
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.experiments.store import Trained
from recengine.models.abilities import SupportsExplain
from recengine.models.base import Recommender
from recengine.serving.certainty import how_sure, predicted_stars
from recengine.serving.event_log import Event
from recengine.serving.explain import Contribution, Why, why
from recengine.serving.recommend import recommend_new
from recengine.serving.why_not import MOST, WhyNot, why_not

BOARD = "board-film"
ASIDE = {
    "watchlist": ("Watchlist", ":material/bookmark:"),
    "seen": ("Seen it", ":material/visibility:"),
    "pass": ("Not interested", ":material/block:"),
}
"""Kinds of acts that put a film aside -> their button and its icon."""
NAMED = 5
"""Films that speak for a film, and against it, that are named."""
LEAST = 0.005
"""What a rating adds or takes at least where it is named: less is written as 0."""
TRYING = "Trying ratings on the model:"
PATIENCE = 2.0
"""Seconds after which a search can be stopped."""
STANDING = {
    "quality": "how its raters rate it",
    "fame": "how many like it",
    "average": "what anyone would get",
    "passed": "what you are not interested in",
    "arrangement": "others of its series come first",
}
"""What no single rating causes, in words."""


class Known(NamedTuple):
    """What the visitor has told, without the film in question, as the models take it: one new user's rows."""

    history: Interactions
    passed: Interactions | None
    seen: Interactions | None

    @property
    def aside(self) -> dict[str, Any]:
        """Return what is left out as serving takes it."""
        return {"passed": self.passed, "seen": self.seen}


def known(dataset: Dataset, mine: VisitorRatings, seed: int, positive: float) -> Known:
    """Return what the visitor has given for other films."""
    events = [event for event in mine.events if event.item_idx != seed]

    def aside(kind: str) -> Interactions | None:
        items = [item for item in mine.marked(kind) if item != seed]
        return Interactions.from_pairs([0] * len(items), items, n_users=1, n_items=dataset.n_items) if items else None

    return Known(as_histories(dataset, events, [len(events)], positive), aside("pass"), aside("seen"))


def keep(dataset: Dataset) -> VisitorRatings:
    """Append what was done on the board to the log, and return what stands."""
    if events := visitor_ratings.unkept(dataset, [BOARD]):
        messages.toast_errors(visitor_ratings.append)(dataset, events)
    mine = visitor_ratings.current(dataset)
    visitor_ratings.acknowledge(mine)
    messages.show_pending_toast()
    return mine


def draw_board(dataset: Dataset, mine: VisitorRatings, seed: int) -> None:
    """Draw the poster with the visitor's stars."""
    square = Square(seed, stars=mine.stars.get(seed, 0.0))
    board.draw(dataset, [square], key=BOARD, acknowledged=mine.acknowledged, passing=False, fades=False)


@messages.toast_errors
def _undo(dataset: Dataset, event: Event) -> None:
    """Take an act back. For callbacks."""
    visitor_ratings.take_back(dataset, [event])


def draw_aside(dataset: Dataset, mine: VisitorRatings, seed: int) -> None:
    """Draw what else one can do with a film than rate it: one of these stands at a time."""
    stands = next((event for event in mine.standing if event.item_idx == seed), None)
    if stands is not None and stands.kind == "rate":
        return  # it would take the stars away
    with st.container(horizontal=True, gap="xsmall", key="aside"):
        for kind, (label, icon) in ASIDE.items():
            if stands is not None and stands.kind == kind:
                st.button(
                    label,
                    on_click=_undo,
                    args=(dataset, stands),
                    type="primary",
                    icon=":material/check:",
                    help="Press again to take it back",
                    key=f"aside {kind} {seed}",
                )
            else:
                st.button(label, on_click=marks.add, args=(dataset, seed, kind), icon=icon, key=f"aside {kind} {seed}")


def draw(ready: sidebar.Ready, mine: VisitorRatings, seed: int) -> None:
    """Draw what the model expects of the visitor and this film, why, and why not; or the invitation to rate."""
    dataset, words = ready.dataset, words_of(ready.dataset)
    st.html(f'<h2 class="row-title">{words.say("You and this film")}</h2>')
    rest = known(dataset, mine, seed, ready.positive)
    if not len(rest.history):
        what = "Mark a few films that you like" if words.is_implicit else "Rate a few films"
        st.caption(words.say(f"{what}, and this film tells you where it stands for you, and exactly why."))
        link("home.py", words.say(f"{what}"), icon=":material/star_half:")
        return
    trained: object = ready.trained
    if "fold-in" not in ready.trained.model.abilities:
        trained = caches.find_model(dataset, caches.DEFAULT_MODEL, sidebar.choice().device)
    if not isinstance(trained, Trained):
        st.caption("The model for your list is still training; come back in a moment.")
        return
    with st.container(key="yours"):
        _draw_yours(trained.model, ready, mine, rest, seed)
        if trained is not ready.trained:
            chosen, used = recipes.label(sidebar.choice().model), recipes.label(caches.DEFAULT_MODEL)
            st.caption(f"{chosen} cannot read new ratings, so {used} answers here.")


def _draw_yours(model: Recommender, ready: sidebar.Ready, mine: VisitorRatings, rest: Known, seed: int) -> None:
    """Draw what one model says of a film for the visitor."""
    dataset, stands = ready.dataset, {event.item_idx: event.kind for event in mine.standing}.get(seed)
    reasons = None
    if isinstance(model, SupportsExplain):
        reasons = why(model, dataset, rest.history, seed, positive=ready.positive, **rest.aside)
        rank = reasons.rank or 0
    else:
        listing = recommend_new(model, dataset, rest.history, k=dataset.n_items, positive=ready.positive, **rest.aside)
        rank = listing.ranking.items[0].tolist().index(seed) + 1
    sentences = [expected(model, dataset, mine, rest.history, seed), stands_at(dataset, rank, stands)]
    if rank <= SHOWN and stands is None and len(rest.history) > 1:
        sure = how_sure(model, dataset, rest.history, k=SHOWN, positive=ready.positive, **rest.aside)
        share = next((one.probability for one in sure if one.item_idx == seed), 0.0)
        sentences.append(
            f"From a random half of your ratings it would still be in your ten <b>{share:.0%}</b> of the time."
        )
    st.html(f'<p class="verdict">{" ".join(filter(None, sentences))}</p>')
    if reasons is not None and reasons.fallback:
        st.caption("Nothing that you rated says anything of it yet, so what is popular stands in.")
    elif reasons is not None:
        st.html(reasons_html(dataset, reasons))
    if rank > SHOWN and stands is None and model.is_personalised:
        draw_why_not(model, ready, mine, rest, seed, rank)
    if chosen_steering(dataset, ready.positive) is not None:
        st.caption("The knobs that you have turned on Home are not counted here.")


def expected(model: Recommender, dataset: Dataset, mine: VisitorRatings, history: Interactions, seed: int) -> str:
    """Return the stars that the visitor gave and would give, as HTML; "" where nothing is known of either."""
    words, given = words_of(dataset), mine.stars.get(seed)
    if words.is_implicit:
        return "" if given is None else f"You chose this {words.item}."
    guess = next(iter(predicted_stars(model, history, [seed])), None)
    about = ""
    if guess is not None:
        span = f"{guess.low:.1f} to {words.amount(guess.high, '.1f')}, four times in five"
        about = f"about <b>{words.amount(guess.rating, '.1f')}</b> ({span})"
    if given is None:
        return f"You would give it {about}." if about else ""
    yours = f"You gave it <b>{given:g} ★</b>."
    return f"{yours} From your other {words.ratings} alone we would have guessed {about}." if about else yours


def stands_at(dataset: Dataset, rank: int, stands: str | None) -> str:
    """Return where the film is in the visitor's list, or would be, as HTML."""
    of = f"<b>{rank:,}</b> of {dataset.n_items:,}"
    if stands is not None:
        return f"Were it not set aside or rated, it would stand at rank {of}."
    return f"It is in your list, at rank {of}." if rank <= SHOWN else f"It stands at rank {of}."


def reasons_html(dataset: Dataset, reasons: Why) -> str:
    """Return the ratings that speak for a film and against it as HTML, with exactly what each adds."""
    speak = [part for part in reasons.contributions if part.amount > 0]
    against = [part for part in reversed(reasons.contributions) if part.amount < 0]
    largest = max((abs(part.amount) for part in reasons.contributions), default=1.0) or 1.0
    lists = [
        _list(dataset, title, parts, largest, kind)
        for title, parts, kind in (("Speaks for it", speak, "for"), ("Speaks against it", against, "against"))
    ]
    standing = ", ".join(
        f"{signed(amount)} for {STANDING.get(name, name)}" for name, amount in reasons.standing.items()
    )
    also = f"Whatever you rate: {html(standing)}. " if standing else ""
    return (
        f'<div class="reasons">{"".join(lists)}</div>'
        f'<p class="legend">{also}All parts add up to its score, {minus(f"{reasons.score:.2f}")}.</p>'
    )


def signed(amount: float) -> str:
    """Return an amount with its sign."""
    return minus(f"{amount:+.2f}")


def minus(number: str) -> str:
    """Return a number with the sign that is as wide as a plus."""
    return number.replace("-", "−")


def _list(dataset: Dataset, title: str, parts: Sequence[Contribution], largest: float, kind: str) -> str:
    """Return the ratings that speak one way as HTML: the strongest by name, the others as a sum."""
    words = words_of(dataset)
    named = [part for part in parts[:NAMED] if abs(part.amount) >= LEAST]
    rows = [
        f'<li><span class="what">{html(dataset.films[part.item_idx][1])}'
        f"{'' if words.is_implicit else f' <i>{words.amount(part.rating)}</i>'}</span>"
        f'<span class="amount">{signed(part.amount)}</span>'
        f'<span class="meter"><i style="width:{100 * abs(part.amount) / largest:.0f}%"></i></span></li>'
        for part in named
    ]
    rest = parts[len(named) :]
    if abs(total := sum(part.amount for part in rest)) >= LEAST:
        rows.append(f'<li><span class="what">{len(rest):,} more</span><span class="amount">{signed(total)}</span></li>')
    body = f"<ul>{''.join(rows)}</ul>" if rows else f"<p>None of your {words.ratings}.</p>"
    return f'<section class="{kind}"><h3>{title}</h3>{body}</section>'


def _is_clicked() -> bool:
    """Tell whether the browser has asked for another run meanwhile.

    Streamlit lets a fragment run to its end before it runs it again, and has no public way to ask.
    """
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.script_requests._state is ScriptRequestType.RERUN  # type: ignore[union-attr]


class StoppedError(Exception):
    """A search was stopped by the visitor."""


class _Search:
    """Draws how far a search is, and after a while a button that ends it, as any other click does."""

    def __init__(self) -> None:
        self.began, self.can_stop = time.monotonic(), False
        self.bar, self.stop = st.progress(0.0, TRYING), st.empty()

    def __call__(self, share: float) -> None:
        if _is_clicked():
            raise StoppedError
        self.bar.progress(share, f"{TRYING} {share:.0%}")
        if not self.can_stop and time.monotonic() - self.began > PATIENCE:
            self.can_stop = self.stop.button("Stop", icon=":material/close:", key="why-not-stop") or True


def draw_why_not(
    model: Recommender, ready: sidebar.Ready, mine: VisitorRatings, rest: Known, seed: int, rank: int
) -> None:
    """Offer to look for what would bring a film into the ten, and draw the answer, which was tried on the model."""
    dataset, key = ready.dataset, (ready.dataset.fingerprint, model.name, seed, mine.standing)
    label = "What would bring it into my ten?"
    if st.session_state.get("why not", (None,))[0] != key:
        slot = st.empty()
        if not slot.button(label, icon=":material/help:", key="why-not"):
            return
        with slot.container(horizontal=True, vertical_alignment="center", key="why-not-search"):
            progress = _Search()
            try:
                answer = why_not(
                    model,
                    dataset,
                    rest.history,
                    seed,
                    k=SHOWN,
                    positive=ready.positive,
                    progress=progress,
                    **rest.aside,
                )
            except StoppedError:
                return  # what was clicked is drawn next
        slot.empty()
        st.session_state["why not"] = key, answer
    st.html(
        f'<p class="verdict why-not" role="status">{answer_html(dataset, st.session_state["why not"][1], mine)}</p>'
    )


def answer_html(dataset: Dataset, answer: WhyNot, mine: VisitorRatings) -> str:
    """Return what would bring a film into the ten as HTML."""
    words = words_of(dataset)
    if not answer.ratings:
        few = f"No {MOST} {words.ratings} or fewer that we tried"
        return f"{few} would bring it into your ten. It may be too unlike what you like, or known to too few."
    rating, changing = [], []
    for given in answer.ratings:
        title = f"<b>{html(dataset.films[given.item_idx][1])}</b>"
        stars = "" if words.is_implicit else f" {words.amount(given.rating)}"
        if given.item_idx in mine.stars:
            before = words.amount(dataset.in_scale(mine.stars[given.item_idx]))
            changing.append(title if words.is_implicit else f"{title} from {before} to{stars}")
        else:
            rating.append(f"{title}{stars}")
    verb = "choosing" if words.is_implicit else "rating"
    parts = [f"{does} {listed(films)}" for does, films in ((verb, rating), ("changing", changing)) if films]
    start = " and ".join(parts)
    return (
        f"{start[0].upper()}{start[1:]} would bring it from rank {answer.rank:,} to <b>rank {answer.new_rank:,}</b>. "
        "We tried it on the model itself."
    )
