"""The commands `score`, `predict` and `estimates`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recengine.cli.arguments import Commands, add_data_command, add_out
from recengine.cli.common import BATCH, load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.readers.columns import roles
from recengine.data.readers.pairs import read_pairs
from recengine.errors import BadInput
from recengine.export import Cell, write_table
from recengine.models.abilities import PredictsRatings
from recengine.models.base import Recommender
from recengine.models.registry import MODELS, model_class
from recengine.serving.recommend import estimate_rows


def add_commands(commands: Commands) -> None:
    """Declare `score`, `predict` and `estimates`."""
    command = add_data_command(commands, "score", score, "add the model's raw score to pairs of user and item")
    command.add_argument("--pairs", type=Path, required=True, metavar="F.csv")
    add_out(command, "write here", required=True)

    command = add_data_command(commands, "predict", predict, "add the predicted rating to pairs of user and item")
    command.add_argument("--pairs", type=Path, required=True, metavar="F.csv")
    add_out(command, "write here", required=True)

    command = add_data_command(commands, "estimates", estimates, "write the whole matrix of predicted ratings")
    add_out(command, "write here", required=True)


def score(options: argparse.Namespace, report: Reporter) -> None:
    """Add each pair's raw score, whatever its scale is."""
    data = load_data(options, report)
    header, cells, users, items = read_pairs(options.pairs, data)
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    _write_with(options, report, header, cells, "score", _scores(trained.model, users, items))


@torch.inference_mode()
def _scores(model: Recommender, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
    scores = np.empty(len(users), np.float32)
    unique, position = np.unique(users, return_inverse=True)
    for start in range(0, len(unique), BATCH):
        inside = np.flatnonzero((position >= start) & (position < start + BATCH))
        block = model.score(unique[start : start + BATCH]).cpu()
        scores[inside] = block[torch.from_numpy(position[inside] - start), torch.from_numpy(items[inside])].numpy()
    return scores


def predict(options: argparse.Namespace, report: Reporter) -> None:
    """Add each pair's predicted rating; where there is a column `rating`, it is called `predicted_rating`."""
    _check_rates(options.model)
    data = load_data(options, report)
    header, cells, users, items = read_pairs(options.pairs, data)
    model = _rating_model(options, report, data)
    column = "predicted_rating" if "rating" in [name.lower() for name in header] else "rating"
    _write_with(options, report, header, cells, column, model.predict(users, items).numpy())


def estimates(options: argparse.Namespace, report: Reporter) -> None:
    """Write the predicted ratings of all users (rows) and items (columns), a batch of users at a time."""
    _check_rates(options.model)
    data = load_data(options, report)
    model = _rating_model(options, report, data)

    rows = estimate_rows(model, data)
    header = next(rows)
    write_table(options.out, header, rows, ids=header)
    report.result({"out": str(options.out), "users": data.n_users, "items": data.n_items}, [str(options.out)])


def _check_rates(name: str) -> None:
    """Raise BadInput for a model that predicts no ratings, before anything is fetched or trained."""
    if "ratings" not in model_class(name).abilities:
        able = [model.name for model in MODELS.values() if "ratings" in model.abilities]
        raise BadInput("model", name, expected=f"one of: {', '.join(able)}", problem="predicts no ratings")


def _rating_model(options: argparse.Namespace, report: Reporter, data: Dataset) -> PredictsRatings:
    if data.feedback == "implicit":
        raise BadInput("dataset", data.name, remedy="ask for scores instead", problem="has events, and no ratings")
    model = train_or_find(options, report, data, options.model, read_settings(options.set)).model
    if not isinstance(model, PredictsRatings):
        raise TypeError(f"{options.model} is listed as predicting ratings but does not")
    return model


def _write_with(
    options: argparse.Namespace,
    report: Reporter,
    header: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    column: str,
    values: NDArray[np.float32],
) -> None:
    """Write the pairs as they came, in their order, with one more column: they can be read again."""
    ids = [header[index] for role, index in roles(header).items() if role in ("user", "item")]
    table = ((*row, float(v)) for row, v in zip(cells, values, strict=True))
    write_table(options.out, (*header, column), table, ids)
    report.result({"out": str(options.out), "rows": len(cells)}, [str(options.out)])
