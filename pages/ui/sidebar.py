"""The sidebar: the choice of data set, model and device, the state of the model, and the visitor's account."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui.address import forget_of_dataset, link, recall, record
from pages.ui.escape import html, markdown, plain
from recengine import settings
from recengine.export import nouns

if TYPE_CHECKING:  # both bring PyTorch, which is loaded only when the title is on the screen
    from pages.ui.words import Words
    from recengine.data.dataset import Dataset
    from recengine.experiments.store import Trained


class Choice(NamedTuple):
    """What is chosen in the sidebar: names, not yet loaded."""

    data: str
    model: str
    device: str


class Ready(NamedTuple):
    """What a page works with."""

    dataset: Dataset
    trained: Trained
    positive: float


def choice() -> Choice:
    """Return what is chosen in the sidebar."""
    state = st.session_state
    return Choice(state["data"], state["model"], state.get("device") or settings.default_device())


def choose(name: str, value: str) -> None:
    """Make a choice of the sidebar, for callbacks; another data set has other viewers, films and runs."""
    if name == "data":
        from pages.ui.recipes import task_of

        st.session_state["model"] = task_of(st.session_state["model"]).model  # a run belongs to its data set
        record("model", None)
        forget_of_dataset()
    st.session_state[name] = value
    record(name, None)


def draw(*, is_folded: bool = False) -> Words:
    """Draw the pickers of data set, model and, where there is a choice, device; return the nouns of the data set.

    is_folded : whether they fold away, on pages where a visitor looks for films and not at models
    """
    import torch

    from pages.ui import caches, datasets, messages, recipes
    from pages.ui.words import words_of
    from recengine.data.sources import SOURCES, is_present
    from recengine.models.registry import MODELS

    default = settings.default_dataset()
    names = [name for name in SOURCES if name == default or is_present(name)]
    names += [name for name in (default,) if name not in names]
    mine = datasets.my_uploads()
    with st.sidebar:
        fold = st.expander("Under the hood", key="hood", icon=":material/tune:") if is_folded else st.container()
    st.session_state["hood"] = fold
    with fold, st.container(key="pickers", gap="small"):
        data = _picker("data", "Data set", [*names, *mine], default, {default: datasets.label(default)} | mine)
        runs = recipes.runs_on(data)
        titles = {id: run.title for id, run in runs.items()} | recipes.titles()
        chosen = _picker("model", "Model", list(titles), caches.DEFAULT_MODEL, titles)
        kind = MODELS[recipes.task_of(chosen).model]
        learns = "Learns" if "incremental" in kind.abilities else "Does not learn"
        words = st.session_state["words"] = words_of(datasets.load(data))
        about = f"{words.say(kind.summary)} {learns} from visitors’ ratings."
        if "fold-in" in kind.abilities and not kind.hears_dislikes:
            about += words.say(" Dislikes do not count: a low rating only hides the film itself.")
        st.html(f'<p class="about-model"><b>{html(kind.family.capitalize())}.</b> {html(about)}</p>')
        for error in MODELS.errors:
            st.sidebar.warning(markdown(messages.as_sentence(error)), icon=":material/extension_off:")
        if torch.cuda.is_available():
            _picker("device", "Device", ["auto", "cpu", "cuda"], settings.default_device())
    account()
    return words


def hood() -> DeltaGenerator:
    """Return the part of the sidebar that tells of data set and model."""
    return st.session_state["hood"]


def account() -> None:
    """Offer to sign in or out, where the secrets name an identity provider."""
    from pages.hosting import visitor
    from pages.ui import visitor_ratings

    if not visitor.has_provider():
        return
    with st.sidebar, st.container(key="account", gap="small"):
        if visitor.account_id() is None:
            providers = [name for name, part in st.secrets["auth"].items() if isinstance(part, Mapping)]
            for name in providers or [None]:
                label = f"Sign in with {markdown(name.capitalize())}" if name else "Sign in"
                st.button(label, on_click=st.login, args=(name,) if name else (), icon=":material/login:", key=label)
            return
        name = markdown(str(st.user.get("name") or "yourself"))
        st.caption(f"Signed in as {name}. Your ratings are here on every device.")
        if any(earlier := visitor_ratings.unclaimed()):
            did = [f"{verb} ({n})" for verb, n in zip(("rated", "uploaded"), earlier, strict=True) if n]
            label = f"Add what you {' and '.join(did)} before signing in"
            st.button(label, on_click=visitor_ratings.claim, icon=":material/move_group:", key="claim")
        st.button("Sign out", on_click=st.logout, icon=":material/logout:", key="sign out")


def _picker(
    name: str, title: str, options: list[str], default: str, titles: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Draw a picker whose value always stands in the address, so that a link means the same to everyone.

    titles : what is shown for an option, where that is not its name
    """
    asked = st.query_params.get(name)
    recall(name, default, lambda text: text if text in options else None)
    st.selectbox(
        title,
        options,
        key=name,
        format_func=lambda option: plain(titles.get(option, option)),
        on_change=lambda: choose(name, st.session_state[name]),
    )
    record(name, None)
    if asked is not None and asked not in options:
        shown = st.session_state[name]
        st.sidebar.warning(
            f"Unknown {title.lower()} “{markdown(asked)}”. Showing {markdown(titles.get(shown, shown))} instead."
        )
    return st.session_state[name]


def dataset() -> Dataset:
    """Return the chosen data set: a shared one, or an upload of this visitor."""
    from pages.ui import datasets

    return datasets.load(choice().data)


def ready() -> Ready:
    """Return data set and model; while the model trains, draw its progress instead and stop the page here."""
    from pages.ui import caches, jobs, messages, recipes, waiting
    from pages.ui.training_form import training_form
    from pages.ui.words import words_of

    chosen = choice()
    with st.skeleton(height=420):
        data = dataset()
        result = caches.find_model(data, chosen.model, chosen.device)
    if isinstance(result, jobs.Job) and not result.active:
        status("not trained")
        wanted = recipes.task_of(chosen.model, chosen.device)

        @messages.toast_errors
        def again() -> None:
            training_form(data, wanted.model).start(wanted)

        jobs.ended_badly(result, lambda: st.button("Train it", type="primary", on_click=again))
        st.stop()
    if isinstance(result, jobs.Job):
        status("training now")
        waiting.draw(data, result)
        st.stop()
    if recency := caches.recency_text(result.model, recipes.task_of(chosen.model), words_of(data).an_item):
        hood().html(f'<p class="about-model">{html(recency)}</p>')
    positive = draw_liked(data)
    status(f"trained {ago(result.manifest.trained_at)}", result.manifest.origin.device)
    return Ready(data, result, positive)


def draw_liked(data: Dataset) -> float:
    """Draw what counts as liked, with the way to change it, and return the rating from which it does."""
    from pages.ui import datasets
    from pages.ui.words import words_of

    positive = datasets.liked_from(data)
    with hood():
        link("data.py", f"Liked: {markdown(words_of(data).at_least(positive))}", icon=":material/favorite:")
    return positive


def show_model_status(data: Dataset) -> None:
    """Write the status line on a page that needs no model, and what counts as liked."""
    from pages.ui import caches

    draw_liked(data)

    trained = caches.known_model(data, choice().model, choice().device)
    if trained is None:
        status("not trained yet")
    else:
        status(f"trained {ago(trained.manifest.trained_at)}", trained.manifest.origin.device)


def status(state: str, device: str = "") -> None:
    """Write the status line under the pickers."""
    from pages.ui import datasets, recipes

    chosen = choice()
    parts = [recipes.label(chosen.model), datasets.label(chosen.data), state, *([device.upper()] if device else [])]
    with hood():
        st.html(f'<p class="status{"" if device else " off"}">{html(" · ".join(parts))}</p>')


def ago(moment: str) -> str:
    """Return how long ago an ISO time was, in the largest unit that fits."""
    seconds = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())  # clocks differ
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "min")):
        count = int(seconds // size)
        if count:
            return f"{count} {unit if unit == 'min' else nouns(count, unit)} ago"
    return "just now"
