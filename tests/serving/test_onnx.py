"""Models as ONNX: what onnxruntime computes are the model's scores, and the ids are in the file."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from torch.nn.functional import pad

from recengine.data.dataset import Dataset
from recengine.data.sequences import Sequences
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.registry import MODELS
from recengine.serving.onnx_graph import check_onnx, write_onnx
from tests.serving.test_vectors import trained


def written(model: Recommender, dataset: Dataset, folder: Path) -> onnxruntime.InferenceSession:
    write_onnx(model, dataset, folder / "m.onnx")
    return onnxruntime.InferenceSession(folder / "m.onnx")


PRODUCTS: list[tuple[str, dict[str, Any]]] = [
    ("ials", {}),
    ("mf", {"user_bias": True}),
    ("mf", {"item_bias": False, "user_bias": True}),
    ("cml", {}),
    ("nonlinear-mf", {"layers": "8"}),
    ("cold-start-mf", {}),
    ("step", {}),
    ("mf-explicit", {"averaged_sweeps": 3}),
]
LAYERS: dict[str, Any] = {"layers": "8", "negatives": 4}
PAIRS: list[tuple[str, dict[str, Any]]] = [
    ("mf", {"y_range": "0,5"}),
    ("mlp", LAYERS),
    ("mlp-mf", LAYERS),
    ("neumf", LAYERS),
    ("deepfm", LAYERS),
    ("hybrid", {}),
    ("hybrid-joint", LAYERS),
    ("recommender-net", {}),
]
SEQUENCES: list[tuple[str, dict[str, Any]]] = [
    ("gru", {"hidden_dim": 8, "horizon": "sitting"}),
    ("gru", {"hidden_dim": 8, "horizon": "next"}),
    ("sasrec", {}),
    ("gru-rating", {"hidden_dim": 8}),
]


@pytest.mark.parametrize(
    ("name", "settings"), [*PRODUCTS, *(pytest.param(*row, marks=pytest.mark.slow) for row in PAIRS)]
)
def test_users_of_the_data_get_their_scores(tiny: Dataset, tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    model = trained(tiny, name, **settings)
    session = written(model, tiny, tmp_path)
    for users in (np.arange(tiny.n_users), np.array([7])):
        (scores,) = session.run(["scores"], {"user_idx": users})
        np.testing.assert_allclose(scores, model.score(users).numpy(), atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["item_ids"]) == tiny.item_ids.tolist()
    assert json.loads(metadata["user_ids"]) == tiny.user_ids.tolist()
    assert json.loads(metadata["item_titles"]) == tiny.items["title"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), SEQUENCES)
def test_a_sequence_model_reads_what_users_rated(
    tiny: Dataset, tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    model: Any = trained(tiny, name, max_length=4, **settings)
    session = written(model, tiny, tmp_path)
    metadata = session.get_modelmeta().custom_metadata_map
    assert "user_ids" not in metadata
    sitting = settings.get("horizon") == "sitting"
    of = "all" if sitting else "the latest 4"
    assert metadata["inputs"].startswith(f"item_idx (B, L): positions in item_ids of {of} of each user's ratings")
    rows = tiny.ratings.select(np.arange(len(tiny.ratings)) % 7 > 0)  # users of unlike lengths, not those it learned
    longest = int(rows.user_counts.max()) if sitting else 4
    items, ratings, _ = Sequences(rows).last(np.arange(tiny.n_users), longest)
    (scores,) = session.run(["scores"], {"item_idx": items.numpy(), "rating": ratings.numpy()})
    expected = model.score_history(rows)
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)
    padded = []
    for more in (0, 2, 7):  # that is fewer columns than events that the model reads, as many, and more
        few = pad(items[:, :2], (0, more), value=tiny.n_items), pad(ratings[:, :2], (0, more))
        padded += session.run(["scores"], {"item_idx": few[0].numpy(), "rating": few[1].numpy()})
    np.testing.assert_allclose(padded[0], padded[1], atol=1e-6)
    np.testing.assert_allclose(padded[2], padded[1], atol=1e-6)


def exportable(name: str, target: Path) -> bool:
    with suppress(BadInput):
        check_onnx(MODELS[name], target)
        return True
    return False


def test_every_model_that_can_be_written_is_held_to_its_scores(tmp_path: Path) -> None:
    held = {name for name, _ in [*PRODUCTS, *PAIRS, *SEQUENCES]}
    assert held == {name for name in MODELS.built_in if exportable(name, tmp_path / "m.onnx")}


@pytest.mark.parametrize("name", ["ease", "popularity", "taste"])
def test_a_model_that_is_no_graph_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=f"model '{name}' is no graph of ONNX's operators; expected one that scores"):
        check_onnx(MODELS[name], tmp_path / "m.onnx")
