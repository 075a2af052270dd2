"""Models in raw ids: fitted on a split, on everything or on bare rows, they answer as the layers below do."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import recengine as rec
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.registry import MODELS
from recengine.serving.recommend import recommend
from recengine.testing import small_dataset


def test_every_model_of_the_registry_is_a_class_of_the_api() -> None:
    offered = dir(rec)
    for name, kind in MODELS.built_in.items():
        assert kind.__name__ in offered
        made = getattr(rec, kind.__name__)
        assert type(rec.create(name)) is made
        assert made.kind is kind
        assert [*inspect.signature(made).parameters][:-1] == list(kind.Config.__dataclass_fields__)


def test_the_import_is_light_and_says_what_there_is() -> None:
    code = "import sys, recengine; assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    code += "; assert {'load', 'EASE', 'evaluate'} <= set(dir(recengine)); recengine.nothing"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AttributeError: module 'recengine' has no attribute 'nothing'" in result.stderr


def test_lists_are_those_of_serving_in_raw_ids(data: rec.Dataset, split: rec.Split, ease: rec.Model) -> None:
    users = ["u007", "u000", "u039"]
    table = ease.recommend(users, k=4)
    assert list(table.columns) == ["user_id", "rank", "item_id", "title", "score", "fallback"]
    inner = MODELS["ease"](MODELS["ease"].Config.from_dict({"l2": 20})).fit(split.train)
    listing = recommend(inner, ease.data, data.user_index(users), k=4, positive=4)
    assert table["item_id"].tolist() == data.item_ids[listing.ranking.items.flatten().numpy()].tolist()
    assert table["score"].to_numpy() == pytest.approx(listing.ranking.scores.flatten().numpy())
    assert table["title"].tolist() == [f"Film {int(item)}" for item in table["item_id"]]
    assert table["user_id"].tolist() == np.repeat(users, 4).tolist()
    assert table["rank"].tolist() == [1, 2, 3, 4] * 3


def test_what_was_rated_before_the_test_is_left_out_and_the_test_is_not(split: rec.Split, ease: rec.Model) -> None:
    """Figures computed by hand from the lists are those of the evaluation."""
    labels = split.labels
    assert labels is not None
    users = labels.dataset.user_ids[split.test.user_idx]
    table = ease.recommend(users, k=10)
    tested = dict(zip(users, labels.dataset.item_ids[split.test.item_idx], strict=True))
    hits = [item == tested[user] for user, item in zip(table["user_id"], table["item_id"], strict=True)]
    assert 0 < sum(hits) / len(users) == pytest.approx(rec.evaluate(ease, split, k=10).means["hr@10"])
    rated = labels.dataset.user_ids[split.rated.user_idx], labels.dataset.item_ids[split.rated.item_idx]
    known = set(zip(*rated, strict=True))
    assert not known & set(zip(table["user_id"], table["item_id"], strict=True))
    shown = ease.recommend(users, k=30, include_seen=True)
    assert len(shown) == 30 * len(users)


def test_new_users_are_served_from_ratings_and_from_likes(ease: rec.Model) -> None:
    table = ease.recommend_new([{"0000": 5, "0003": 4, "0001": 1}, ["0002", "0005"]], k=5)
    kinds = table["item_id"].astype(int) % 3
    assert (kinds[table["user_id"] == 0] == 0).all()
    assert (kinds[table["user_id"] == 1] == 2).all()
    first = table[table["user_id"] == 0]["item_id"]
    assert not {"0000", "0003", "0001"} & set(first)
    again = ease.recommend_new([{"0001": 1, "0003": 4, "0000": 5}], k=5)
    assert again["item_id"].tolist() == first.tolist(), "order says nothing"
    nobody = ease.recommend_new([{}], k=3)
    assert nobody["fallback"].all()


def test_only_the_items_asked_for_are_listed(ease: rec.Model) -> None:
    table = ease.recommend(["u001"], k=2, among=["0004", "0007", "0009", "0012"])
    assert set(table["item_id"]) <= {"0004", "0007", "0009", "0012"}
    assert set(ease.recommend_new([["0001"]], k=1, among=["0009"])["item_id"]) == {"0009"}


def test_similar_items_are_of_the_same_kind(ease: rec.Model) -> None:
    table = ease.similar(["0000", "0001"], k=4)
    assert table["seed_id"].tolist() == ["0000"] * 4 + ["0001"] * 4
    assert (table["item_id"].astype(int) % 3 == table["seed_id"].astype(int) % 3).all()
    assert not (table["item_id"] == table["seed_id"]).any()


@pytest.mark.slow
def test_a_saved_model_serves_without_its_data(ease: rec.Model, split: rec.Split, tmp_path: Path) -> None:
    ease.save(tmp_path / "ease")
    code = f"import recengine as rec; m = rec.load_model({str(tmp_path / 'ease')!r})"
    code += (
        "; print(m.recommend(['u003'], k=3).to_csv(index=False)); print(type(m) is rec.EASE, m.positive, m.config.l2)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    printed, facts = result.stdout.rsplit("\n\n", 1)
    assert printed.replace("\r", "") == ease.recommend(["u003"], k=3).to_csv(index=False).strip()
    assert facts.strip() == "True 4.0 20.0"
    loaded = rec.load_model(tmp_path / "ease")
    assert rec.evaluate(loaded, split).means["ndcg@10"] == rec.evaluate(ease, split).means["ndcg@10"]
    loaded.save(tmp_path / "ease")  # a model folder may be replaced


def test_vectors_and_graphs_leave_in_raw_ids(data: rec.Dataset, tmp_path: Path) -> None:
    model = rec.MF(embedding_dim=4, epochs=1).fit(data)
    model.export(tmp_path / "v.npz", to="npz")
    with np.load(tmp_path / "v.npz") as read:
        scores = read["user_vectors"][7] @ read["item_vectors"].T + read["item_bias"]
        best = read["item_ids"][scores.argmax()]
        assert model.recommend([str(read["user_ids"][7])], 1, include_seen=True)["item_id"].tolist() == [best]
    model.export(tmp_path / "m.onnx", to="onnx")
    assert (tmp_path / "m.onnx").read_bytes()
    with pytest.raises(rec.BadInput, match=r"to 'csv' is unknown; expected one of: npz, .*, onnx"):
        model.export(tmp_path / "v.csv", to="csv")
    with pytest.raises(rec.BadInput, match=r"folder '.*v\.csv' names no format that is written"):
        model.export(tmp_path / "v.csv", to="npz")


def test_a_damaged_folder_is_refused_with_the_file(ease: rec.Model, tmp_path: Path) -> None:
    folder = tmp_path / "ease"
    ease.save(folder)
    content = bytearray((folder / "items.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "items.parquet").write_bytes(content)
    with pytest.raises(rec.BadInput, match=r"items\.parquet does not have its recorded sha256.*let model\.save write"):
        rec.load_model(folder)


def test_a_split_is_fitted_as_the_command_line_does(data: rec.Dataset, split: rec.Split, fresh_home: Path) -> None:
    model = rec.create("mf", epochs=3, seed=2, embedding_dim=8).fit(split)
    request = TrainingRequest(data, "mf", {"epochs": 3, "embedding_dim": 8, "seed": 2}, split=split)
    inner = obtain(request).model
    for name, tensor in inner.state().items():
        assert (model.recommender.state()[name] == tensor).all()
    assert [result.epoch for result in model.training_log] == [result.epoch for result in inner.training_log]


def test_all_of_a_data_set_is_fitted_for_use_and_cannot_be_tested_on_it(data: rec.Dataset, split: rec.Split) -> None:
    model = rec.EASE().fit(data)
    assert set(zip(model.data.ratings.user_idx, model.data.ratings.item_idx, strict=True)) == set(
        zip(data.ratings.user_idx, data.ratings.item_idx, strict=True)
    )
    with pytest.raises(rec.BadInput, match="rows of which some may be in the test of this split; fit it on the train"):
        rec.evaluate(model, split)
    assert rec.EASE().fit(data, positive=5).positive == 5


def test_a_model_of_ratings_learns_low_ratings_from_split_train(split: rec.Split) -> None:
    model = rec.Bias().fit(split.train)
    assert model.recommender.scale == (1.0, 5.0)


def test_bare_rows_speak_indices(split: rec.Split) -> None:
    bare = rec.Interactions.from_pairs([0, 0, 1, 2, 2], [0, 1, 1, 0, 2], n_users=3, n_items=4)
    model = rec.ItemKNN().fit(bare)
    table = model.recommend([1], k=2)
    assert table["user_id"].tolist() == [1, 1]
    assert table["item_id"].tolist()[0] == 0
    assert table["title"].tolist()[0] == "Item 0"
    assert model.recommend_new([[2]], k=1)["item_id"].tolist() == [0]


def test_models_that_read_items_find_them_in_the_split() -> None:
    made = rec.split(small_dataset(), "leave-last")
    table = rec.Content().fit(made.train).recommend([1, 2], k=3)
    assert len(table) == 6
    assert not table["fallback"].any()


def test_epochs_are_reported_to_a_callback_and_what_it_raises_stops(split: rec.Split) -> None:
    seen: list[rec.EpochResult] = []
    model = rec.MF(epochs=4, embedding_dim=4).fit(split.train, valid=split.valid, on_epoch=seen.append)
    assert [result.epoch for result in seen] == [result.epoch for result in model.training_log] == [0, 1, 2, 3, 4]
    assert all("valid_ndcg@10" in result.metrics for result in seen)

    def stop(result: rec.EpochResult) -> None:
        if result.epoch == 2:
            raise StopIteration

    unfitted = rec.MF(epochs=4, embedding_dim=4)
    with pytest.raises(StopIteration):
        unfitted.fit(split.train, on_epoch=stop)
    with pytest.raises(rec.BadInput, match="model 'mf' is not fitted; fit it first"):
        unfitted.recommend(["u001"])


class Newest(rec.Recommender):
    """Rank by item index: a model of somebody's own."""

    name = "newest"
    family = "baseline"
    summary = "The newest first."

    def learn(self, train, context):
        self.order = torch.arange(self.n_items).float()

    def score(self, user_idx):
        return self.order.expand(len(user_idx), -1)

    def state(self):
        return {"order": self.order}

    def restore(self, state):
        self.order = state["order"]


def test_a_model_of_ones_own_speaks_raw_ids_too(split: rec.Split, tmp_path: Path) -> None:
    model = rec.create(Newest).fit(split.train)
    assert model.recommend(["u001"], k=30).iloc[0]["item_id"] >= "0020"
    assert "newest" in str(rec.evaluate(model, split))
    model.save(tmp_path / "mine")
    loaded = rec.load_model(tmp_path / "mine", Newest)
    assert loaded.recommend(["u001"]).equals(model.recommend(["u001"]))
    with pytest.raises(rec.BadInput, match="holds 'newest' version 1, expected 'ease'"):
        rec.load_model(tmp_path / "mine", MODELS["ease"])
    with pytest.raises(rec.BadInput, match="class 'Nameless' lacks the text 'name'"):
        rec.create(type("Nameless", (rec.Recommender,), dict.fromkeys(("learn", "score", "state", "restore"))))


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda m: rec.EASE(l3=2), "l3 is not an option of 'ease'"),
        (lambda m: rec.EASE(l2=-1), "l2=-1.0 is out of range; expected more than 0"),
        (lambda m: rec.create("eas"), "model 'eas' is unknown (did you mean 'ease'?)"),
        (lambda m: rec.EASE().recommend(["u001"]), "model 'ease' is not fitted; fit it first"),
        (lambda m: m.recommend(["u1"]), "user 'u1' is not in 'shop'; expected one of its 90 user ids"),
        (lambda m: m.recommend("u001"), "users 'u001' is one id; expected a list of ids; write ['u001']"),
        (lambda m: m.recommend(["u001"], k=0), "k=0 is out of range; expected 1 to 30"),
        (lambda m: m.recommend_new({"0001": 5}), "histories 'dict' is no list of histories"),
        (lambda m: m.recommend_new(["0001"]), "histories '0001' is an id where a history is asked for"),
        (lambda m: m.recommend_new([{"0001": 9}]), "rating=9 is out of range for the item '0001'; expected 1 to 5"),
        (lambda m: m.recommend_new([{"1": 4}]), "item '1' is not in 'shop'"),
        (lambda m: rec.load_model("nowhere"), "folder 'nowhere' is no model folder; name one that model.save wrote"),
        (lambda m: m.save("no/such/folder"), "which does not exist; create it or choose another"),
        (lambda m: rec.EASE().fit(pd.DataFrame()), "data 'DataFrame' is nothing to learn from; expected the train"),
        (lambda m: rec.EASE().fit(m.data, valid=m.data.ratings), "valid is for rows such as split.train"),
    ],
)
def test_bad_input_is_a_sentence_in_pythons_words(ask: object, sentence: str, ease: rec.Model) -> None:
    with pytest.raises(rec.BadInput) as refused:
        ask(ease)  # type: ignore[operator]
    assert sentence in str(refused.value)
    assert refused.value.__cause__ is None
    assert "`" not in str(refused.value)
