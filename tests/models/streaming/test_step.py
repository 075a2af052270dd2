"""`step`: its updates against autograd, its stream against a slow implementation, growth, copies and saving."""

import copy
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.streaming import step as step_module
from recengine.models.streaming import step_kernel as kernel
from recengine.models.streaming import step_sampling as sampling
from recengine.models.streaming.base import LinkedEvents
from recengine.models.streaming.step import Step, StepConfig
from recengine.models.streaming.step_arrays import LOSSES, OPTIMIZERS, SOURCES, Rule, Sampler, Scratch, Tables
from recengine.training.config import RunConfig

CPU = RunConfig(device="cpu", epochs=2)
PRESETS = {"embedding_dim": 8, "optimizer": "sgd", "learning_rate": 0.1, "l2": 0.003, "item_init_std": 0.1}


def events(n: int, n_users: int = 12, n_items: int = 30, seed: int = 0) -> Interactions:
    """Return n events of distinct pairs in a random order."""
    pairs = np.random.default_rng(seed).permutation(n_users * n_items)[:n]
    rating = 1 + pairs % 5
    return Interactions.from_pairs(pairs // n_items, pairs % n_items, rating=rating, n_users=n_users, n_items=n_items)


def fit(rows: Interactions, run: RunConfig = CPU, **config: Any) -> Step:
    return Step(StepConfig.from_dict({**PRESETS, **config})).fit(rows, run=run)


# Updates against autograd ---------------------------------------------------------------------------------------


def loss_of(loss: str, scores: torch.Tensor, sigmoid: bool) -> torch.Tensor:
    """Return the loss of one example, whose positive comes first."""
    positive, negative = scores[0], scores[1:]
    shown = scores.sigmoid() if sigmoid else scores
    match loss:
        case "squared":
            return ((1 - shown[0]) ** 2 + (shown[1:] ** 2).sum() / max(len(negative), 1)) / 2
        case "logistic":
            return -logsigmoid(positive) - logsigmoid(-negative).mean()
        case "bpr":
            return -logsigmoid(positive - negative).mean()
        case "softmax":
            return torch.logsumexp(scores, 0) - positive
    return 1 - shown[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("loss", "sigmoid"), [*((name, False) for name in LOSSES), ("squared", True), ("linear", True)]
)
def test_an_update_is_what_autograd_and_the_optimiser_of_torch_do(loss: str, sigmoid: bool, optimizer: str) -> None:
    """Three steps on batches of examples that share users and items, one of them with fewer negatives."""
    draws = torch.Generator().manual_seed(3)
    table = {n: torch.randn(s, generator=draws) for n, s in {"users": (5, 6), "items": (9, 6), "bias": (9, 1)}.items()}
    parameters = {name: values.clone().requires_grad_() for name, values in table.items()}
    kinds = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.SparseAdam}
    oracle = kinds[optimizer](list(parameters.values()), lr=0.05)
    moments = {name: np.zeros((OPTIMIZERS.index(optimizer), *t.shape), np.float32) for name, t in table.items()}
    tables = Tables(*(t.numpy() for t in table.values()), *moments.values(), np.zeros(1, np.int64))
    codes = LOSSES.index(loss), OPTIMIZERS.index(optimizer)
    rule = Rule(*codes, 0.05, 0.02, sigmoid, True, True, True)
    scratch = Scratch.for_batches(5, 9, 6, 3, 3)
    for turn in range(3):
        examples = [(0, [1, 2, 3, 4], 1.0), (0, [2, 1, 5 + turn, 0], 2.5), (turn + 1, [1, 8], 0.5)]
        for b, (user, picked, weight) in enumerate(examples):
            scratch.users[b], scratch.counts[b], scratch.weights[b] = user, len(picked), weight
            scratch.items[b, : len(picked)] = picked
        used = {"users": [user for user, _, _ in examples], "items": [i for _, picked, _ in examples for i in picked]}
        total = torch.zeros(())
        penalty = torch.zeros(())
        for user, picked, weight in examples:
            u, v, b = parameters["users"][user], parameters["items"][picked], parameters["bias"][picked]
            total = total + weight * loss_of(loss, v @ u + b[:, 0], sigmoid) / 3
            penalty = penalty + 0.02 / 2 * (u.square().sum() + v.square().sum()) / 3
        oracle.zero_grad()
        (total + penalty).backward()
        if optimizer == "adam":
            for name, parameter in parameters.items():
                rows = torch.tensor(sorted(set(used["users" if name == "users" else "items"])))
                parameter.grad = torch.sparse_coo_tensor(
                    rows[None], parameter.grad[rows], parameter.shape, check_invariants=True
                )
        oracle.step()
        assert kernel.train_on_batch(tables, rule, scratch, 3, True) == pytest.approx(float(total.detach()), rel=1e-4)
        for name, parameter in parameters.items():
            assert torch.allclose(table[name], parameter.detach(), atol=2e-5), (turn, name)
    assert (scratch.user_slot == -1).all()
    assert (scratch.item_slot == -1).all()


# The stream against a slow one ----------------------------------------------------------------------------------


class SlowStream:
    """A plain `test_then_train`, event by event, in double precision with autograd."""

    def __init__(self, model: Step) -> None:
        self.config = model.config
        net = model.network
        self.tables = [t.double().clone() for t in (net.users, net.items, net.bias)]
        self.past = list(zip(model.past.user.tolist(), model.past.item.tolist(), strict=True))
        self.state = int(net.random) % 2**64

    def draw(self, below: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) % below

    def had(self, user: int) -> set[int]:
        return {i for u, i in self.past if u == user}

    def learn(self, user: int, item: int) -> None:
        picked, taken, config = [item], self.had(user), self.config
        while config.loss != "linear" and len(picked) <= config.event_negatives:
            came = list(dict.fromkeys(i for _, i in self.past))  # in the order of their first events
            other = came[self.draw(len(came))]
            if other not in taken:
                taken.add(other)
                picked.append(other)
        indices = [user], picked, picked
        rows = [table[index].requires_grad_() for table, index in zip(self.tables, indices, strict=True)]
        u, v, b = rows[0][0], rows[1], rows[2]
        penalty = config.l2 / 2 * (u.square().sum() + v.square().sum())
        loss = loss_of(config.loss, v @ u + b[:, 0], config.sigmoid) + penalty
        for gradient, table, index in zip(torch.autograd.grad(loss, rows), self.tables, indices, strict=True):
            if config.item_bias or table is not self.tables[2]:
                table[index] -= config.learning_rate * gradient

    def take(self, user: int, item: int, masked: bool) -> tuple[int, int]:
        """Return the lowest and highest rank that the item can have if scores may be off by 1e-6."""
        users, items, bias = self.tables
        scores = (items @ users[user] + bias[:, 0]).numpy()
        had = self.had(user) if masked else set()
        others = np.array([i for i in range(len(items)) if i != item and i not in had])
        near = 1e-6 * max(1.0, abs(scores).max())
        better, as_good = scores[others] > scores[item] + near, scores[others] >= scores[item] - near
        self.past.append((user, item))
        for _ in range(self.config.passes):
            self.learn(user, item)
        for _ in range(self.config.replay if len(self.past) > 1 else 0):
            self.learn(*self.past[self.draw(len(self.past) - 1)])
        return 1 + better.sum(), 1 + as_good.sum()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {"loss": "squared", "event_negatives": 0, "passes": 1, "replay": 0, "item_bias": False},
        {"loss": "linear", "passes": 1, "replay": 0, "item_bias": False, "l2": 0},
        {"loss": "bpr", "event_negatives": 3, "passes": 2, "replay": 2},
    ],
    ids=lambda config: config["loss"],
)
def test_the_stream_agrees_event_by_event_with_a_slow_one(config: dict[str, Any], masked: bool) -> None:
    rows = events(160)
    model = fit(rows.select(slice(0, 40)), **config)
    slow = SlowStream(model)
    rest = rows.select(slice(40, 160))
    ranks = model.test_then_train(rest, masked=masked)
    for event, rank in enumerate(ranks.tolist()):
        low, high = slow.take(int(rest.user_idx[event]), int(rest.item_idx[event]), masked)
        assert low <= rank <= high, event
    assert model.network.items.numpy() == pytest.approx(slow.tables[1].numpy(), abs=1e-4)
    assert len(np.unique(ranks)) > 10


def test_lists_and_limits_agree_with_the_ranks() -> None:
    rows = events(200)
    model = fit(rows.select(slice(0, 50)))
    rest = rows.select(slice(50, 200))
    full, early, listing = (copy.deepcopy(model) for _ in range(3))
    ranks = full.test_then_train(rest)
    assert early.test_then_train(rest, limit=5).tolist() == np.minimum(ranks, 6).tolist()
    lists = np.zeros((150, 5), np.int32)
    listing.make_room(rest)
    assert listing.advance(rest, ranked=True, lists=lists).tolist() == ranks.tolist()
    assert [list(row).index(i) + 1 if i in row else 6 for i, row in zip(rest.item_idx, lists, strict=True)] == (
        np.minimum(ranks, 6).tolist()
    )
    before = model.top_k(rest.user_idx[:1], k=5, seen=rows.select(slice(0, 50)))
    assert lists[0].tolist() == before.items[0].tolist()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {"loss": "squared", "event_negatives": 0, "passes": 1, "replay": 0, "item_bias": False},
        {"loss": "bpr", "event_negatives": 2, "passes": 1, "replay": 1},
        {"loss": "squared", "event_negatives": 0, "passes": 1, "replay": 0, "item_init_std": 0.0},
        {"loss": "linear", "passes": 1, "replay": 0, "learning_rate": 9.0, "l2": 0, "optimizer": "sgd"},
    ],
    ids=["few rows change", "negatives and replay", "many equal scores", "it diverges"],
)
def test_ranks_and_lists_are_equal_however_many_events_share_a_product(
    config: dict[str, Any], masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    users, items = rng.integers(0, 40, 500), np.minimum(rng.geometric(0.01, 500), 299)
    rows = Interactions.from_pairs(users, items, rating=np.full(500, 5.0), n_users=40, n_items=300)
    start, rest = fit(rows.select(slice(0, 100)), **config), rows.select(slice(100, 500))
    results = []
    for size in (0, 16, 50):
        monkeypatch.setattr(step_module, "block_size", lambda *_, size=size: size)
        model = copy.deepcopy(start)
        model.make_room(rest)
        lists = np.zeros((400, 10), np.int32)
        ranks = model.advance(rest, ranked=True, masked=masked, lists=lists)
        results.append((ranks.tobytes(), lists.tobytes(), model.network.items.numpy().tobytes()))
    assert results[0] == results[1] == results[2]


def test_a_score_that_is_not_a_number_ranks_last() -> None:
    items = np.array([[np.nan], [1.0], [2.0]], np.float32)
    arguments = np.zeros((3, 1), np.float32), np.zeros(3, np.int64), -1
    ranks = [
        kernel.rank_item(
            np.ones(1, np.float32), items, *arguments, target, 0.0, 0, np.zeros(0, np.int32), np.zeros(0, np.float32)
        )
        for target in range(3)
    ]
    assert ranks == [3, 2, 1]


@pytest.mark.parametrize("limit", [0, 4])
def test_m35_where_scores_are_equal_every_rank_is_as_likely(limit: int) -> None:
    """Seven items of one score, one of them marked, one better and one worse: ranks 2 to 7."""
    items = np.array([[1.0]] * 7 + [[2.0], [0.0]], np.float32)
    mark = np.zeros(9, np.int64)
    mark[5] = 1
    for target in (0, 3, 6):
        ranks = [
            kernel.rank_item(
                np.ones(1, np.float32), items, np.zeros((9, 1), np.float32), mark, 1, target, draw, limit,
                np.zeros(0, np.int32), np.zeros(0, np.float32),
            )
            for draw in (np.arange(600) / 600).tolist()
        ]  # fmt: skip
        counts = np.bincount(ranks, minlength=8)[1:].tolist()
        assert counts == ([0, 100, 100, 100, 300, 0, 0] if limit else [0, *[100] * 6])


# Incremental learning -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_events_in_one_call_in_several_or_through_a_file_teach_the_same(optimizer: str, tmp_path: Path) -> None:
    rows = events(240)
    start = fit(rows.select(slice(0, 60)), optimizer=optimizer, learning_rate=0.01)
    whole = copy.deepcopy(start).partial_fit(rows.select(slice(60, 240)))
    tested = copy.deepcopy(start)
    tested.test_then_train(rows.select(slice(60, 240)))
    halves = copy.deepcopy(start).partial_fit(rows.select(slice(60, 99)))
    halves.save(tmp_path)
    halves = Step.load(tmp_path).partial_fit(rows.select(slice(99, 240)))
    for name, tensor in whole.state().items():
        assert torch.equal(halves.state()[name], tensor), name
        assert torch.equal(tested.state()[name], tensor), name
    assert not torch.equal(whole.network.items, start.network.items)


def test_events_that_are_not_learned_change_nothing_and_are_masked_all_the_same() -> None:
    rows = events(100)
    model = fit(rows.select(slice(0, 50)))
    before = model.network.items.clone()
    ranks = model.test_then_train(rows.select(slice(50, 100)), learns=False)
    assert torch.equal(model.network.items, before)
    assert model.past.size[0] == 100
    again = model.top_k(np.arange(12), k=30, seen=rows)
    assert int((again.items >= 0).sum()) == 12 * 30 - 100
    assert ranks.min() >= 1


@pytest.mark.parametrize("negatives_from", SOURCES)
def test_new_users_and_items_are_added_as_they_come(negatives_from: str) -> None:
    rows = events(100)
    model = fit(rows, negatives_from=negatives_from, optimizer="adagrad", event_negatives=4)
    users, items = model.network.users.clone(), model.network.items.clone()
    model.partial_fit(Interactions.from_pairs([14, 3], [33, 31], n_users=15, n_items=34))
    assert model.score([14]).shape == (1, 34)
    assert (model.n_users, model.n_items) == (15, 34)
    assert bool(torch.isfinite(model.score(np.arange(15))).all())
    moved = (model.network.users[:12] != users).any(1)
    assert 1 < int(moved.sum()) <= 1 + model.config.replay * 2  # the replay moves others too
    assert model.network.items[:30].shape == items.shape
    assert model.past.items_of(3)[0] == 31
    model.partial_fit(rows)
    assert 14 in model.top_k(14, k=34, seen=None).items[0]
    ring = [int(model.network.newer[0])]
    while ring[-1]:
        ring.append(int(model.network.newer[ring[-1]]))
    assert sorted(ring) == list(range(35))
    assert all(int(model.network.older[b]) == a for a, b in pairwise([0, *ring]))


def test_a_user_who_liked_one_genre_is_recommended_it(tiny: Dataset) -> None:
    liked = tiny.positives(4.0)
    model = fit(liked, run=RunConfig(device="cpu", epochs=20), learning_rate=0.5)
    new_user = Interactions.from_pairs([60] * 5, [2, 6, 10, 14, 18], n_users=61, n_items=40)
    model.partial_fit(new_user)
    scores, like = model.score(60)[0], torch.arange(40) % 4 == 2
    assert scores[like].mean() > scores[~like].mean() + 1


# Settings -------------------------------------------------------------------------------------------------------


def test_frozen_tables_do_not_change_and_training_starts_from_pretrained_ones() -> None:
    rows = events(100)
    users, items = torch.randn(12, 8), torch.randn(30, 8)
    config = StepConfig(embedding_dim=8, freeze_items=True)
    model = Step(config).start_from(users=users, items=items).fit(rows, run=CPU)
    assert torch.equal(model.network.items, items)
    assert not torch.equal(model.network.users, users)
    other = Step(StepConfig(embedding_dim=8, freeze_users=True)).start_from(users=users).fit(rows, run=CPU)
    assert torch.equal(other.network.users, users)
    with pytest.raises(BadInput, match=r"pretrained items have the shape \(12, 8\); expected \(30, 8\)"):
        Step(config).start_from(items=users).fit(rows, run=CPU)


def test_confidence_weighs_an_event_by_its_rating_and_a_sigmoid_keeps_scores_within_0_and_1() -> None:
    rows = events(30)
    model = fit(rows, confidence=2.0, sigmoid=True, loss="logistic")
    assert model.past.weight[:30].tolist() == (1 + 2 * rows.rating).tolist()
    scores = model.score(np.arange(12))
    assert 0 < scores.min() < scores.max() < 1


def test_a_batch_is_one_step_on_the_mean() -> None:
    rows = events(64)
    config = {"loss": "squared", "event_negatives": 0, "l2": 0.0, "item_bias": False}
    run = RunConfig(device="cpu", epochs=1)
    start = fit(rows.select(slice(0)), run=run, **config).network
    users, items = start.users.clone().requires_grad_(), start.items.clone().requires_grad_()
    pairs = (users[rows.user_idx.tolist()] * items[rows.item_idx.tolist()]).sum(1)
    ((1 - pairs) ** 2 / 2).mean().backward()
    model = fit(rows, run=run, batch_size=64, **config)
    assert torch.allclose(model.network.users, (users - 0.1 * users.grad).detach(), atol=1e-6)
    assert torch.allclose(model.network.items, (items - 0.1 * items.grad).detach(), atol=1e-6)


def test_linear_grows_without_bound_where_squared_converges() -> None:
    rows = events(100)
    norms = {
        loss: float(fit(rows, run=RunConfig(device="cpu", epochs=60), loss=loss).network.items.norm())
        for loss in ("linear", "squared")
    }
    assert norms["linear"] > 100 * norms["squared"]


# Negatives ------------------------------------------------------------------------------------------------------


def sampler(n_items: int, seed: int = 0, source: str = "any") -> Sampler:
    positions = np.arange(n_items + 1)
    older, newer = ((positions + by) % (n_items + 1) for by in (-1, 1))
    return Sampler(
        np.array([seed], np.uint64),
        np.zeros(n_items, np.int64),
        np.zeros(1, np.int64),
        older.astype(np.int32),
        newer.astype(np.int32),
        np.zeros(n_items, np.bool_),
        np.zeros(n_items, np.int32),
        np.zeros(1, np.int64),
        SOURCES.index(source),
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    had=st.sets(st.integers(0, 19), min_size=1),
    came=st.sets(st.integers(0, 19)),
    n=st.integers(1, 25),
    source=st.sampled_from(SOURCES),
)
def test_negatives_are_distinct_and_new_to_the_user(
    seed: int, had: set[int], came: set[int], n: int, source: str
) -> None:
    log = LinkedEvents.of([0] * len(had), list(had), [1] * len(had), 1)
    drawing, picked = sampler(20, seed, source), np.full(1 + n, -1, np.int32)
    for item in had | came:
        sampling.register_item(drawing, item)
    sampling.mark_history(log, 0, drawing)
    for _ in range(3):
        count = sampling.sample_negatives(drawing, min(had), n, picked)
        negative = picked[1:count].tolist()
        assert picked[0] == min(had)
        assert len(set(negative)) == len(negative) <= n
        assert not set(negative) & had
        if source == "known":
            assert set(negative) <= came
        elif source == "oldest" or n < 5 < 20 - len(had):
            assert len(negative) == min(n, 20 - len(had))


def test_every_item_is_sampled_equally_often() -> None:
    drawing, picked = sampler(50, seed=9), np.zeros(6, np.int32)
    sampling.mark_history(LinkedEvents.of([0], [7], [1], 1), 0, drawing)
    counts = np.zeros(50)
    for _ in range(4000):
        assert sampling.sample_negatives(drawing, 7, 5, picked) == 6
        counts[picked[1:]] += 1
    expected = 4000 * 5 / 49
    assert counts[7] == 0
    assert ((np.delete(counts, 7) - expected) ** 2 / expected).sum() < 49 + 5 * math.sqrt(2 * 49)


def test_the_oldest_come_first_and_then_queue_up_again() -> None:
    drawing, picked = sampler(6, source="oldest"), np.zeros(3, np.int32)
    log = LinkedEvents.of([0], [1], [1], 1)
    for item in (0, 2, 1):
        sampling.move_to_newest(drawing, item)  # oldest first: 3 4 5 0 2 1
    sampling.mark_history(log, 0, drawing)
    result = []
    for _ in range(3):
        sampling.sample_negatives(drawing, 1, 2, picked)
        result += picked[1:].tolist()
    assert result == [3, 4, 5, 0, 2, 3]


# The log and the compiler ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40), st.integers(0, 40))
def test_a_log_gives_each_user_s_items_latest_first_however_it_was_filled(
    pairs: list[tuple[int, int]], split: int
) -> None:
    users, items = [u for u, _ in pairs], [i for _, i in pairs]
    log = LinkedEvents.of(
        users[:split], items[:split], [1] * len(users[:split]), 4 if max(users[:split], default=0) < 4 else 6
    )
    log = log.with_room(len(pairs) - len(users[:split]), 6)
    for user, item in pairs[split:]:
        log.append(user, item, 1.0)
    for user in range(6):
        assert log.items_of(user).tolist() == [i for u, i in pairs if u == user][::-1]
    back = LinkedEvents.from_state(log.state(), 6)
    assert [back.items_of(u).tolist() for u in range(6)] == [log.items_of(u).tolist() for u in range(6)]


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same() -> None:
    space: dict[str, Any] = {}
    exec("def double(x):\n    return 2 * x\n", space)  # without a file, so numba has nowhere to cache it
    assert sampling.compiled(space["double"])(21) == 42


@pytest.mark.cuda
def test_scores_on_cuda_are_those_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    rows = events(100)
    here, there = fit(rows), fit(rows, run=RunConfig(device="cuda", epochs=2))
    assert there.score([0, 3]).device.type == "cuda"
    assert torch.allclose(there.score([0, 3]).cpu(), here.score([0, 3]), atol=1e-5)
    there.partial_fit(rows)
    assert torch.allclose(there.score([0]).cpu(), here.partial_fit(rows).score([0]), atol=1e-5)
    assert torch.allclose(there.score_history(rows).cpu(), here.score_history(rows), atol=1e-5)
