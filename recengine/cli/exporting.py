"""The command `export`: what other software reads of a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from recengine.cli.arguments import Commands, add_data_command
from recengine.cli.common import load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.export import counted
from recengine.models.registry import model_class
from recengine.serving.vectors import FORMATS, check_target, check_vectors, vectors_of, write_vectors


def add_commands(commands: Commands) -> None:
    """Declare `export`."""
    text = "write a model for other software: its vectors with ids"
    command = add_data_command(commands, "export", export, text)
    command.add_argument(
        "--to",
        choices=FORMATS,
        required=True,
        help="vectors with ids as npz, parquet (a folder), projector (a folder for projector.tensorflow.org) or faiss "
        "(a folder with an index; needs the extra `scale`)",
    )
    command.add_argument("--out", dest="folder", type=Path, required=True, metavar="O", help="the file or the folder")


def export(options: argparse.Namespace, report: Reporter) -> None:
    """Write a trained model in one of the formats."""
    check_target(options.to, options.folder)
    check_vectors(model_class(options.model))
    data = load_data(options, report)
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    vectors = vectors_of(trained.model, data)
    write_vectors(vectors, data, options.to, options.folder)
    if vectors.users is None:
        report.note(f"{options.model} scores by no product, so these are the items' vectors alone: cosine is likeness.")
    n_items, dim = vectors.items.vectors.shape
    users = None if vectors.users is None else len(vectors.users.ids)
    what = [counted(n_items, "items"), *([] if users is None else [counted(users, "users")])]
    value = {"out": str(options.folder), "format": options.to, "items": n_items, "users": users, "dimensions": dim}
    report.note(f"Wrote the vectors of {' and '.join(what)}, {dim} numbers each.")
    report.result(value, [str(options.folder)])
