"""The command `stream`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from recengine.cli.arguments import Commands, add_data_command, add_out, whole_number
from recengine.cli.common import load_data, settings_by_model
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.histories import read_ratings
from recengine.errors import BadInput
from recengine.evaluation.prequential import (
    OnStream,
    RankedEvent,
    Replay,
    StreamProgress,
    Throttle,
    bootstrapped,
    make_stream,
    prequential,
)
from recengine.evaluation.readable import stream_heading, stream_table
from recengine.evaluation.stream_report import StreamReport
from recengine.export import Cell, table, write_table
from recengine.jobs.events import RawId, StreamedRating, StreamEvent
from recengine.models.registry import FOR_EVENTS, MODELS, RUNNING_COUNT, configure, model_class
from recengine.training.config import RunConfig

MIXED_IN = "guest"
"""The id of the user whose ratings are mixed in."""


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
    add_out(command, "write one row for each event and model here")


def stream_models(options: argparse.Namespace, report: Reporter) -> None:
    names = list(dict.fromkeys(options.model or [FOR_EVENTS]))
    throttle = Throttle(options.pace, options.hold)
    for name in names:
        if "incremental" not in model_class(name).abilities:
            able = [model for model in MODELS if "incremental" in MODELS[model].abilities]
            raise BadInput("model", name, f"one of: {', '.join(able)}", problem="does not learn from single events")
    per_model = settings_by_model(options.set, [*names, RUNNING_COUNT], default=names[0])
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
        report.step(f"training {name} on the first part")
        fitted[name] = model_class(name)(config).fit(
            stream.bootstrap, items=data.items, users=data.users, run=its_run, on_epoch=report.epochs(name)
        )
    learning = [name for name in names if MODELS[name].is_personalised]
    models = bootstrapped(fitted, learning)
    report.step("replaying the rest")
    replay = prequential(
        models,
        stream,
        k=options.k,
        masked=masked,
        on_progress=_with_ids(report.stream(), data),
        throttle=throttle,
    )
    if options.out:
        write_table(
            options.out,
            ["model", "event", "user_id", "item_id", "evaluated", "rank", "hit"],
            _rows(replay, data),
        )
    result = StreamReport.of(
        replay,
        dataset=data.name,
        positive=options.positive,
        masked=masked,
        settings={name: config.to_dict() for name, (config, _) in configured.items()},
    )
    report.result(result.to_dict(), [stream_heading(result), *table(*stream_table(result))])


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


def _user_ids(data: Dataset) -> list[RawId]:
    """Return the ids of the users of a stream; the last one is the user who was mixed in, if any."""
    return [*data.user_ids.tolist(), MIXED_IN]


def _rows(replay: Replay, data: Dataset) -> Iterator[list[Cell]]:
    """Yield one row for each model and event; an event that is not evaluated has no rank and no hit."""
    rest, tested = replay.stream.rest, replay.evaluated.astype(int).tolist()
    user_ids, items = _user_ids(data), data.item_ids[rest.item_idx].tolist()
    if rest.n_users > data.n_users:  # with the user who is mixed in, whose id is text
        user_ids = [str(id) for id in user_ids]
    users = [user_ids[user] for user in rest.user_idx.tolist()]
    for name, ranks in replay.ranks.items():
        hits = replay.hits(name).tolist()
        for e, rank in enumerate(ranks.tolist()):
            ranked: tuple[Cell, Cell] = (rank, int(hits[e])) if tested[e] else (None, 0)
            yield [name, e + 1, users[e], items[e], tested[e], *ranked]
