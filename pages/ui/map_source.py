"""Maps as the page gets them: made once, kept, turned alike, in memory as long as they are looked at."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from pages.hosting.visitor import check_limit
from pages.ui import caches, jobs, map_chart, messages, recipes, sidebar
from pages.ui.datasets import origin_of
from recengine.data.dataset import Dataset
from recengine.experiments.store import Trained
from recengine.jobs.job import Job, JobKind, JobState, Task
from recengine.serving.islands import Island
from recengine.serving.islands import islands as find_islands
from recengine.serving.item_map import ItemMap, Projection, has_umap, known_map, map_file, obtain_map, oriented

QUICK = 2_000
"""Items up to which similarities are factored at once; item vectors need no factoring."""


class Drawn(NamedTuple):
    """A map, its islands, what the chart reads, and a name for exactly this."""

    here: ItemMap
    islands: list[Island]
    points: bytes
    version: str


@st.cache_resource(max_entries=6, show_spinner="Drawing the map …")
def _map(
    path: str,
    reference: str,
    _trained: Trained,
    _default: Trained | None,
    _dataset: Dataset,
    _positive: float,
    _projection: Projection,
) -> Drawn:
    """Return a map, turned towards that of the default model, its islands, and what the chart reads."""
    here = obtain_map(_trained, _dataset, _positive, _projection)
    if _default is not None:
        here = oriented(here, obtain_map(_default, _dataset, _positive))
    islands, version = find_islands(here, _dataset), f"{path} {reference}"
    return Drawn(here, islands, map_chart.packed(_dataset, here, islands, version), version)


def is_quick(trained: Trained, dataset: Dataset) -> bool:
    """Tell whether the plain map of a model takes a moment."""
    return dataset.n_items <= QUICK or trained.model.item_vectors() is not None


def find_map(ready: sidebar.Ready, projection: Projection) -> Drawn | None:
    """Return the map with its islands, or None where a job has to make it first."""
    dataset, trained, positive = ready.dataset, ready.trained, ready.positive
    path = map_file(trained, dataset, positive, projection)
    if known_map(trained, dataset, positive, projection) is None and not (
        projection == "pca" and is_quick(trained, dataset)
    ):
        return None
    default = caches.known_model(dataset, caches.DEFAULT_MODEL, sidebar.choice().device)
    if default is not None and not (is_quick(default, dataset) or known_map(default, dataset, positive, "pca")):
        default = None
    reference = "" if default is None else map_file(default, dataset, positive, "pca").name
    return _map(path.name, reference, trained, default, dataset, positive, projection)


def job_of(ready: sidebar.Ready, projection: Projection) -> Job | None:
    """Return the latest job that makes or made this map."""
    return jobs.jobs().latest(f"map {map_file(ready.trained, ready.dataset, ready.positive, projection).name}")


@messages.toast_errors
def start_map(ready: sidebar.Ready, projection: Projection) -> None:
    """Make a map in the background. For callbacks."""
    check_limit("job")
    origin, task = origin_of(ready.dataset), recipes.task_of(sidebar.choice().model, sidebar.choice().device)
    flags = ["--model", task.model, *recipes.set_flags(recipes.asked(task)), "--seed", str(task.seed)]
    flags += ["--positive", f"{ready.positive:g}", "--device", task.device, "--served", "--projection", projection]
    jobs.jobs().start(
        ["map", *origin.arguments(), *flags],
        kind=JobKind.MAP,
        title=f"Map of {recipes.label(sidebar.choice().model)}",
        key=f"map {map_file(ready.trained, ready.dataset, ready.positive, projection).name}",
        owner=origin.owner,
        task=Task((task.model,), data=origin.name, fingerprint=ready.dataset.fingerprint),
    )


def wait_for_map(ready: sidebar.Ready, projection: Projection) -> None:
    """Draw the job that makes a map, or the way to start it."""
    if projection == "umap" and not has_umap():
        st.info("This view needs one more package: `pip install umap-learn`.", icon=":material/info:")
        return
    job = job_of(ready, projection)

    def start() -> None:
        st.button("Draw this map", type="primary", on_click=start_map, args=(ready, projection))

    if job is not None and job.active:
        jobs.follow(job)
    elif job is not None and job.state is not JobState.DONE:
        jobs.ended_badly(job, start)
    else:
        messages.empty("Not drawn yet", "It takes about a minute, once; you can look around meanwhile.", start)
