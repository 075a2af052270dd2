"""Shared learning: visitors' ratings become part of an incremental model that all visitors start from.

    done = promote(dataset, EventLog(), name="step")    # replay the log onto a new snapshot, test it, serve it
    rollback(dataset, name="step")                      # serve the snapshot before it again

The base is the model trained on the data set alone. A promotion replays the ratings that stand in the log onto it, in
the order of the log, so that the same log gives the same bytes, and erased ratings are not in the next snapshot. It is
tested by the same replay onto a base without the hold-out, the last positive of each user of the data set, which no
visitor can change. Snapshots are artefacts; `current.json`, written last and atomically, names the one that is served.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, make_split
from recengine.errors import BadInput
from recengine.evaluation.ranking import evaluate
from recengine.experiments.store import ArtefactStore, Origin
from recengine.experiments.train import TrainingRequest, obtain
from recengine.files import atomic_text_file, sha256_of
from recengine.metrics import RANKING_METRICS
from recengine.models.abilities import SupportsPartialFit
from recengine.models.base import Recommender
from recengine.models.registry import FOR_EVENTS, MODELS, model_class
from recengine.serving.event_log import Event, EventLog, located
from recengine.training.config import RunConfig
from recengine.training.progress import OnEpoch

CAP = 100
"""The number of latest ratings of a visitor that count, so that none outweighs a busy user of the data set."""
KEPT = 3
"""The number of snapshots that are kept, including the served one."""


class Reached(NamedTuple):
    """A metric of the new snapshot, and of a rival with its 95 % interval over users."""

    value: float
    rival: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        return self.value < self.low


class Promoted(NamedTuple):
    """The result of a promotion or a rollback.

    promoted : whether the app now serves another snapshot than before
    version  : of the snapshot that is served; 0 is the base
    why      : a sentence
    visitors, ratings : what was replayed
    metrics  : rival (`served`, `base`) -> metric -> the values of the new snapshot and the rival on the hold-out
    """

    promoted: bool
    version: int
    why: str
    visitors: int = 0
    ratings: int = 0
    metrics: dict[str, dict[str, Reached]] = {}  # noqa: RUF012 - never changed


def served_folder(base: Path) -> Path:
    """Return the folder of the snapshot served in place of the artefact `base`; before any promotion `base` itself."""
    current = _current(_root(base))
    return _root(base) / f"{current[-1]}-served" if current else base


def served_models(dataset: Dataset, *, run: RunConfig, positive: float) -> list[str]:
    """Return the incremental models that the app serves, those with an artefact; where there is none, the default."""
    names = [name for name, kind in MODELS.items() if "incremental" in kind.abilities]
    folders = {name: TrainingRequest(dataset, name, run=run, positive=positive).folder for name in names}
    return [name for name, folder in folders.items() if folder.exists()] or [FOR_EVENTS]


def promoted_models(dataset: Dataset, *, run: RunConfig, positive: float) -> list[str]:
    """Return the incremental models of which a snapshot is served; where there is none, the default."""
    names = [name for name, kind in MODELS.items() if "incremental" in kind.abilities]
    roots = {name: _root(TrainingRequest(dataset, name, run=run, positive=positive).folder) for name in names}
    return [name for name, root in roots.items() if _current(root)] or [FOR_EVENTS]


def promote(
    dataset: Dataset,
    log: EventLog,
    *,
    name: str = FOR_EVENTS,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    positive: float = 4.0,
    cap: int = CAP,
    on_epoch: OnEpoch | None = None,
) -> Promoted:
    """Replay the log onto a new snapshot; serve it unless some metric falls below its interval from before.

    It is compared with the served snapshot and with the base, so that small losses cannot add up.
    Raises BadInput for a model that does not learn from single events.
    """
    if "incremental" not in model_class(name).abilities:
        able = ", ".join(model for model, kind in MODELS.items() if "incremental" in kind.abilities)
        raise BadInput("model", name, f"one of: {able}", problem="does not learn from single ratings")
    base = TrainingRequest(dataset, name, run=run, positive=positive).folder
    root, split = _root(base), make_split(dataset, "leave-last", positive=positive)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        rows = capped(log.ratings(dataset.name), cap)
        events, visitors = as_interactions(rows, dataset, positive)
        kept, store = _current(root), ArtefactStore(root)
        version = kept[-1] if kept else 0
        content = sha256_of(repr([(visitor, event.item_id, event.stars) for visitor, event in rows]).encode())
        served = store.find(root / f"{version}-served") if version else None
        if not len(events) or (served is not None and served.manifest.origin.log == content):
            return Promoted(False, version, "the log holds nothing new to learn", visitors, len(events))

        def learned(part: Split | None) -> Recommender:
            request = TrainingRequest(dataset, name, run=run, positive=positive, split=part)
            model = obtain(request, on_epoch=on_epoch).model
            assert isinstance(model, SupportsPartialFit)
            return model.partial_fit(events).forget_from(dataset.n_users)

        judged = learned(split)
        on_split = TrainingRequest(dataset, name, run=run, positive=positive, split=split)
        rivals: dict[str, Recommender] = {"base": obtain(on_split).model}
        if version and (before := store.find(root / f"{version}-judged")):
            rivals["served"] = before.model
        ours = _reached(judged, split)
        metrics = {
            rival: {key: Reached(ours[key][0], *theirs) for key, theirs in _reached(model, split).items()}
            for rival, model in rivals.items()
        }
        worse = [
            f"{key} than the {r}" for r, by_metric in metrics.items() for key, m in by_metric.items() if m.is_worse
        ]
        if worse:
            why = f"the new snapshot is worse in {', '.join(worse)}, beyond its interval; the old one stays"
            return Promoted(False, version, why, visitors, len(events), metrics)
        new = 1 + max([0, *kept, *_versions(root).values()])
        origin = Origin(dataset.name, device="cpu", log=content, visitors=visitors, ratings=len(events))
        store.obtain(root / f"{new}-judged", lambda: judged, origin, force=True)
        store.obtain(root / f"{new}-served", lambda: learned(None), origin, force=True)
        _serve(root, [*kept, new][-KEPT:])
        why = (
            f"{len(events):,} ratings of {visitors:,} visitors are learned, and no metric is worse beyond its interval"
        )
        return Promoted(True, new, why, visitors, len(events), metrics)


def rollback(
    dataset: Dataset,
    *,
    name: str = FOR_EVENTS,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    positive: float = 4.0,
) -> Promoted:
    """Delete the served snapshot and serve the one before it, or the base.

    Raises BadInput where nothing was promoted.
    """
    root = _root(TrainingRequest(dataset, name, run=run, positive=positive).folder)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        kept = _current(root)
        if not kept:
            raise BadInput("model", name, problem=f"has no promoted snapshot on {dataset.name!r} to roll back")
        _serve(root, kept[:-1])
        version = kept[-2] if len(kept) > 1 else 0
        return Promoted(True, version, f"version {kept[-1]} is taken back")


def capped(ratings: Sequence[tuple[str, Event]], cap: int) -> list[tuple[str, Event]]:
    """Return the latest `cap` ratings of each visitor, in the order given."""
    count: Counter[str] = Counter()
    kept = []
    for visitor, event in reversed(ratings):
        count[visitor] += 1
        if count[visitor] <= cap:
            kept.append((visitor, event))
    return kept[::-1]


def as_interactions(
    ratings: Sequence[tuple[str, Event]], dataset: Dataset, positive: float
) -> tuple[Interactions, int]:
    """Return the positives among the ratings, the visitors as users after those of the data set, and their number.

    Items that the data set does not have are left out.
    """
    known = [(visitor, e) for visitor, event in ratings for e in located([event], dataset.item_index_of)]
    rated = [(visitor, e.item_idx, dataset.in_scale(e.stars or 0.0, positive)) for visitor, e in known]
    liked = [row for row in rated if row[2] >= positive]
    users = {visitor: dataset.n_users + n for n, visitor in enumerate(dict.fromkeys(row[0] for row in liked))}
    interactions = Interactions.from_pairs(
        [users[visitor] for visitor, _, _ in liked],
        [item for _, item, _ in liked],
        rating=[rating for _, _, rating in liked],
        n_users=dataset.n_users + len(users),
        n_items=dataset.n_items,
    )
    return interactions, len(users)


def _reached(model: Recommender, split: Split) -> dict[str, tuple[float, float, float]]:
    """Return each accuracy metric on the hold-out, with its interval."""
    means = evaluate(model, split).means()
    return {key: value for key, value in means.items() if key.partition("@")[0] in (*RANKING_METRICS, "auc")}


def _root(base: Path) -> Path:
    return settings.home() / "snapshots" / base.name


def _current(root: Path) -> list[int]:
    """Return the versions that are kept, the served one last; none where the file is missing or damaged."""
    try:
        kept = json.loads((root / "current.json").read_text(encoding="utf-8"))["kept"]
        return [int(version) for version in kept]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _versions(root: Path) -> dict[Path, int]:
    """Return the folders of all snapshots, kept or left by a crash, with their versions."""
    return {path: int(path.name.partition("-")[0]) for path in root.glob("[0-9]*-*")}


def _serve(root: Path, kept: list[int]) -> None:
    """Serve the last of these versions, atomically, then remove all other snapshots."""
    with atomic_text_file(root / "current.json") as file:
        json.dump({"kept": kept}, file)
    for path, version in _versions(root).items():
        if version not in kept:
            ArtefactStore(root).remove(path)
