"""What the tests of `step` share: rows, a fitted model, its losses by autograd, and its stream in plain Python."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from recengine.data.interactions import Interactions
from recengine.models.streaming.step import Step, StepConfig
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
