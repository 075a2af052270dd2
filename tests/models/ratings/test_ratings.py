"""Predicting ratings: what the models learn from, that they recover a table, their errors, and the two commands."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, hold_out, make_split
from recengine.errors import BadInput
from recengine.evaluation.ratings import RatingErrors, rating_errors, ratio_interval
from recengine.experiments.store import ArtefactStore
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.ratings.base import RatingModel
from recengine.models.ratings.bias import Bias
from recengine.models.ratings.gibbs import Links, sample_normal_wishart
from recengine.models.ratings.mf_explicit import MFExplicit
from recengine.models.ratings.recommender_net import RecommenderNet
from recengine.models.registry import MODELS, configure
from recengine.serving.recommend import recommend_new
from recengine.training.config import RunConfig

CPU = RunConfig(device="cpu")
RATERS = [name for name, kind in MODELS.items() if kind.learns_from == "ratings"]
SETTINGS: dict[str, dict[str, Any]] = {
    "gibbs": {"embedding_dim": 2, "averaged_sweeps": 30, "epochs": 60, "implicit": False},
    "gibbs, implicit": {"embedding_dim": 2, "averaged_sweeps": 30, "epochs": 60},
    "adam": {"solver": "adam", "embedding_dim": 2, "learning_rate": 0.03, "l2": 0.003, "batch_size": 64, "epochs": 60},
    "adam, bounded": {
        **{"solver": "adam", "embedding_dim": 2, "learning_rate": 0.05, "l2": 0.0003, "batch_size": 64},
        **{"bounded": True, "epochs": 60},
    },
    "dense": {"solver": "dense", "embedding_dim": 2, "learning_rate": 0.1, "l2": 0.003, "epochs": 150},
}


def fitted(name: str, rows: Interactions, seed: int = 0, **settings: Any) -> RatingModel:
    config, run = configure(name, settings, replace(CPU, seed=seed))
    model = MODELS[name](config).fit(rows, run=run)
    assert isinstance(model, RatingModel)
    return model


def rmse(model: RatingModel, rows: Interactions) -> float:
    error = model.predict(rows.user_idx, rows.item_idx).numpy() - rows.rating
    return float(np.sqrt((error**2).mean()))


@pytest.fixture(scope="module")
def table() -> tuple[Interactions, Interactions]:
    """Return (given, withheld): a table 3 + a_u b_i + c_u of rank one and offsets, noiseless; 30 % is withheld."""
    rng = np.random.default_rng(0)
    n_users, n_items = 50, 40
    a, b, c = rng.choice([-1.0, 1.0], n_users), rng.uniform(-1.2, 1.2, n_items), rng.uniform(-0.7, 0.7, n_users)
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    rows = Interactions.from_pairs(user, item, n_users=n_users, n_items=n_items, rating=3 + a[user] * b[item] + c[user])
    return hold_out(rows, share=0.3, rng=rng)


@pytest.fixture(scope="module")
def factors(table) -> Callable[[str], MFExplicit]:
    """Return a function that gives `mf-explicit` fitted to the table in one of the ways of `SETTINGS`, once each."""

    @cache
    def fitted_once(how: str) -> MFExplicit:
        model = fitted("mf-explicit", table[0], **SETTINGS[how])
        assert isinstance(model, MFExplicit)
        return model

    return fitted_once


# Bias -----------------------------------------------------------------------------------------------------------


def test_bias_without_shrinking_is_exact_on_offsets_that_add_up() -> None:
    rows = Interactions.from_pairs([0, 0, 1, 1], [0, 1, 0, 1], n_users=3, n_items=3, rating=[1, 2, 3, 4])
    model = fitted("bias", rows, item_shrink=0, user_shrink=0)
    assert model.predict([0, 0, 1, 1], [0, 1, 0, 1]).tolist() == pytest.approx([1, 2, 3, 4])
    assert model.predict([2, 2, 0], [2, 0, 2]).tolist() == pytest.approx([2.5, 2.0, 1.5])  # mean and the other's part


def test_bias_shrinks_by_hand_values() -> None:
    rows = Interactions.from_pairs([0, 1], [0, 0], n_users=2, n_items=2, rating=[5, 2])
    model = fitted("bias", rows, item_shrink=1, user_shrink=2, rounds=1)
    # mean 3.5; item 0: 0 / 3; user 0: 1.5 / 3, user 1: -1.5 / 3
    assert model.predict([0, 1, 1], [0, 0, 1]).tolist() == pytest.approx([4.0, 3.0, 3.0])


def test_bias_agrees_with_a_loop_over_the_rows(tiny: Dataset) -> None:
    rows = tiny.ratings
    mean, users, items = float(rows.rating.mean(dtype=float)), np.zeros(60), np.zeros(40)
    for _ in range(10):
        for target, own, other_of, shrink in (
            (items, rows.item_idx, users[rows.user_idx], 2.0),
            (users, rows.user_idx, None, 5.0),
        ):
            other = items[rows.item_idx] if other_of is None else other_of
            for x in range(len(target)):
                mine = own == x
                target[x] = (rows.rating[mine] - mean - other[mine]).sum() / (mine.sum() + shrink)
    expected = mean + users[:, None] + items
    assert np.allclose(fitted("bias", rows).score(np.arange(60)).numpy(), expected, atol=1e-4)


# Factors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", list(SETTINGS))
def test_mf_explicit_recovers_what_is_withheld_of_a_table_of_rank_one(table, factors, how: str) -> None:
    given, withheld = table
    offsets = rmse(fitted("bias", given), withheld)
    assert offsets > 0.6
    assert rmse(factors(how), withheld) < 0.25 * offsets


def test_recommender_net_recovers_what_is_withheld_of_a_table_of_rank_one(table) -> None:
    given, withheld = table
    model = fitted(
        "recommender-net",
        given,
        **{"embedding_dim": 4, "layers": (32, 32), "embedding_dropout": 0, "dropout": 0, "l2": 0.001},
        **{"batch_size": 64, "learning_rate": 0.01, "epochs": 30, "init_std": 0.3},
    )
    assert rmse(model, withheld) < 0.4 * rmse(fitted("bias", given), withheld)


def test_the_dense_loss_is_the_loss_of_the_observed_cells_alone(tiny: Dataset) -> None:
    """So it is the batch loss of all rows, and what stands in a cell that nobody rated changes nothing."""
    rows = tiny.ratings
    model = fitted("mf-explicit", rows, solver="dense", embedding_dim=3, epochs=2)
    assert isinstance(model, MFExplicit)
    user, item = (torch.from_numpy(x.astype(np.int64)) for x in (rows.user_idx, rows.item_idx))
    ratings, mask = torch.full((60, 40), 77.0), torch.zeros(60, 40)
    ratings[user, item], mask[user, item] = torch.from_numpy(rows.rating.copy()), 1.0
    whole = model.dense_loss(ratings, mask)
    assert whole.item() == pytest.approx(model.loss(user, item, ratings[user, item]).item(), rel=1e-5)
    whole.backward()
    assert model.network.users.grad is not None
    p, q = model.network.users.detach()[:, 0].double(), model.network.items.detach()[:, 0].double()
    error = penalty = 0.0
    for u, i, rating in zip(rows.user_idx, rows.item_idx, rows.rating, strict=True):
        expected = float(model.network.mean) + p[u, :-1] @ q[i, :-1] + p[u, -1] + q[i, -1]
        error += float(expected - rating) ** 2
        penalty += float(p[u] @ p[u] + q[i] @ q[i])
    assert whole.item() == pytest.approx((error + model.config.l2 * penalty) / len(rows), rel=1e-4)


def test_bounded_predictions_stay_inside_the_range_before_clipping_and_is_refused_for_gibbs(table, factors) -> None:
    scores = factors("adam, bounded").score(np.arange(50))
    low, high = float(table[0].rating.min()), float(table[0].rating.max())
    assert low <= scores.min() < scores.max() <= high
    with pytest.raises(BadInput, match=r"solver 'gibbs' is linear; expected adam or dense with bounded"):
        configure("mf-explicit", {"bounded": True}, CPU)


@pytest.mark.parametrize("how", list(SETTINGS))
def test_a_newcomer_is_rated_as_a_training_user_with_the_same_history(table, factors, how: str) -> None:
    given, withheld = table
    folded = factors(how).score_history(given)
    place = torch.from_numpy(withheld.user_idx.astype(np.int64)), torch.from_numpy(withheld.item_idx.astype(np.int64))
    error = folded[place].numpy() - withheld.rating
    assert np.sqrt((error**2).mean()) < 0.45 * rmse(fitted("bias", given), withheld)


def test_links_are_drawn_from_their_ridge_posterior() -> None:
    """The mean of many draws is the ridge solution (F'F + l2)^-1 F'x, whichever side is factored."""
    rng, draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for n, m in ((5, 9), (9, 5)):
        cells = np.flatnonzero(rng.random(n * m) < 0.5)
        owner, other = (torch.from_numpy(x) for x in np.divmod(cells, m))
        links = Links(owner, other, n, m, l2=2.0)
        features = links.features.to_dense()
        assert features.square().sum(1).tolist() == pytest.approx([1.0] * n)
        x = torch.from_numpy(rng.standard_normal((n, 2)).astype(np.float32))
        ridge = torch.linalg.solve(features.T @ features + 2 * torch.eye(m), features.T @ x)
        found = torch.stack([links.sample(x, 50 * torch.eye(2), draws) for _ in range(2000)])
        assert torch.allclose(found.mean(0), ridge, atol=0.02)
        variance = torch.linalg.inv(features.T @ features + 2 * torch.eye(m)).diagonal() / 50
        assert torch.allclose(found.var(0), variance[:, None].expand(-1, 2), rtol=0.2)


def test_the_normal_wishart_posterior_finds_the_mean_and_spread_of_many_rows() -> None:
    rng, draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    rows = torch.from_numpy((rng.standard_normal((20_000, 2)) @ [[1, 0.5], [0, 0.3]] + [3, -1]).astype(np.float32))
    mean, precision = sample_normal_wishart(rows, draws, rng)
    assert torch.allclose(mean, torch.tensor([3.0, -1.0]), atol=0.05)
    assert torch.allclose(torch.linalg.inv(precision), torch.cov(rows.T), atol=0.05)


# All that predict -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RATERS)
def test_estimates_are_predictions_in_the_range_of_the_data(tiny: Dataset, name: str) -> None:
    model = fitted(name, tiny.ratings, **({} if MODELS[name].preset_epochs is None else {"epochs": 3}))
    user, item = np.divmod(np.arange(60 * 40), 40)
    estimates = model.estimates(np.arange(60))
    assert torch.allclose(model.predict(user, item), estimates.flatten(), atol=1e-5)
    assert 1 <= estimates.min() <= estimates.max() <= 5
    assert torch.allclose(model.score(np.arange(60)).clamp(1, 5), estimates)


@pytest.mark.parametrize("name", RATERS)
def test_an_unknown_user_and_item_get_what_is_left_of_the_prediction(tiny: Dataset, name: str) -> None:
    gone = (tiny.ratings.user_idx == 3) | (tiny.ratings.item_idx == 11)
    rows = tiny.ratings.select(~gone)
    model = fitted(name, rows, **({} if MODELS[name].preset_epochs is None else {"epochs": 8}))
    assert abs(float(model.predict(3, 11)) - rows.rating.mean()) < 0.5
    assert float(model.predict(3, 11)) == pytest.approx(float(model.estimates(3)[0, 11]), abs=1e-5)


# What they learn from -------------------------------------------------------------------------------------------


def rows_of(rows: Interactions) -> set[tuple[int, int, float]]:
    return set(zip(rows.user_idx.tolist(), rows.item_idx.tolist(), rows.rating.tolist(), strict=True))


@pytest.mark.parametrize("name", ["leave-last", "random", "stratified", "time", "cold-user"])
def test_a_split_gives_a_model_of_ratings_the_low_ones_too_but_nothing_of_the_test(tiny: Dataset, name: str) -> None:
    split = make_split(tiny, name)
    train, valid = split.ratings()
    learned = rows_of(train) | rows_of(valid)
    assert not rows_of(train) & rows_of(valid)
    assert not learned & rows_of(split.test)
    assert rows_of(split.fit) < learned
    assert min(valid.rating) < 4
    if name == "time":
        assert max(train.timestamp.max(), valid.timestamp.max()) < split.test.timestamp.min()
    elif name == "cold-user":
        assert split.history is not None
        assert not {u for u, *_ in learned} & set(split.test.user_idx.tolist())
    else:
        assert learned == rows_of(tiny.ratings) - rows_of(split.test)
    everything = make_split(tiny, name, positive=0)
    assert everything.ratings() == (everything.train, everything.valid)


def test_of_a_published_split_only_training_rows_are_learned(tiny: Dataset) -> None:
    order = np.random.default_rng(0).permutation(len(tiny.ratings))
    published = replace(tiny, predefined={"u1": (order[:900], order[900:])})
    train, valid = make_split(published, "u1").ratings()
    assert rows_of(train) | rows_of(valid) == rows_of(tiny.ratings.select(order[:900]))


def test_a_model_of_ratings_is_trained_on_all_of_them_and_is_one_artefact_at_any_threshold(
    tiny: Dataset, tmp_path: Path
) -> None:
    store = ArtefactStore(tmp_path)
    first, again = (obtain(TrainingRequest(tiny, "bias", run=CPU, positive=p), store=store) for p in (4.0, 3.0))
    assert (first.fresh, again.fresh) == (True, False)
    assert torch.allclose(first.model.score(np.arange(60)), fitted("bias", tiny.ratings).score(np.arange(60)))


def test_a_newcomers_low_ratings_count(tiny: Dataset) -> None:
    model = fitted("mf-explicit", tiny.ratings, epochs=5)
    mild, harsh = (
        Interactions.from_pairs([0] * 4, [0, 4, 8, 12], n_users=1, n_items=40, rating=[r] * 4) for r in (5.0, 1.0)
    )
    lists = [recommend_new(model, tiny, h) for h in (mild, harsh)]
    assert not lists[1].fallback[0]
    assert lists[0].ranking.scores[0, 0] > lists[1].ranking.scores[0, 0] + 0.3


# Errors ---------------------------------------------------------------------------------------------------------


def test_errors_by_hand() -> None:
    errors = RatingErrors(*(np.array(x, float) for x in ([2, 1], [1.25, 4.0], [1.5, 2.0], [1, 0])))
    found = errors.means()
    assert found["rmse"][0] == pytest.approx(math.sqrt(5.25 / 3))
    assert found["mae"][0] == pytest.approx(3.5 / 3)
    assert found["within_half"][0] == pytest.approx(1 / 3)
    for value, low, high in found.values():
        assert low < value < high


def test_rating_errors_agree_with_a_loop(tiny: Dataset) -> None:
    split = make_split(tiny, "random", positive=0, share=0.2)
    model = fitted("bias", split.fit)
    found = rating_errors(model, split).means()
    misses = [
        float(model.predict(u, i)) - float(r)
        for u, i, r in zip(split.test.user_idx, split.test.item_idx, split.test.rating, strict=True)
    ]
    assert found["rmse"][0] == pytest.approx(math.sqrt(sum(m * m for m in misses) / len(misses)))
    assert found["mae"][0] == pytest.approx(sum(map(abs, misses)) / len(misses))
    assert found["within_half"][0] == pytest.approx(sum(abs(m) <= 0.5 for m in misses) / len(misses))


def test_the_interval_is_that_of_resampled_users_not_rows() -> None:
    rng = np.random.default_rng(0)
    count = rng.integers(1, 60, 400).astype(float)
    total = count * rng.gamma(2, 0.5, 400)  # rows of one user go together
    value, low, high = ratio_interval(total, count)
    draws = rng.integers(0, 400, (4000, 400))
    again = np.sort(total[draws].sum(1) / count[draws].sum(1))
    assert value == pytest.approx(total.sum() / count.sum())
    assert [low, high] == pytest.approx([again[100], again[3900]], rel=0.02)
    assert np.isnan(ratio_interval(total[:1], count[:1])[1:]).all()


def test_people_who_are_not_in_training_are_predicted_from_their_history(tiny: Dataset) -> None:
    split = make_split(tiny, "cold-user", positive=0, given=5)
    model: Any = fitted("bias", split.fit)
    found = rating_errors(model, split)
    assert split.history is not None
    scores = model.score_history(split.history).clamp(1, 5)
    error = scores[split.test.user_idx.tolist(), split.test.item_idx.tolist()].numpy() - split.test.rating
    assert found.means()["rmse"][0] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-5)
    with pytest.raises(BadInput, match="'recommender-net' cannot serve users"):
        rating_errors(fitted("recommender-net", split.fit, epochs=1), split)


def test_a_model_without_ratings_has_no_rating_errors(tiny: Dataset) -> None:
    split: Split = make_split(tiny, "random")
    with pytest.raises(BadInput, match="'popularity' predicts no ratings"):
        rating_errors(MODELS["popularity"]().fit(split.fit), split)


# The command line -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `tiny` as ratings.csv."""
    place = tmp_path_factory.mktemp("ratings")
    r = tiny.ratings
    columns = (tiny.user_ids[r.user_idx], tiny.item_ids[r.item_idx], r.rating, r.timestamp)
    write(place / "ratings.csv", [("userId", "movieId", "rating", "timestamp"), *zip(*columns, strict=True)])
    return place


def write(path: Path, rows: list[Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_predict_adds_a_column_and_keeps_the_order(folder: Path, tmp_path: Path, capsys) -> None:
    pairs = [("note", "user_id", "item_id"), ("b", 5, 103), ("a", 1, 140), ("b", 5, 101)]
    asked, out = write(tmp_path / "pairs.csv", pairs), tmp_path / "out.csv"
    command = ["predict", "--dataset", folder, "--model", "bias", "--pairs", asked, "--out", out, "--json"]
    assert main([str(a) for a in command]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(out), "rows": 3}
    header, *rows = read(out)
    assert header == ["note", "user_id", "item_id", "rating"]
    assert [tuple(row[:3]) for row in rows] == [tuple(map(str, row)) for row in pairs[1:]]
    data = load_dataset(str(folder))
    model: Any = obtain(TrainingRequest(data, "bias")).model
    expected = model.predict(data.user_index([5, 1, 5]), data.item_index([103, 140, 101])).tolist()
    assert [float(row[3]) for row in rows] == pytest.approx(expected)
    given = write(tmp_path / "given.csv", [("user_id", "item_id", "rating"), (5, 103, 2.5)])
    assert main(["predict", "--dataset", str(folder), "--model", "bias", "--pairs", str(given), "--out", str(out)]) == 0
    assert read(out)[0] == ["user_id", "item_id", "rating", "predicted_rating"]


def test_estimates_are_the_whole_matrix_of_predictions(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("recengine.cli.predicting.BATCH", 7)
    out = tmp_path / "all.csv"
    assert main(["estimates", "--dataset", str(folder), "--model", "bias", "--out", str(out)]) == 0
    data = load_dataset(str(folder))
    header, *rows = read(out)
    assert header == ["user_id", *map(str, data.item_ids)]
    assert [row[0] for row in rows] == [str(u) for u in data.user_ids]
    model: Any = obtain(TrainingRequest(data, "bias")).model
    user, item = np.divmod(np.arange(60 * 40), 40)
    found = np.array([row[1:] for row in rows], float)
    assert np.allclose(found.ravel(), model.predict(user, item).numpy(), atol=1e-4)


def test_estimates_that_fail_on_the_way_leave_what_was_there(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "all.csv"
    out.write_text("before")
    monkeypatch.setattr("recengine.cli.predicting.BATCH", 7)
    wanted = Bias.estimates

    def breaks(self: Bias, user_idx: Any) -> torch.Tensor:
        if 20 in user_idx:
            raise RuntimeError("on the way")
        return wanted(self, user_idx)

    monkeypatch.setattr(Bias, "estimates", breaks)
    assert main(["estimates", "--dataset", str(folder), "--model", "bias", "--out", str(out)]) == 1
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("command", ["predict", "estimates"])
def test_a_model_that_predicts_no_ratings_is_bad_input_that_names_those_that_do(command: str, tmp_path, capsys) -> None:
    pairs = ["--pairs", str(tmp_path / "pairs.csv")] if command == "predict" else []
    assert main([command, "--dataset", "nowhere", "--model", "ease", *pairs, "--out", str(tmp_path / "o.csv")]) == 2
    said = capsys.readouterr().err
    assert "'ease' predicts no ratings; expected one of:" in said
    assert all(name in said for name in RATERS)


def test_evaluate_reports_rating_errors_beside_the_ranking(folder: Path, capsys) -> None:
    command = ["evaluate", "bias", "popularity", "--dataset", str(folder), "--split", "random", "--positive", "0"]
    assert main([*command, "--json", "--quiet"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    for key in ("rmse", "mae", "within_half"):
        assert key not in results["popularity"]
        assert results["bias"][key]["low"] < results["bias"][key]["value"] < results["bias"][key]["high"]
    split = make_split(load_dataset(str(folder)), "random", positive=0)
    assert results["bias"]["rmse"]["value"] == pytest.approx(rmse(fitted("bias", split.fit), split.test))
    assert "ndcg@10" in results["bias"]
    assert main([*command, "--quiet"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()[1:]
    assert head.split()[-3:] == ["rmse", "mae", "within_half"]
    assert next(row.split()[-1] for row in rows if row.startswith("popularity")) == "-"


@pytest.mark.real
def test_bias_reaches_on_ml_100k_u1_what_two_offsets_can(mirror: Path) -> None:
    split = make_split(load_dataset("ml-100k"), "u1", positive=0)
    found = rating_errors(fitted("bias", split.fit), split).means()["rmse"]
    assert found[0] == pytest.approx(0.953, abs=0.002)
    assert found[1] < found[0] < found[2]


def test_recommender_net_reduces_its_rate_on_a_plateau(tiny: Dataset, monkeypatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def noted(self: torch.optim.Adam, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    train, valid = hold_out(tiny.ratings, share=0.2, rng=np.random.default_rng(0))
    config, run = configure(
        "recommender-net", {"epochs": 8, "schedule_patience": 0, "learning_rate": 0.05, "patience": 8}, CPU
    )
    RecommenderNet(config).fit(train, valid=valid, run=run)
    assert rates[0] == 0.05
    assert rates[-1] < 0.05
