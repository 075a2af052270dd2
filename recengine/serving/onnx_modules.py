"""Networks as modules that can be traced: indices or events in, scores of all items out, all users of a batch alike.

They compute what `score` does, without what depends on the values: a loop over some users, a batch's longest history.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from recengine.models.base import Recommender
from recengine.models.pair.base import PairModel
from recengine.models.pair.networks import PairNetwork
from recengine.models.ratings.recommender_net import RecommenderNet
from recengine.models.sequence import sitting
from recengine.models.sequence.base import SequenceModel
from recengine.models.sequence.gru_rating import GRURating

NETWORKS = (PairModel, RecommenderNet, SequenceModel, GRURating)
"""The kinds of models that are networks."""


def module_of(model: Recommender) -> nn.Module | None:
    """Return what scores as a model does: `OfUsers` or `OfEvents`, or None for one that is no network."""
    match model:
        case PairModel():
            return OfPairs(model.network)
        case RecommenderNet():
            return OfRatedPairs(model)
        case GRURating():
            return OfRatedEvents(model)
        case SequenceModel():
            return OfSitting(model) if model.in_sitting else OfSequence(model)
    return None


class OfUsers(nn.Module):
    """Takes the indices (B,) of users of the data."""


class OfPairs(OfUsers):
    """The scores of a pair network."""

    def __init__(self, network: PairNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, user_idx: Tensor) -> Tensor:
        network, user = self.network, user_idx[None]
        items = network.item_vectors(None)[None]
        return network.score_vectors(user, network.user_vectors(user), items, network.item_biases(None))[0]


class OfRatedPairs(OfUsers):
    """The ratings of `recommender-net`, before they are clipped."""

    def __init__(self, model: RecommenderNet) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, user_idx: Tensor) -> Tensor:
        users, items = self.network.user_embedding[user_idx], self.network.item_embedding
        pairs = users[:, None].expand(-1, items.shape[0], -1), items.expand(users.shape[0], -1, -1)
        return self.network(*(vectors.flatten(0, 1) for vectors in pairs)).view(-1, items.shape[0])


class OfEvents(nn.Module):
    """Takes the items (B, L) and the ratings (B, L) of users, oldest first, padded at the end with index n_items.

    longest : how many of its latest events a user has at most; None for all
    """

    longest: int | None = None


class OfSequence(OfEvents):
    """The scores of a sequence model that reads events in their order."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.network, self.longest = model.network, model.config.max_length

    def forward(self, item_idx: Tensor, rating: Tensor) -> Tensor:
        item_idx, rating = item_idx[:, : self.longest], rating[:, : self.longest]  # what follows can only be padding
        known = item_idx < self.network.item_bias.shape[0]
        return self.network.score_all(_last(self.network(item_idx, rating), known.sum(1)))


class OfSitting(OfEvents):
    """The scores of a sequence model that reads events in no order: the mean over fixed ones, less what is disliked."""

    salts: Tensor

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.network, self.scale = model.network, model.scale
        self.events = min(model.config.max_length, sitting.EVENTS)
        self.register_buffer("salts", torch.stack([*sitting.salts(model.n_items)]))

    def forward(self, item_idx: Tensor, rating: Tensor) -> Tensor:
        network, scale, n_items = self.network, self.scale, self.network.item_bias.shape[0]
        item_idx, rating = pad(item_idx, (0, self.events), value=n_items), pad(rating, (0, self.events))
        known = item_idx < n_items  # (B, L)
        order = self.salts[:, item_idx].topk(self.events, largest=False).indices  # (O, B, E)
        items, ratings = (x.expand(len(self.salts), -1, -1).gather(2, order).flatten(0, 1) for x in (item_idx, rating))
        lengths = known.sum(1).clamp(max=self.events).repeat(len(self.salts))
        last = _last(sitting.states(network, items, ratings, scale), lengths)
        state = last.unflatten(0, (len(self.salts), -1)).mean(0)
        unit = pad(normalize(network.items(), dim=1, eps=1e-9), (0, 0, 0, 1))  # the padding is near nothing
        near = sitting.near(unit, item_idx)[..., :n_items]  # (B, L, n_items)
        disliked = ((rating <= scale.dislike) & known).float()
        return network.score_all(state) - sitting.DISLIKE_WEIGHT * (disliked[:, None] @ near)[:, 0]


class OfRatedEvents(OfEvents):
    """The ratings of `gru-rating`, before they are clipped."""

    def __init__(self, model: GRURating) -> None:
        super().__init__()
        self.network, self.longest, self.shrink = model.network, model.config.max_length, model.config.user_shrink

    def forward(self, item_idx: Tensor, rating: Tensor) -> Tensor:
        network, n_items = self.network, self.network.item_offset.shape[0] - 1
        known = item_idx < n_items
        residuals = (rating - network.base(item_idx)) * known
        lengths = known.sum(1)
        states = _last(network(item_idx, residuals), lengths + 1)  # they begin before the first event
        offset = residuals.sum(1) / (lengths + self.shrink).clamp(min=1e-9)
        items = torch.arange(n_items)
        return network.base(items) + offset[:, None] + network.head(states[:, None], items)


class RecurrentNode(nn.Module):
    """A GRU as the one operator that it is in ONNX; traced as PyTorch has it, each step would be recorded.

    Its gates stand in another order there: update, reset, new.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.size = gru.hidden_size

        def gates(name: str) -> Tensor:
            reset, update, new = gru.get_parameter(name).detach().chunk(3)
            return torch.cat([update, reset, new])[None]

        self.weights = gates("weight_ih_l0"), gates("weight_hh_l0")
        self.biases = torch.cat([gates("bias_ih_l0"), gates("bias_hh_l0")], dim=1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the states (B, L, H) after each of the inputs (B, L, D), where a GRU returns the last one too."""
        batch, length, _ = inputs.shape
        states = torch.onnx.ops.symbolic(
            "GRU",
            (inputs.transpose(0, 1), *self.weights, self.biases),
            {"hidden_size": self.size, "linear_before_reset": 1},
            dtype=inputs.dtype,
            shape=(length, 1, batch, self.size),
        )
        return states[:, 0].transpose(0, 1), None


def traceable(module: nn.Module) -> nn.Module:
    """Return a copy of a module, on the CPU, in which each GRU is one node."""
    module = copy.deepcopy(module).cpu().eval()
    for parent in [*module.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, nn.GRU):
                setattr(parent, name, RecurrentNode(child))
    return module


def _last(states: Tensor, lengths: Tensor) -> Tensor:
    """Return the states (B, H) after the last of `lengths` (B,) events, of states (B, L, H)."""
    at = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
    return states.gather(1, at)[:, 0]
