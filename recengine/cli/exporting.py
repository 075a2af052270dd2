"""The command `export`: what other software reads of a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recengine.cli.arguments import Commands, add_data_command
from recengine.cli.common import load_aligned, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.cli.serving import listings
from recengine.data.dataset import Dataset
from recengine.experiments.model_folder import Aligned
from recengine.experiments.store import Trained
from recengine.export import Cell, check_out, counted
from recengine.files import STANDARD_OUTPUT, Json, open_descriptor
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.serving.lists import ENDINGS, write_lists
from recengine.serving.onnx_graph import check_onnx, write_onnx
from recengine.serving.recommend import Listing
from recengine.serving.vectors import FORMATS, check_target, check_vectors, vectors_of, write_vectors

ONNX, LISTS = "onnx", "lists"


def add_commands(commands: Commands) -> None:
    """Declare `export`."""
    text = "write a model for other software: its vectors with ids, a graph that scores, or all lists"
    command = add_data_command(commands, "export", export, text)
    command.add_argument(
        "--to",
        choices=(*FORMATS, ONNX, LISTS),
        required=True,
        help="vectors with ids as npz, parquet (a folder), projector (a folder for projector.tensorflow.org) or faiss "
        "(a folder with an index; needs the extra `scale`); onnx: what scores (needs the extra `onnx`); "
        "lists: everybody's top k, as .parquet or .jsonl",
    )
    command.add_argument("--out", dest="folder", type=Path, required=True, metavar="O", help="the file or the folder")
    command.add_argument("-k", type=int, default=10, help="lists: how many items each user gets")
    command.add_argument("--include-seen", action="store_true", help="lists: also what users have rated")
    command.set_defaults(all_users=True, user=None, ratings=None, profile=None)


def export(options: argparse.Namespace, report: Reporter) -> None:
    """Write a trained model in one of the formats."""
    kind, target = model_class(options.model), options.folder
    report.results_elsewhere = open_descriptor(target) == STANDARD_OUTPUT
    if options.to == LISTS:
        check_out(target, "folder", ENDINGS)
    elif options.to == ONNX:
        check_onnx(kind, target)
    else:
        check_target(options.to, target)
        check_vectors(kind)
    aligned = load_aligned(options, report)
    data = aligned.dataset
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    value: dict[str, Json] = {"out": str(target), "format": options.to, "items": data.n_items, "users": data.n_users}
    if options.to == ONNX:
        report.step("writing the graph")
        write_onnx(trained.model, data, target)
    elif options.to == LISTS:
        value |= _write_lists(trained, aligned, options, report)
    else:
        value |= _write_vectors(trained.model, data, options, report)
    report.result(value, [str(target)])


def _write_vectors(
    model: Recommender, data: Dataset, options: argparse.Namespace, report: Reporter
) -> Mapping[str, Json]:
    """Write vectors, and return what they are."""
    vectors = vectors_of(model, data)
    write_vectors(vectors, data, options.to, options.folder)
    if vectors.users is None:
        report.note(f"{options.model} scores by no product, so these are the items' vectors alone: cosine is likeness.")
    return {"users": None if vectors.users is None else data.n_users, "dimensions": vectors.items.vectors.shape[1]}


def _write_lists(
    trained: Trained, aligned: Aligned, options: argparse.Namespace, report: Reporter
) -> Mapping[str, Json]:
    """Write the lists of all users, and return how many users have one, and for how many popularity stands in."""
    data = aligned.dataset
    users, fallback = 0, 0

    def counted_listings() -> Iterator[tuple[Sequence[Cell], Listing]]:
        nonlocal users, fallback
        for ids, listing, _ in listings(options, report, aligned, trained, None):
            users, fallback = users + len(ids), fallback + int(listing.fallback.sum())
            yield ids, listing
            report.step("listing", users, len(aligned.users) + len(aligned.new_ids))

    text_ids = data.user_ids.dtype.kind != aligned.new_ids.dtype.kind
    rows = write_lists(counted_listings(), data, options.folder, text_ids=text_ids)
    if fallback:
        report.note(
            f"{fallback:,} of {counted(users, 'users')} get popular items: {options.model} knows nothing of them."
        )
    return {"users": users, "rows": rows, "popularity_fallback": fallback}
