"""The command `stream`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recengine.cli.arguments import Commands, add_data_command, whole_number
from recengine.cli.common import load_data, read_settings
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.matching import read_ratings
from recengine.errors import BadInput
from recengine.evaluation.prequential import (
    FROZEN,
    WINDOW,
    OnStream,
    RankedEvent,
    Replay,
    StreamProgress,
    Throttle,
    bootstrapped,
    make_stream,
    prequential,
)
from recengine.export import table, write_csv
from recengine.jobs.events import StreamedRating, StreamEvent
from recengine.models.registry import FOR_EVENTS, MODELS, RUNNING_COUNT, configure, model_class
from recengine.training.config import RunConfig

CHOSEN_ON = 5
"""The presets were chosen on the bootstrap and on one such part of the replay; recall is given for the rest, too."""
GUEST = "guest"
"""The id of the user whose ratings are mixed in."""
POINTS = 200
"""Of each moving average in the JSON object."""


def add_commands(commands: Commands) -> None:
    """Declare `stream`."""
    command = add_data_command(
        commands, "stream", stream_models, "replay ratings in time order: test, then train", model=False
    )
    command.set_defaults(positive=5.0)
    command.add_argument("--model", action="append", metavar="M", help="one that learns from events; default: step")
    command.add_argument("--bootstrap", type=float, default=0.2, metavar="SHARE", help="of the events to start from")
    command.add_argument("--include-seen", action="store_true", help="rank what a user had before, too")
    command.add_argument("-k", type=int, default=10)
    command.add_argument("--events", type=whole_number(1), metavar="N", help="replay no more than N")
    command.add_argument("--mix", type=Path, metavar="F.csv", help="item_id or title, rating: one more user")
    command.add_argument("--pace", type=float, metavar="N", help="replay no more than N events a second, to watch")
    command.add_argument("--hold", type=Path, metavar="F", help="pause while this file exists")
    command.add_argument("--out", type=Path, metavar="F.csv", help="one row for each event and model")


def stream_models(options: argparse.Namespace, report: Reporter) -> None:
    names = list(dict.fromkeys(options.model or [FOR_EVENTS]))
    throttle = Throttle(options.pace, options.hold)
    for name in names:
        if "incremental" not in model_class(name).abilities:
            able = [model for model in MODELS if "incremental" in MODELS[model].abilities]
            raise BadInput("model", name, f"one of: {', '.join(able)}", problem="does not learn from single events")
    per_model: dict[str, dict[str, Any]] = {name: {} for name in dict.fromkeys([*names, RUNNING_COUNT])}
    for key, setting in read_settings(options.set).items():
        model, _, field = key.rpartition(".")
        if model and model not in per_model:
            raise BadInput(
                "set", f"{key}={setting}", f"KEY=VALUE, or MODEL.KEY=VALUE with one of: {', '.join(per_model)}"
            )
        per_model[model or names[0]][field] = setting
    run = RunConfig(device=options.device, seed=options.seed)
    configured = {name: configure(name, chosen, run) for name, chosen in per_model.items()}
    data = load_data(options, report)
    extra = None
    if options.mix is not None:
        theirs, notes = read_ratings(options.mix, data)
        extra = theirs.at_least(options.positive)
        for note in notes:
            report.note(note)
    stream = make_stream(
        data.positives(options.positive), bootstrap=options.bootstrap, most=options.events, extra=extra
    )
    masked = not options.include_seen
    fitted = {}
    for name, (config, its_run) in configured.items():
        report.step(f"{name}: the bootstrap")
        fitted[name] = model_class(name)(config).fit(
            stream.bootstrap, items=data.items, users=data.users, run=its_run, on_epoch=report.epochs(name)
        )
    learning = [name for name in names if MODELS[name].is_personalised]
    models = bootstrapped(fitted, learning)
    report.step("the stream")
    replay = prequential(
        models,
        stream,
        k=options.k,
        masked=masked,
        on_progress=_with_ids(report.stream(), data),
        throttle=throttle,
    )
    if options.out:
        write_csv(
            options.out,
            ["model", "event", "user_id", "item_id", "evaluated", "rank", "hit"],
            _rows(replay, data),
        )
    value = _value(replay, data, options, {name: config.to_dict() for name, (config, _) in configured.items()})
    report.result(value, _lines(value))


def _with_ids(on_stream: Callable[[StreamEvent], None], data: Dataset) -> OnStream:
    """Return a callback that gives `on_stream` the ids and titles of the latest events instead of their indices."""

    user_ids = _user_ids(data)

    def named(progress: StreamProgress, latest: Sequence[RankedEvent]) -> None:
        last = tuple(
            StreamedRating(
                user_id=user_ids[event.user_idx],
                item_id=data.item_ids[event.item_idx],
                title=str(data.items["title"].iat[event.item_idx]),
                rating=event.rating,
                rank=event.rank,
            )
            for event in latest
        )
        on_stream(StreamEvent(**vars(progress), last=last))

    return named


def _user_ids(data: Dataset) -> list[Any]:
    """Return the ids of the users of a stream; the last one is the user who was mixed in, if any."""
    return [*data.user_ids.tolist(), GUEST]


def _rows(replay: Replay, data: Dataset) -> Iterator[list[Any]]:
    """Yield one row for each model and event; an event that is not evaluated has no rank and no hit."""
    rest, tested = replay.stream.rest, replay.evaluated.astype(int).tolist()
    user_ids, items = _user_ids(data), data.item_ids[rest.item_idx].tolist()
    users = [user_ids[user] for user in rest.user_idx.tolist()]
    for name, ranks in replay.ranks.items():
        hits = replay.hits(name).tolist()
        for e, rank in enumerate(ranks.tolist()):
            seen = (rank, int(hits[e])) if tested[e] else ("", 0)
            yield [name, e + 1, users[e], items[e], tested[e], *seen]


def _value(replay: Replay, data: Dataset, options: argparse.Namespace, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-ready result.

    recall@k and precision@k of the first model; under each model's name its recall@k; `results` has everything of each
    model, recall@k_rest being over what follows the first fifth.
    """
    recall, ahead = replay.intervals()
    later, _ = replay.intervals(since=replay.done // CHOSEN_ON)
    k, first = replay.k, next(iter(replay.ranks))
    keys, tested = ("value", "low", "high"), np.flatnonzero(replay.evaluated)
    results = {}
    for name, interval in recall.items():
        moving = replay.moving(name)
        indices = np.unique(np.linspace(0, len(moving) - 1, min(POINTS, len(moving))).astype(int))
        results[name] = {
            f"recall@{k}": dict(zip(keys, interval, strict=True)),
            f"precision@{k}": dict(zip(keys, (part / k for part in interval), strict=True)),
            f"recall@{k}_rest": dict(zip(keys, later[name], strict=True)),
            "events_per_second": replay.done / max(replay.seconds[name], 1e-9),
            "groups": replay.groups(name),
            "moving": [[int(tested[p]) + 1, round(float(moving[p]), 5)] for p in indices],
            "settings": settings.get(name.removesuffix(FROZEN), {}),
        }
    return {
        "dataset": data.name,
        "positive": options.positive,
        "bootstrap": len(replay.stream.bootstrap),
        "events": replay.done,
        "evaluated": int(replay.evaluated.sum()),
        "events_per_second": results[first]["events_per_second"],
        "k": k,
        "seen": "kept" if options.include_seen else "masked",
        "window": WINDOW,
        f"recall@{k}": results[first][f"recall@{k}"],
        f"precision@{k}": results[first][f"precision@{k}"],
        **{name: results[name][f"recall@{k}"] for name in results},
        "ahead_of": {name: dict(zip(keys, interval, strict=True)) for name, interval in ahead.items()},
        "results": results,
    }


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the JSON object's readable form."""
    k, results = value["k"], value["results"]
    first = next(iter(results))
    yield (
        f"{value['dataset']}, ratings >= {value['positive']:g} in the order of time: {value['bootstrap']:,} to start "
        f"from, {value['events']:,} replayed, {value['evaluated']:,} of them by known users; "
        f"what they had is {value['seen']}; 95 % intervals over users"
    )
    yield from table(
        (
            "model",
            f"recall@{k}",
            "low",
            "high",
            "after 1/5",
            "known film",
            "new film",
            "events/s",
            f"{first} is ahead by",
        ),
        [
            (
                name,
                *(figures[f"recall@{k}"][key] for key in ("value", "low", "high")),
                figures[f"recall@{k}_rest"]["value"],
                figures["groups"]["known_user_known_item"]["recall"],
                figures["groups"]["known_user_new_item"]["recall"],
                f"{figures['events_per_second']:,.0f}",
                _difference(value["ahead_of"].get(name)),
            )
            for name, figures in results.items()
        ],
    )


def _difference(paired: Mapping[str, float] | None) -> str:
    return "" if paired is None else f"{paired['value']:+.4f} ({paired['low']:+.4f} to {paired['high']:+.4f})"
