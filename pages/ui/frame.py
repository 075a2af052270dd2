"""The frame of every page: its title, and the sidebar with data set, model and device and how they stand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from pages.ui.text import html, markdown
from recengine import settings

if TYPE_CHECKING:  # both bring PyTorch, which is loaded only when the title is on the screen
    from recengine.data.dataset import Dataset
    from recengine.serving.store import Trained

HERE = Path(__file__).parent
UPLOAD = "upload"
"""The name under which a visitor's own data set stands in their sidebar; only their session holds it."""


class Choice(NamedTuple):
    """What the sidebar says: names, not yet loaded."""

    data: str
    model: str
    device: str


class Ready(NamedTuple):
    """What a page works with."""

    dataset: Dataset
    trained: Trained
    positive: float


def style() -> None:
    """Load the style sheet."""
    st.html(HERE / "style.css")


def title(name: str, lead: str) -> None:
    """Draw the page's title and its first line."""
    st.html(f'<header class="head"><h1>{html(name)}</h1><p>{html(lead)}</p></header>')


def choice() -> Choice:
    """Return what the sidebar says."""
    state = st.session_state
    return Choice(state["data"], state["model"], state.get("device") or settings.default_device())


def _forget_place() -> None:
    """Drop person and film from the address: another data set has others."""
    for name in ("user", "item"):
        st.query_params.pop(name, None)
        st.session_state.pop(name, None)


def sidebar() -> None:
    """Draw the pickers of data set, model and, where there is a choice, device."""
    import torch

    from pages.ui import models
    from recengine.data.sources import list_datasets
    from recengine.models.registry import model_class

    uploaded = st.session_state.get("uploaded")
    data = {info.name: info.title for info in list_datasets() if info.present}
    data.setdefault(settings.default_dataset(), Path(settings.default_dataset()).stem)
    if uploaded is not None:
        data[UPLOAD] = f"Yours: {uploaded.name}"
    names, known = list(data), models.model_names()
    with st.sidebar, st.container(key="pickers", gap="small"):
        st.selectbox(
            "Data set",
            names,
            index=names.index(settings.default_dataset()),
            format_func=lambda name: markdown(data[name]),
            key="data",
            bind="query-params",
            on_change=_forget_place,
        )
        model = st.selectbox(
            "Model",
            known,
            index=known.index(models.DEFAULT_MODEL),
            format_func=models.label,
            key="model",
            bind="query-params",
        )
        kind = model_class(model)
        st.html(f'<p class="about-model"><b>{html(kind.family.capitalize())}.</b> {html(kind.summary)}</p>')
        if torch.cuda.is_available():
            options = ["auto", "cpu", "cuda"]
            start = options.index(settings.default_device())
            st.segmented_control(
                "Device", options, default=options[start], required=True, key="device", bind="query-params"
            )


def dataset() -> Dataset:
    """Return the chosen data set: a shared one, or this session's own upload."""
    from pages.ui import models

    name = choice().data
    if name == UPLOAD:
        return st.session_state["uploaded"]
    return models.shared_dataset(name)


def ready() -> Ready:
    """Return data set and model; while the model trains, show the progress in their place and stop here."""
    from pages.ui import jobs, models, states

    place = st.empty()
    with place.container():
        states.grid_skeleton()
    data = dataset()
    found = models.find_model(data, choice().model, choice().device)
    if isinstance(found, jobs.Job):
        status("training now")
        with place.container():
            jobs.show(found)
            states.grid_skeleton(2)
        st.stop()
    place.empty()
    status(f"trained {_ago(found.manifest['trained_at'])}", found.manifest["device"])
    return Ready(data, found, models.positive_threshold(data))


def status(state: str, device: str = "") -> None:
    """Write the status line under the pickers."""
    from pages.ui.models import label

    chosen = choice()
    name = "your data" if chosen.data == UPLOAD else chosen.data
    parts = [label(chosen.model), name, state, (device or chosen.device).upper()]
    with st.sidebar:
        st.html(f'<p class="status">{html(" · ".join(parts))}</p>')


def _ago(moment: str) -> str:
    """Return how long ago an ISO time was, in the largest unit that fits."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "min")):
        count = int(seconds // size)
        if count:
            return f"{count} {unit}{'s' if count > 1 and unit != 'min' else ''} ago"
    return "just now"
