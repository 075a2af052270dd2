"""Streams in an experiment: each model replayed by itself, and all of them set side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from recengine.data.dataset import Dataset
from recengine.evaluation.prequential import FROZEN, Replay, Stream, bootstrapped, make_stream, prequential
from recengine.evaluation.stream_report import StreamReport
from recengine.experiments.measured import Arrays
from recengine.files import Json, JsonObject
from recengine.models.registry import RUNNING_COUNT, configure, model_class
from recengine.training.config import RunConfig, Settings
from recengine.training.progress import OnEpoch


@dataclass(frozen=True)
class StreamRequest:
    """Which models are replayed on which stream; a running count is always among them.

    models, kinds : as in `ComparisonRequest`
    The others are those of `make_stream` and `prequential`.
    """

    models: Mapping[str, Settings]
    positive: float = 5.0
    bootstrap: float = 0.2
    include_seen: bool = False
    k: int = 10
    run: RunConfig = RunConfig()  # noqa: RUF009 - frozen
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if RUNNING_COUNT not in map(self.kind, self.models):
            object.__setattr__(self, "models", {**self.models, RUNNING_COUNT: {}})

    def kind(self, name: str) -> str:
        """Return the model that a name stands for."""
        return self.kinds.get(name, name)

    def stream(self, dataset: Dataset) -> Stream:
        """Return the stream. Raises BadInput where there are too few positives."""
        return make_stream(dataset.positives(self.positive), bootstrap=self.bootstrap)


def replay_one(
    dataset: Dataset, request: StreamRequest, name: str, on_epoch: OnEpoch | None = None
) -> tuple[Arrays, dict[str, Json]]:
    """Replay the stream to one model, and to a copy that stays as it started; return their ranks and seconds."""
    kind, stream = model_class(request.kind(name)), request.stream(dataset)
    config, run = configure(request.kind(name), dict(request.models[name]), request.run)
    model = kind(config).fit(stream.bootstrap, items=dataset.items, users=dataset.users, run=run, on_epoch=on_epoch)
    models = bootstrapped({name: model}, [name] if kind.is_personalised else [])
    replay = prequential(models, stream, k=request.k, masked=not request.include_seen)
    endings = {one: "frozen" if one != name else "learning" for one in models}
    return {endings[one]: ranks for one, ranks in replay.ranks.items()}, {
        "seconds": {endings[one]: seconds for one, seconds in replay.seconds.items()}
    }


def report_replays(
    dataset: Dataset, request: StreamRequest, replayed: Callable[[str], tuple[Arrays, JsonObject]]
) -> tuple[StreamReport, dict[str, Exception]]:
    """Return the report of models that were replayed one by one, as if it had been together, and the errors of others.

    replayed : returns what `replay_one` gave for a name, or raises why it gave nothing
    """
    results, errors = {}, {}
    for name in request.models:
        try:
            results[name] = replayed(name)
        except Exception as error:
            errors[name] = error
    if not results:
        raise next(iter(errors.values()))
    ranks = {name: arrays["learning"] for name, (arrays, _) in results.items()}
    ranks |= {name + FROZEN: arrays["frozen"] for name, (arrays, _) in results.items() if "frozen" in arrays}
    seconds = {
        name: results[name.removesuffix(FROZEN)][1]["seconds"]["frozen" if name not in results else "learning"]
        for name in ranks
    }
    replay = Replay(request.stream(dataset), request.k, ranks, seconds)
    settings = {
        name: configure(request.kind(name), dict(request.models[name]), request.run)[0].to_dict() for name in results
    }
    return StreamReport.of(
        replay, dataset=dataset.name, positive=request.positive, masked=not request.include_seen, settings=settings
    ), errors
