"""What makes a model on some data: the task of a choice in the sidebar, its settings, and its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from pages.ui.datasets import liked_from
from pages.ui.jobs import jobs, visible
from recengine.data.dataset import Dataset
from recengine.experiments.train import TrainingRequest
from recengine.jobs.job import Job, JobKind, JobState, Task
from recengine.models.registry import DEFAULT, MODELS
from recengine.training.config import RunConfig


def presets(model: str) -> dict[str, str]:
    """Return the settings that the app adds to a model's presets: recency weighs where validation gains by it.

    Only for models that score a history in closed form: others would need minutes to try.
    """
    kind = MODELS[model]
    has_recency = "recency_half_life" in kind.Config.__dataclass_fields__
    return {"recency_half_life": "auto"} if has_recency and "explain" in kind.abilities else {}


def asked(task: Task) -> dict[str, str]:
    """Return the settings of a training that are not the model's presets, the app's among them.

    A search has none of the app's: it searches recency like any other setting.
    """
    return dict(task.settings) if task.trials else presets(task.model) | dict(task.settings)


def is_preset(task: Task) -> bool:
    """Tell whether a task leaves all settings at their presets."""
    return not task.settings and not task.seed


def task_of(choice: str, device: str = "auto") -> Task:
    """Return the training of a choice in the sidebar: a registered model with its presets, or a run."""
    job = None if choice in MODELS else jobs().get(choice)
    return Task((choice,), device=device) if job is None else replace(job.task, device=device)


def request(dataset: Dataset, task: Task) -> TrainingRequest:
    """Return a training on all of a data set."""
    run = RunConfig(device=task.device, seed=task.seed)  # type: ignore[arg-type]  # it checks
    return TrainingRequest(dataset, task.model, asked(task), run, liked_from(dataset))


def runs_on(data: str) -> dict[str, Job]:
    """Return the finished runs on a data set that the presets do not make already, by id, the latest first.

    data : its name in the sidebar
    """
    done = [job for job in visible(JobKind.TRAIN) if job.state is JobState.DONE and job.task.data == data]
    latest = {job.key: job for job in reversed(done) if not is_preset(job.task)}
    return {job.id: job for job in reversed(latest.values())}


def set_flags(settings: Mapping[str, str]) -> list[str]:
    """Return the flags that set a model's options."""
    return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]


def describe(task: Task) -> str:
    """Return a title for a task: its models, what is not their preset, and the trials of a search."""
    settings = [f"{key.replace('_', ' ')} {value}" for key, value in task.settings.items()]
    settings += [f"seed {task.seed}"] if task.seed else []
    parts = [", ".join(map(label, task.models)), ", ".join(settings), f"{task.trials} trials" if task.trials else ""]
    return " · ".join(filter(None, parts))


def titles() -> dict[str, str]:
    """Return name -> title and family of every model: the recommended one first, then the largest families."""
    size = Counter(kind.family for kind in MODELS.values())

    def order(name: str) -> tuple[bool, bool, int, str]:
        family = MODELS[name].family
        return name != DEFAULT, family == "baseline", -size[family], family

    marks = {name: "recommended" if name == DEFAULT else MODELS[name].family for name in sorted(MODELS, key=order)}
    return {name: f"{MODELS[name].title} · {mark}" for name, mark in marks.items()}


def label(choice: str) -> str:
    """Return the usual name of a model, or the title of a run."""
    if choice in MODELS:
        return MODELS[choice].title
    job = jobs().get(choice)
    return choice.capitalize() if job is None else job.title
