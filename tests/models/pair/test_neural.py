"""The networks: scores written out cell by cell, and what distinguishes each model from matrix factorisation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler
from recengine.data.sources import load_dataset
from recengine.data.splits import leave_last
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.metadata import credit_table, parse_columns, parse_credit
from recengine.models.pair import parts
from recengine.models.pair.base import PairModel
from recengine.models.pair.networks import INITIALISERS, Table
from recengine.models.registry import MODELS, configure, fit_final, model_class
from recengine.training.config import RunConfig
from recengine.training.loop import ranking_validator
from recengine.training.progress import EpochResult, Stage

PAIR = [name for name, kind in MODELS.items() if issubclass(kind, PairModel)]
SMALL = {"embedding_dim": 6, "epochs": 3, "learning_rate": 0.05, "negatives": 8}


def fitted(name: str, data: Dataset, items: pd.DataFrame | None = None, **settings: Any) -> Any:
    config, run = configure(name, {**SMALL, **settings}, RunConfig(device="cpu"))
    return model_class(name)(config).fit(data.positives(4.0), items=data.items if items is None else items, run=run)


# Networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIR)
def test_a_grid_scores_each_user_with_each_item_as_the_pair_alone(name: str, tiny: Dataset) -> None:
    """Training scores grids of groups and serving ranks every item, by the same function of user and item."""
    model = fitted(name, tiny, dropout=0.0)
    network = model.network
    users, items = torch.tensor([[4, 9], [30, 2]]), torch.tensor([[1, 5, 7], [8, 0, 1]])
    with torch.no_grad():
        grid = network(users, items)  # (2, 2, 3)
        for g in range(2):
            for s in range(2):
                for k in range(3):
                    u, i = users[g, s].reshape(1, 1), items[g, k].reshape(1, 1)
                    alone = network(u, i)
                    assert alone.item() == pytest.approx(grid[g, s, k].item(), abs=1e-5)
                    assert model.score([int(u)])[0, int(i)].item() == pytest.approx(grid[g, s, k].item(), abs=1e-5)


def test_the_layers_read_the_joined_vectors(tiny: Dataset) -> None:
    """The first layer is kept as one product per side; together they are its product with the joined vector."""
    network = fitted("mlp", tiny).network
    tower = network.tower
    u, v = network.user_embedding.weight[7], network.item_embedding.weight[3]
    first = torch.cat([tower.user_first.weight, tower.item_first.weight], 1) @ torch.cat([u, v])
    by_hand = tower.last(tower.upper(first + tower.user_first.bias)) + network.item_bias[3]
    assert fitted("mlp", tiny).score([7])[0, 3].item() == pytest.approx(by_hand.item(), abs=1e-5)


def test_metric_learning_scores_by_the_squared_distance_within_the_unit_ball(tiny: Dataset) -> None:
    model = fitted("cml", tiny, item_bias=False, init_std=2.0)
    with torch.no_grad():
        u, v = model.network.user_vectors(torch.arange(60)), model.network.item_vectors(None)
    assert float(u.norm(dim=1).max()) <= 1 + 1e-5
    assert torch.allclose(model.score(np.arange(60)), -torch.cdist(u, v).square(), atol=1e-4)


def test_deepfm_multiplies_each_pair_of_its_three_fields(tiny: Dataset) -> None:
    model = fitted("deepfm", tiny)
    network = model.network
    with torch.no_grad():
        u, v = network.user_embedding.weight[5], network.item_embedding.weight[4]
        has = network.features[4]
        genre = has @ network.value_embedding / has.sum()
        pairs = u @ v + u @ genre + v @ genre
        linear = network.item_bias[4] + has @ network.value_bias / has.sum()
        weights = {name: value.numpy() for name, value in network.tower.state_dict().items()}
    hidden = weights["user_first.weight"] @ u.numpy() + weights["user_first.bias"]
    hidden = np.maximum(0, hidden + weights["item_first.weight"] @ torch.cat([v, genre]).numpy())
    for number in range(0, 3 * (len(model.config.layers) - 1), 3):  # a linear layer, its ReLU, its dropout
        layer = weights[f"upper.2.{number}.weight"], weights[f"upper.2.{number}.bias"]
        hidden = np.maximum(0, layer[0] @ hidden + layer[1])
    deep = float(weights["last.weight"][0] @ hidden)
    assert abs(deep) > 1e-4, "the layers have no effect"
    assert model.score([5])[0, 4].item() == pytest.approx((pairs + linear).item() + deep, abs=1e-5)


# Items without history ------------------------------------------------------------------------------------------


def test_an_item_with_few_positives_keeps_its_buckets_vector_and_bias(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    few = np.cumsum(liked.item_idx == 8) <= 2  # 8 has the genres of 4, 12, ...
    rows = liked.select((liked.item_idx != 8) | few)
    assert (rows.item_idx == 8).sum() == 2
    config, run = configure("cold-start-mf", {**SMALL, "epochs": 8, "bucket_epochs": 4}, RunConfig(device="cpu"))
    model: Any = model_class("cold-start-mf")(config).fit(rows, items=tiny.items, run=run)
    network = model.network
    with torch.no_grad():
        has = network.features[8]
        assert torch.allclose(network.item_vectors(None)[8], has @ network.value_embedding / has.sum())
        assert not torch.allclose(network.item_vectors(None)[4], network.item_vectors(None)[8])
        assert float(network.item_biases(None)[0, 8]) == pytest.approx(float(has @ network.value_bias / has.sum()))


def test_cold_start_reads_the_columns_that_are_there(tiny: Dataset) -> None:
    config, run = configure("cold-start-mf", {**SMALL, "epochs": 1}, RunConfig(device="cpu"))
    values = {}
    for columns in (["genres"], ["year"], ["genres", "year"]):
        model: Any = model_class("cold-start-mf")(config)
        model.fit(tiny.positives(4.0), items=tiny.items[["item_id", "title", *columns]], run=run)
        values["".join(columns)] = len(model.network.value_embedding)
    assert values["genresyear"] == values["genres"] + values["year"]


def test_in_the_first_epochs_only_users_and_buckets_learn(tiny: Dataset) -> None:
    for epochs, moved in ((3, False), (4, True)):
        model = fitted("cold-start-mf", tiny, epochs=epochs, bucket_epochs=3)
        assert bool(model.state()["item_embedding.weight"].any()) == moved


# Hybrids --------------------------------------------------------------------------------------------------------


def test_phase_one_keeps_the_factorisation_and_phase_two_changes_it(tiny: Dataset) -> None:
    mf = fitted("mf", tiny, epochs=5)
    for epochs, still in ((3, True), (4, False)):
        config, run = configure("hybrid", {**SMALL, "epochs": epochs, "frozen_epochs": 3}, RunConfig(device="cpu"))
        kind: Any = model_class("hybrid")
        model = kind(config, tables=mf.network.state_dict()).fit(tiny.positives(4.0), items=tiny.items, run=run)
        for name in ("user_embedding.weight", "item_embedding.weight", "item_bias"):
            assert torch.equal(model.state()[name], mf.state()[name]) == still
        assert bool(model.state()["tower.last.weight"].any())


def test_the_hybrid_starts_from_the_factorisations_accuracy_and_never_ends_below_it(tiny: Dataset) -> None:
    split = leave_last(tiny.positives(4.0))
    config, run = configure("hybrid", {**SMALL, "epochs": 6, "frozen_epochs": 3}, RunConfig(device="cpu"))
    mf = model_class("mf")(configure("mf", {**SMALL, "epochs": 5}, run)[0]).fit(split.train, run=run)
    kind: Any = model_class("hybrid")
    model = kind(config, tables=mf.network.state_dict()).fit(split.train, valid=split.valid, items=tiny.items, run=run)
    reached = [result.metrics["valid_ndcg@10"] for result in model.training_log]
    assert [result.epoch for result in model.training_log] == list(range(7))
    assert reached[0] == pytest.approx(ranking_validator(mf.score, split.train, split.valid)()["valid_ndcg@10"])
    assert ranking_validator(model.score, split.train, split.valid)()["valid_ndcg@10"] >= reached[0]


def test_the_hybrids_pretraining_reports_its_epochs_by_name_and_stays_out_of_the_training_log(tiny: Dataset) -> None:
    split = leave_last(tiny.positives(4.0))
    config, run = configure("hybrid", {**SMALL, "frozen_epochs": 2, "pretrain_epochs": 4}, RunConfig(device="cpu"))
    results: list[EpochResult] = []
    final = fit_final(
        model_class("hybrid"), config, split.train, split.valid, items=tiny.items, run=run, on_epoch=results.append
    )
    epochs = {stages: [r.epoch for r in results if r.stages == stages] for stages in (r.stages for r in results)}
    pretraining, refit = Stage.PRETRAINING, Stage.REFIT
    assert list(epochs) == [(pretraining,), (), (refit, pretraining), (refit,)]  # in the order in which they happen
    assert epochs[pretraining,] == epochs[refit, pretraining] == [1, 2, 3, 4]
    assert epochs[()] == [result.epoch for result in final.training_log] == [0, 1, 2, 3]
    assert not any(result.stages for result in final.training_log)
    assert all(r.epochs == 4 and np.isfinite(r.loss) for r in results if pretraining in r.stages)

    def stop(row: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model_class("hybrid")(config).fit(split.train, items=tiny.items, run=run, on_epoch=stop)


def test_items_without_metadata_are_unknown_and_counted(tiny: Dataset) -> None:
    films = tiny.items.assign(genres=tiny.items["genres"].where(np.arange(40) >= 3, ""))
    films["year"] = films["year"].where(np.arange(40) != 2)
    assert fitted("deepfm", tiny, items=films).n_unknown == 3
    assert fitted("hybrid-joint", tiny, items=films).n_unknown == 1
    assert fitted("mf", tiny, items=films, partial_credit="genres:0.4").n_unknown == 3
    assert fitted("mf", tiny).n_unknown is None  # it reads none


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("deepfm", {}, "reads genres of the items, and this data set has none; add it to movies.csv"),
        ("cold-start-mf", {}, "reads genres or year or keywords or tags or director of the items"),
        ("hybrid", {}, "reads genres and year of the items, and this data set has none; add them to movies.csv"),
        ("hybrid-joint", {"metadata": "title,tags"}, "metadata 'title,tags' names 'title', which is not item metadata"),
        ("hybrid-joint", {"metadata": " "}, "metadata ' ' names no column; expected some of: genres"),
        ("mf", {"partial_credit": "genres:0.4,director:0.2"}, "model 'mf' reads genres and director of the items"),
        ("content", {}, "needs genres, years, keywords, tags or directors in the item table"),
    ],
)
def test_metadata_that_no_item_has_is_bad_input(name: str, settings: Any, words: str, tiny: Dataset) -> None:
    bare = tiny.items.assign(genres="", year=pd.array([None] * 40, dtype="Int64"))
    config, run = {**settings, "epochs": 1}, RunConfig(device="cpu")
    with pytest.raises(BadInput, match=re.escape(words)):
        model_class(name)(configure(name, config, run)[0]).fit(tiny.positives(4.0), items=bare, run=run)


def test_a_column_that_the_item_table_lacks_is_bad_input_even_with_one_that_it_has(tiny: Dataset) -> None:
    with pytest.raises(BadInput, match=r"model 'hybrid' reads tags of the items, and this data set has none"):
        fitted("hybrid", tiny, metadata="genres,tags")
    years = tiny.items.assign(year=pd.array([None] * 40, dtype="Int64"))
    assert fitted("hybrid-joint", tiny, items=years).n_unknown == 0  # every item table has years, here empty ones


# Partial credit, sampling, optimisers ---------------------------------------------------------------------------


def test_partial_credit_lowers_the_loss_of_negatives_of_the_same_genre_alone(tiny: Dataset) -> None:
    user, item = torch.tensor([0, 1]), torch.tensor([4, 5])
    same, other = torch.tensor([[8, 12]]), torch.tensor([[6, 7]])  # items 4, 8 and 12 have the same genres
    plain, fair = (fitted("mf", tiny, loss="hinge", l2=0, partial_credit=c) for c in ("", "genres:0.4"))
    fair.network = plain.network
    fair.credit = credit_table(tiny.items, parse_credit("genres:0.4"), 40)
    gap = {
        name: plain.loss(user, item, n, None) - fair.loss(user, item, n, None)
        for name, n in (("same", same), ("other", other))
    }
    assert gap["other"].item() == 0.0
    assert gap["same"].item() > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partial_credit": "genre:0.4"}, "names 'genre', which is not item metadata; expected some of: genres"),
        ({"partial_credit": "genres"}, "expected a weight from 0 to 1, as in genres:0.4"),
        ({"partial_credit": "genres:2"}, "expected a weight from 0 to 1"),
    ],
)
def test_partial_credit_that_cannot_be_read_is_bad_input(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        configure("mf", settings, RunConfig())


def test_unusable_metadata_columns_and_layers_are_bad_input() -> None:
    assert parse_columns(" genres, year ") == ("genres", "year")
    with pytest.raises(BadInput, match="metadata 'genres,plot' names 'plot', which is not item metadata"):
        configure("hybrid", {"metadata": "genres,plot"}, RunConfig())
    with pytest.raises(BadInput, match="names no layer"):
        configure("mlp", {"layers": ""}, RunConfig())


def test_popular_items_are_sampled_in_proportion_to_a_power_of_their_positives() -> None:
    counts = [1, 16, 0, 81]
    item = np.repeat(np.arange(4), counts)
    rows = Interactions.from_pairs(np.arange(98), item, n_users=98, n_items=4)
    sampled = ItemSampler(rows, power=0.75).draw((100, 1000), torch.Generator().manual_seed(0))
    share = np.bincount(sampled.flatten().numpy(), minlength=4) / 1e5
    assert share == pytest.approx(np.array([1, 8, 0, 27]) / 36, abs=0.01)
    even = ItemSampler(rows).draw((100, 1000), torch.Generator().manual_seed(0))
    assert np.bincount(even.flatten().numpy()) / 1e5 == pytest.approx([0.25] * 4, abs=0.01)


def test_biases_have_a_separate_optimiser_and_learning_rate(tiny: Dataset) -> None:
    model = fitted("mf", tiny, bias_optimizer="sgd", bias_learning_rate=0.5, user_bias=True)
    model.network.requires_grad_(True)
    biases, rest = sorted(model.optimizers(0.1), key=lambda made: made.param_groups[0]["lr"], reverse=True)
    assert isinstance(rest, torch.optim.Adagrad)
    assert isinstance(biases, torch.optim.SGD)
    assert biases.param_groups[0]["lr"] == pytest.approx(0.05)
    held = [p for group in biases.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(model.network.item_bias), id(model.network.user_bias)}
    frozen = fitted("mf", tiny, bias_learning_rate=0.0)
    assert not frozen.state()["item_bias"].any()
    assert fitted("mf", tiny).state()["item_bias"].any()


def test_without_an_item_bias_the_score_is_the_product_alone(tiny: Dataset) -> None:
    model = fitted("mf", tiny, item_bias=False)
    network = model.network
    assert torch.allclose(model.score([1]), network.user_embedding.weight[1:2] @ network.item_embedding.weight.T)


@pytest.mark.parametrize("name", ["mf", "neumf"])
def test_y_range_squashes_every_score_and_changes_no_ranking(name: str, tiny: Dataset) -> None:
    model = fitted(name, tiny, y_range="1,5", user_bias=True, loss="squared", dropout=0.0)
    network = model.network
    user, item = torch.tensor([3, 9]), torch.tensor([7])
    with torch.no_grad():
        u, v = network.user_vectors(user)[None], network.item_vectors(item)[None]
        raw = network.score_grid(u, v, network.item_biases(item[None]))[0]
        raw = raw + network.user_bias[user][:, None]  # (2, 1)
    assert torch.allclose(model.score(user)[:, 7:8], 1 + 4 / (1 + torch.exp(-raw)), atol=1e-5)
    scores = model.score(np.arange(60))
    assert 1 < float(scores.min()) < float(scores.max()) < 5
    network.y_range = None
    assert torch.equal(scores.argsort(dim=1, stable=True), model.score(np.arange(60)).argsort(dim=1, stable=True))


def test_y_range_holds_in_training_and_for_new_users(tiny: Dataset) -> None:
    """The squared loss compares the squashed scores with 1 for the positive and 0 for the negative."""
    model = fitted("mf", tiny, y_range=[0, 1], loss="squared", l2=0.0, user_bias=True)
    user, item, negative = torch.tensor([3]), torch.tensor([7]), torch.tensor([[2]])
    got, other = (float(model.score([3])[0, i]) for i in (7, 2))
    with torch.no_grad():
        loss = model.loss(user, item, negative, None)
    assert float(loss) == pytest.approx(((1 - got) ** 2 + other**2) / 2, rel=1e-4)
    new_user = model.score_history(Interactions.from_pairs([0, 0], [1, 5], n_users=1, n_items=40))
    assert 0 < float(new_user.min()) < float(new_user.max()) < 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("5,1", "y_range '5,1' is empty; expected its low end below its high one"),
        ("1,1", "is empty"),
        ("1,2,3", "cannot be read; expected 2 numbers joined by commas"),
        ("1", "expected 2 numbers joined by commas"),
        ("0,inf", "expected a finite number"),
    ],
)
def test_an_invalid_y_range_is_bad_input(value: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        configure("mf", {"y_range": value}, RunConfig())


def test_training_starts_from_given_tables_and_keeps_frozen_ones(tiny: Dataset) -> None:
    kind: Any = model_class("mf")
    config, run = configure("mf", SMALL, RunConfig(device="cpu"))
    given = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    model = kind(config, tables={"item_embedding.weight": given}, frozen=["item_embedding"])
    model.fit(tiny.positives(4.0), run=run)
    assert torch.equal(model.item_vectors(), given)
    moved = kind(config, tables={"item_embedding.weight": given}).fit(tiny.positives(4.0), run=run)
    assert not torch.equal(moved.item_vectors(), given)


def test_zero_negatives_compares_each_positive_with_every_other_item(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    for sampling in ("exact", "approximate"):
        model = fitted("mf", tiny, negatives=0, sampling=sampling)
        user, item, negative, taken = next(iter(model.batches(liked, torch.device("cpu"), torch.Generator())()))
        assert negative.tolist() == [list(range(40))]
        for row, (u, i) in enumerate(zip(user.tolist(), item.tolist(), strict=True)):
            expected = set(liked.item_idx[liked.user_idx == u].tolist()) if sampling == "exact" else {i}
            assert set(taken[row].nonzero()[:, 0].tolist()) == expected


@pytest.mark.parametrize("name", [name for name in PAIR if name != "mf"])
@pytest.mark.parametrize("loss", ["bpr", "warp", "squared"])
def test_every_network_trains_with_every_kind_of_loss(name: str, loss: str, tiny: Dataset) -> None:
    model: Recommender = fitted(name, tiny, loss=loss, dropout=0.1, schedule="cosine", clip=1.0)
    assert bool(torch.isfinite(model.score(np.arange(60))).all())


@pytest.mark.parametrize("name", ["nonlinear-mf", "cml", "mf"])
def test_folding_in_sets_no_threads_and_hardly_depends_on_their_number(name: str, tiny: Dataset, monkeypatch) -> None:
    model = fitted(name, tiny, recency_half_life=2.0)
    users, threads = tiny.positives(4.0).of_users(np.arange(60)), torch.get_num_threads()
    scores = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            with monkeypatch.context() as patch:
                patch.setattr(torch, "set_num_threads", lambda count: pytest.fail("a serving path sets threads"))
                scores.append(model.score_history(users))
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(*scores, atol=1e-3)


def test_a_fold_in_does_not_change_the_network(tiny: Dataset) -> None:
    model = fitted("nonlinear-mf", tiny, user_bias=True)
    before = {name: tensor.clone() for name, tensor in model.state().items()}
    few = tiny.positives(4.0).of_users([3, 4])
    assert model.score_history(few).shape == (2, 40)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state().items())
    assert all(weight.grad is None for weight in model.network.parameters())


@pytest.mark.real
def test_folding_in_reaches_the_accuracy_of_learned_vectors(mirror: Path) -> None:
    """On ml-100k, users folded in from their training rows are served nearly as well as by their trained vectors."""
    split = leave_last(load_dataset("ml-100k").positives(4.0))
    config, run = configure("mf", {"epochs": 9}, RunConfig(device="cpu"))
    model: Any = model_class("mf")(config).fit(split.train, run=run)
    some = split.valid.select(split.valid.user_idx < 300)
    folded = model.score_history(split.train.of_users(np.arange(300)))
    learned, served = (
        ranking_validator(score, split.train, some)()["valid_ndcg@10"]
        for score in (model.score, lambda users: folded[users])
    )
    assert served > 0.85 * learned > 0.05


@given(
    index=arrays(np.int64, array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.integers(0, 4)),
    dim=st.integers(1, 5),
)
def test_a_table_has_the_values_and_gradients_of_an_embedding(index: np.ndarray, dim: int) -> None:
    weight = torch.randn(5, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(*index.shape, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outcome = []
    for kind in (Table, torch.nn.Embedding):
        table = kind(5, dim, _weight=weight.clone())
        out = table(torch.from_numpy(index))
        out.backward(gradient)
        outcome.append((out.detach(), table.weight.grad))
    assert torch.equal(outcome[0][0], outcome[1][0])
    assert torch.allclose(outcome[0][1], outcome[1][1], atol=1e-12)


def test_a_look_up_without_gradient_prepares_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new user's answer over HTTP looks one vector up, and has no time for it."""
    monkeypatch.setattr(parts, "_Lookup", None)
    table, index = Table(5, 2), torch.tensor([[3, 3, 0]])
    for of in (table, table.holding(torch.arange(8.0).view(4, 2))):
        with torch.no_grad():
            assert torch.equal(of(index), of.weight[index])
    assert of.num_embeddings == 4
    assert not of.weight.requires_grad
    assert table.weight.requires_grad


@pytest.mark.parametrize(("initialiser", "most"), [("normal", 5.0), ("truncated", 0.21), ("uniform", 0.174)])
def test_vectors_start_as_configured(initialiser: str, most: float) -> None:
    table = torch.empty(2000, 50)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        INITIALISERS[initialiser](table, 0.1)
    assert abs(float(table.mean())) < 0.002
    assert float(table.std()) == pytest.approx(0.1, rel=0.15)
    assert float(table.abs().max()) <= most


def test_xavier_follows_from_the_shape() -> None:
    table = torch.empty(2000, 50)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        INITIALISERS["xavier"](table, 0.1)
    assert float(table.std()) == pytest.approx((2 / 2050) ** 0.5, rel=0.02)
