"""Recipes: what makes a model on some data, its flags for the command line, and the jobs that train it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from pages.hosting.visitor import check_limit, visitor_id
from pages.ui.jobs import jobs, visible
from recengine.data.dataset import Dataset
from recengine.experiments.train import TrainingRequest
from recengine.jobs.job import JOB_DIR, Job, JobState, Task
from recengine.models.registry import MODELS
from recengine.training.config import RunConfig


class Recipe(NamedTuple):
    """What makes a model on some data: its registered name, the settings that are not the app's presets, the seed."""

    model: str
    settings: Mapping[str, str] = {}
    seed: int = 0

    @property
    def is_preset(self) -> bool:
        return not self.settings and not self.seed

    @property
    def asked(self) -> dict[str, str]:
        """Return the settings that are not the model's own presets: what the app presets among them."""
        return presets(self.model) | dict(self.settings)


def presets(model: str) -> dict[str, str]:
    """Return what the app asks of a model beside its presets: to let recency weigh where it helps on validation.

    Only of models that score a history in closed form: others would need minutes to try.
    """
    kind = MODELS[model]
    has_recency = "recency_half_life" in kind.Config.__dataclass_fields__
    return {"recency_half_life": "auto"} if has_recency and "explain" in kind.abilities else {}


def recipe(choice: str) -> Recipe:
    """Return what a choice of the sidebar means: a registered model with its presets, or a run of the Train page."""
    job = None if choice in MODELS else jobs().get(choice)
    if job is None:
        return Recipe(choice)
    return Recipe(job.task.model, job.task.settings, job.task.seed)


def runs_on(data: str, dataset: Dataset | None = None) -> dict[str, Job]:
    """Return the finished runs on a data set that the presets do not make already, by id, the latest first.

    data : its name, or that of the visitor's own, which is `dataset`
    """
    done = [job for job in visible("train") if job.state is JobState.DONE and is_of(job, data, dataset)]
    latest = {job.key: job for job in reversed(done) if not recipe(job.id).is_preset}
    return {job.id: job for job in reversed(latest.values())}


def is_of(job: Job, data: str, dataset: Dataset | None) -> bool:
    """Tell whether a job is on that data set, named as in `runs_on`."""
    own = dataset is not None and job.task.fingerprint == dataset.fingerprint
    return own if job.owner else dataset is None and job.task.data == data


def request(dataset: Dataset, wanted: Recipe, device: str) -> TrainingRequest:
    """Return the training of a recipe on all of a data set."""
    run = RunConfig(device=device, seed=wanted.seed)  # type: ignore[arg-type]  # it checks
    return TrainingRequest(dataset, wanted.model, wanted.asked, run, dataset.like_threshold)


def train(dataset: Dataset, wanted: Recipe, device: str, *, force: bool = False) -> Job:
    """Queue a training; the job that is doing it already, if there is one.

    A visitor's own data is written beside the job for as long as it runs, and the job is theirs alone.
    """
    return start_on(
        dataset,
        ["train", wanted.model],
        [*flags(dataset, wanted, device), *(["--force"] if force else [])],
        title=describe(wanted),
        key=job_key(request(dataset, wanted, device), device),
        task=_task(wanted, device),
    )


def search(dataset: Dataset, wanted: Recipe, device: str, trials: int) -> Job:
    """Queue a search of the settings that `wanted` does not fix; recency is searched like any other."""
    return start_on(
        dataset,
        ["tune", wanted.model],
        [*flags(dataset, wanted, device, wanted.settings), "--trials", str(trials)],
        title=f"Search {describe(wanted)} · {trials} trials",
        key=f"{job_key(request(dataset, wanted, device), device)} {trials}",
        task=_task(wanted, device, trials),
    )


def _task(wanted: Recipe, device: str, trials: int = 0) -> Task:
    """Return the record of a training or a search."""
    return Task((wanted.model,), dict(wanted.settings), wanted.seed, device, trials=trials)


def set_flags(settings: Mapping[str, str]) -> list[str]:
    """Return the flags that set a model's options."""
    return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]


def run_flags(positive: float, seed: int, device: str) -> list[str]:
    """Return the flags that every command takes."""
    return ["--positive", str(positive), "--seed", str(seed), "--device", device]


def flags(dataset: Dataset, wanted: Recipe, device: str, settings: Mapping[str, str] | None = None) -> list[str]:
    """Return the flags that make a model; `settings` in place of the recipe's and the app's."""
    chosen = wanted.asked if settings is None else settings
    return [*run_flags(dataset.like_threshold, wanted.seed, device), *set_flags(chosen)]


def command_line(dataset: Dataset, command: Sequence[str], arguments: Sequence[str]) -> str:
    """Return what to type into a shell."""
    return shlex.join(["python", "-m", "recengine", *command, "--dataset", dataset.name, *arguments])


def start_on(
    dataset: Dataset,
    command: Sequence[str],
    arguments: Sequence[str],
    *,
    title: str,
    key: str,
    task: Task,
    files: Mapping[str, bytes] | None = None,
) -> Job:
    """Queue a command that reads a data set: by its name, or for a visitor's own from a copy beside the job.

    files : name -> content of what else lies beside the job, of this visitor, who then owns it
    Raises BadInput where the app is hosted and this visitor has asked for too much.
    """
    check_limit("job")
    own = _owner(dataset)
    name = f"ratings{st.session_state['uploaded_suffix']}" if own else dataset.name
    return jobs().start(
        [*command, "--dataset", f"{JOB_DIR}/{name}" if own else name, *arguments],
        kind=command[0],
        title=title,
        key=key,
        owner=own or (visitor_id() if files else ""),
        task=replace(task, data=dataset.name, fingerprint=dataset.fingerprint),
        files={**(files or {}), **({name: st.session_state["uploaded_bytes"]} if own else {})},
    )


def job_key(training: TrainingRequest, device: str) -> str:
    """Return the key of the job that makes a model, a visitor's own on their own data."""
    return f"train {training.name} {device} {_owner(training.dataset)}"


def _owner(dataset: Dataset) -> str:
    """Return this visitor if the data set is their own, else ""."""
    return visitor_id() if dataset is st.session_state.get("uploaded") else ""


def describe(wanted: Recipe) -> str:
    """Return a title for a run: the model and what is not its preset."""
    parts = [f"{key.replace('_', ' ')} {value}" for key, value in wanted.settings.items()]
    parts += [f"seed {wanted.seed}"] if wanted.seed else []
    return " · ".join([label(wanted.model), ", ".join(parts)] if parts else [label(wanted.model)])[:80]


def label(choice: str) -> str:
    """Return a model's name as people write it, or the title of a run, which is theirs to choose."""
    if choice in MODELS:
        return MODELS[choice].title
    job = jobs().get(choice)
    return choice.capitalize() if job is None else job.title
