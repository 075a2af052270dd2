"""A model as one ONNX file: indices of users, or what users rated, in; scores of all items out.

A product of vectors is written as it stands, a look-up and one MatMul; a network is traced. The raw ids by index, and
what the inputs mean, are in the file's metadata, so that it serves without RecEngine.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from recengine import __version__
from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.export import check_out
from recengine.files import atomic_file
from recengine.models.abilities import ScoresByProduct
from recengine.models.base import Recommender
from recengine.models.pair.base import PairModel
from recengine.serving.onnx_modules import NETWORKS, OfEvents, module_of, traceable
from recengine.serving.vectors import vectors_of

if TYPE_CHECKING:
    import onnx

OPSET = 20
"""The version of ONNX's operators, which onnxruntime reads from 1.17 on."""
MOST_BYTES = 2**31 - 2**20
"""Size of a file, which is one message of protobuf."""
_TRACER = "torch.onnx._internal.exporter"
"""Whose log says which operators of other packages are not there."""


def check_onnx(kind: type[Recommender], target: Path) -> None:
    """Raise BadInput, before anything is trained, for a model that is no graph, or a file that cannot be written."""
    traced = issubclass(kind, NETWORKS)
    if not traced and "product" not in kind.abilities:
        expected = "one that scores by products of vectors or by a network, such as 'ials' or 'gru'"
        raise BadInput("model", kind.name, expected, problem="is no graph of ONNX's operators")
    needed = ["onnx", *(["onnxscript"] if traced and "product" not in kind.abilities else [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        remedy = "install it with `pip install 'recengine[onnx]'`"
        raise BadInput("to", "onnx", remedy=remedy, problem=f"needs {missing[0]}, which is not installed")
    check_out(target, "folder", (".onnx",))


def write_onnx(model: Recommender, dataset: Dataset, target: Path) -> None:
    """Write a model whose index space is the data set's. Raises BadInput as `check_onnx`."""
    check_onnx(type(model), target)
    graph = onnx_model(model, dataset)
    if graph.ByteSize() > MOST_BYTES:
        problem = f"takes {graph.ByteSize() / 1e9:.1f} GB, and a file of ONNX holds 2"
        raise BadInput("to", "onnx", remedy="write its vectors instead", problem=problem)
    with atomic_file(target) as file:
        file.write(graph.SerializeToString())


def onnx_model(model: Recommender, dataset: Dataset) -> onnx.ModelProto:
    """Return the graph of a model, with ids and a sentence on its inputs."""
    from onnx import helper

    bent = isinstance(model, PairModel) and model.config.y_range is not None
    module = module_of(model)
    if isinstance(model, ScoresByProduct) and not bent:
        graph = _product(model, dataset)
    else:
        assert module is not None  # as `check_onnx` has seen
        graph = _traced(module, model.n_items)
    users = ids_as_json(dataset.user_ids) if len(graph.graph.input) == 1 else None
    facts: dict[str, str | None] = {
        "model": model.name,
        "recengine": __version__,
        "item_ids": ids_as_json(dataset.item_ids),
        "item_titles": json.dumps([title for _, title, _, _ in dataset.films], ensure_ascii=False),
        "user_ids": users,
        "inputs": _inputs(module, model.n_items) if users is None else "user_idx (B,): positions in user_ids",
        "outputs": "scores (B, n_items), by position in item_ids",
    }
    helper.set_model_props(graph, {name: text for name, text in facts.items() if text is not None})
    return graph


def ids_as_json(ids: NDArray[np.generic]) -> str:
    """Return raw ids as a JSON list: numbers, or text."""
    return json.dumps(ids.tolist(), ensure_ascii=False)


def _inputs(module: nn.Module | None, n_items: int) -> str:
    at_most = module.longest if isinstance(module, OfEvents) else None
    which = "all" if at_most is None else f"the latest {at_most:,}"
    return (
        f"item_idx (B, L): positions in item_ids of {which} of each user's ratings, oldest first, padded at the end "
        f"with {n_items}; rating (B, L): the ratings, padded with 0"
    )


def _product(model: Recommender, dataset: Dataset) -> onnx.ModelProto:
    """Return scores = users[user_idx] @ items^T + item_bias + user_bias[user_idx]."""
    from onnx import TensorProto, checker, helper, numpy_helper

    items, users = vectors_of(model, dataset)
    assert users is not None  # a product has both sides
    constants = {"users": users.vectors, "items": np.ascontiguousarray(items.vectors.T)}
    nodes = [("Gather", ["users", "user_idx"], "vectors"), ("MatMul", ["vectors", "items"], "products")]
    if items.bias is not None:
        constants["item_bias"] = items.bias
        nodes.append(("Add", [nodes[-1][2], "item_bias"], "with_items"))
    if users.bias is not None:
        constants["user_bias"] = users.bias[:, None]
        nodes.append(("Gather", ["user_bias", "user_idx"], "of_users"))
        nodes.append(("Add", [nodes[-2][2], "of_users"], "with_users"))
    nodes[-1] = (*nodes[-1][:2], "scores")
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes],
        "product",
        [helper.make_tensor_value_info("user_idx", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", model.n_items])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="recengine"
    )
    checker.check_model(made)
    return made


def _traced(module: nn.Module, n_items: int) -> onnx.ModelProto:
    """Return what torch records of a network, for batches of any size and events of any number."""
    from onnx import TensorProto, helper

    batch, events = torch.export.Dim("batch"), torch.export.Dim("events")
    inputs: Mapping[str, torch.Tensor] = {"user_idx": torch.tensor([0, 0, 0])}
    shapes: list[dict[int, torch.export.Dim]] = [{0: batch}]
    if isinstance(module, OfEvents):
        inputs = {"item_idx": torch.zeros(3, 2, dtype=torch.int64), "rating": torch.ones(3, 2)}
        shapes = [{0: batch, 1: events}] * 2
    log = logging.getLogger(_TRACER)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                traceable(module),
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=["scores"],
                dynamic_shapes=shapes,
            )
    finally:
        log.setLevel(level)
    assert program is not None  # as for every export without a file
    graph: onnx.ModelProto = program.model_proto
    graph.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", n_items]))
    return graph
