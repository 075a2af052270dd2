"""The command `export`: what other software reads of a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from recengine.cli.arguments import Commands, add_data_command
from recengine.cli.common import load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.files import Json
from recengine.models.base import Recommender
from recengine.models.registry import model_class
from recengine.serving.onnx_graph import check_onnx, write_onnx
from recengine.serving.vectors import FORMATS, check_target, check_vectors, vectors_of, write_vectors

ONNX = "onnx"


def add_commands(commands: Commands) -> None:
    """Declare `export`."""
    text = "write a model for other software: its vectors with ids, or a graph that scores"
    command = add_data_command(commands, "export", export, text)
    command.add_argument(
        "--to",
        choices=(*FORMATS, ONNX),
        required=True,
        help="vectors with ids as npz, parquet (a folder), projector (a folder for projector.tensorflow.org) or faiss "
        "(a folder with an index; needs the extra `scale`); onnx: what scores (needs the extra `onnx`)",
    )
    command.add_argument("--out", dest="folder", type=Path, required=True, metavar="O", help="the file or the folder")


def export(options: argparse.Namespace, report: Reporter) -> None:
    """Write a trained model in one of the formats."""
    kind, target = model_class(options.model), options.folder
    if options.to == ONNX:
        check_onnx(kind, target)
    else:
        check_target(options.to, target)
        check_vectors(kind)
    data = load_data(options, report)
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    value: dict[str, Json] = {"out": str(target), "format": options.to, "items": data.n_items, "users": data.n_users}
    if options.to == ONNX:
        report.step("writing the graph")
        write_onnx(trained.model, data, target)
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
