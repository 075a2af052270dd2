"""Training by gradients in parallel: each process adds its users' part of every batch, and all take the same step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recengine.experiments.parallel.learner import Batch, Learner, set_parameter
from recengine.experiments.parallel.world import World
from recengine.training.loop import seeded

State = dict[str, Tensor]


class GradientTraining:
    """One process's part of the training of a network.

    Parameters with a row for each user stay where the users are. All others are the same in every process: their
    gradients are summed, in one message a step. With `split_items` the rows of items are dealt out like the users
    instead: a step fetches the rows that its batch reads and returns their gradients (all to all), so that no process
    holds the whole table.
    """

    def __init__(self, world: World, learner: Learner, *, split_items: bool = False, clip: float = 0.0) -> None:
        self.world, self.learner, self.clip, self.number = world, learner, clip, 0
        self.network: nn.Module = learner.model.network
        names = dict(self.network.named_parameters())
        self.of_users = [name for name in learner.of_users if name in names]
        self.of_items = [name for name in learner.of_items if name in names] if split_items else []
        self.n_items = learner.model.n_items
        if self.of_items:
            self.first = _first_positions(world, self.n_items).to(world.device)
            own = torch.from_numpy(world.own_users(self.n_items)).to(world.device)
            for name in self.of_items:
                set_parameter(self.network, name, names[name].detach()[own])
        self.parameters = dict(self.network.named_parameters())
        self.shared = [p for name, p in self.parameters.items() if name not in (*self.of_users, *self.of_items)]
        self.optimizers: list[torch.optim.Optimizer] = learner.model.optimizers()

    def epoch(self) -> float:
        """Take the steps of the next epoch and return its mean loss, over all processes."""
        self.number += 1
        return self._batches(self.number, self._step)

    @torch.no_grad()
    def untrained_loss(self) -> float:
        """Return the mean loss of an epoch without learning from it."""
        return self._batches(0, lambda batches, at: self._losses(batches, at))

    def _batches(self, number: int, step: Callable[[Sequence[tuple[int, Batch]], int], Tensor]) -> float:
        """Call `step`, which returns (sum of losses, examples), for each batch until no shard has any more."""
        drawn = self.learner.draw(number)
        means: list[float] = []
        for at in itertools.count():
            batches = [(shard, batch) for shard, left in drawn if (batch := next(left, None)) is not None]
            loss, examples = step(batches, at).tolist()
            if not examples:
                return sum(means) / max(1, len(means))
            means.append(loss / examples)
        raise AssertionError

    def _step(self, batches: Sequence[tuple[int, Batch]], at: int) -> Tensor:
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
        total = self._losses(batches, at, [p.grad for p in self.shared if p.grad is not None])
        if not total[1]:
            return total
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        for gradient in gradients:
            gradient.div_(total[1])
        if self.clip:
            self._clip()
        for optimizer in self.optimizers:
            optimizer.step()
        return total

    def _losses(self, batches: Sequence[tuple[int, Batch]], at: int, gradients: Sequence[Tensor] = ()) -> Tensor:
        """Return (2,), the sum of the losses and the number of examples of all processes.

        Where gradients are asked for, those of the sum of the losses are added up as well.
        """
        total = torch.zeros(2, device=self.world.device)
        with self._items_of(batches) as local:
            for shard, batch in local:
                examples = self.learner.examples(batch)
                with seeded(self.world.device, hash((self.learner.seed, self.number, at, shard)) % 2**63):  # dropout
                    loss = self.learner.loss(batch) * examples
                if loss.requires_grad:
                    loss.backward()
                total += torch.stack([loss.detach(), loss.new_tensor(examples)])
        self.world.add_up(*gradients, total)
        return total

    def _clip(self) -> None:
        """Shorten the gradients such that the norm of all of them, wherever they are, is at most `clip`."""
        own = [self.parameters[name].grad for name in (*self.of_users, *self.of_items)]
        squares = _squares(own, self.world.device)
        self.world.add_up(squares)
        norm = (squares + _squares([p.grad for p in self.shared], self.world.device)).sqrt()
        factor = (self.clip / (norm + 1e-6)).clamp(max=1)  # as `clip_grad_norm_`
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    @contextmanager
    def _items_of(self, batches: Sequence[tuple[int, Batch]]) -> Iterator[Sequence[tuple[int, Batch]]]:
        """Give the network the rows of the items that the batches read, under new indices, and learn from them."""
        if not self.of_items:
            yield batches
            return
        read = [self.learner.items(batch) for _, batch in batches]
        needed = torch.cat([items.flatten() for some in read for items in some] or [self.first.new_zeros(0)]).unique()
        shard = needed % self.world.shards
        owner = shard // (self.world.shards // self.world.size)
        order = owner.argsort(stable=True)
        sent = torch.bincount(owner, minlength=self.world.size)
        wanted = self.world.exchange(list(sent.split(1)), [1] * self.world.size)
        lengths, asked = [int(n) for n in sent], [int(n) for n in wanted]
        local = (self.first[shard] + needed // self.world.shards)[order]
        rows = torch.cat(self.world.exchange(local.split(lengths), asked))
        fetched = {}
        for name in self.of_items:
            parts = self.parameters[name].detach()[rows].split(asked)
            table = torch.cat(self.world.exchange(parts, lengths))
            fetched[name] = set_parameter(self.network, name, torch.empty_like(table).index_copy_(0, order, table))
        try:
            yield [
                (shard, self.learner.with_items(batch, [torch.searchsorted(needed, items) for items in some]))
                for (shard, batch), some in zip(batches, read, strict=True)
            ]
        finally:
            for name in self.of_items:
                module, _, last = name.rpartition(".")
                setattr(self.network.get_submodule(module), last, self.parameters[name])
        for name, table in fetched.items():
            if torch.is_grad_enabled():
                gradient = torch.zeros_like(table) if table.grad is None else table.grad
                parts = self.world.exchange(gradient[order].split(lengths), asked)
                own = self.parameters[name].grad
                assert own is not None
                own.index_add_(0, rows, torch.cat(parts))

    @contextmanager
    def all_items(self) -> Iterator[None]:
        """Give the network all items' rows, to rank them."""
        own = {name: self.parameters[name] for name in self.of_items}
        for name in own:
            set_parameter(self.network, name, self.whole(name, self.n_items))
        try:
            yield
        finally:
            for name, parameter in own.items():
                module, _, last = name.rpartition(".")
                setattr(self.network.get_submodule(module), last, parameter)

    def whole(self, name: str, n_rows: int) -> Tensor:
        """Return a table of which each process holds its shards' rows, (n_rows, ...), in every process."""
        own = self.parameters[name].detach()
        table = own.new_empty(n_rows, *own.shape[1:])
        for shard, rows in self._sent(own, n_rows):
            table[shard :: self.world.shards] = rows
        return table

    def _sent(self, own: Tensor, n_rows: int) -> Iterator[tuple[int, Tensor]]:
        parts = dict(zip(self.world.own, own.split(self._sizes(n_rows)), strict=True))
        for shard in range(self.world.shards):
            empty = own.new_empty(len(self.world.users(shard, n_rows)), *own.shape[1:])
            yield shard, self.world.send(parts.get(shard, empty).contiguous(), shard)

    def _sizes(self, n_rows: int) -> list[int]:
        return [len(self.world.users(shard, n_rows)) for shard in self.world.own]

    def state(self, n_users: int) -> tuple[State, Mapping[int, State]]:
        """Return copies of all that learns, the optimisers' moments with it: what is shared, and each own shard's."""
        shared: State = {}
        shards: dict[int, State] = {shard: {} for shard in self.world.own}
        for name, tensors in self._learned().items():
            for key, tensor in tensors.items():
                if tensor.dim() and name in (*self.of_users, *self.of_items):
                    sizes = self._sizes(n_users if name in self.of_users else self.n_items)
                    for shard, rows in zip(self.world.own, tensor.split(sizes), strict=True):
                        shards[shard][f"{name}:{key}"] = rows.detach().cpu().clone()
                else:
                    shared[f"{name}:{key}"] = tensor.detach().cpu().clone()
        return shared, shards

    @torch.no_grad()
    def restore(self, shared: State, shards: Mapping[int, State], *, moments: bool = True) -> None:
        """Take the state of `state` back, the optimisers' moments only if asked for."""
        whole: dict[str, list[Tensor]] = {name: [tensor] for name, tensor in shared.items()}
        for shard in self.world.own:
            for name, tensor in shards[shard].items():
                whole.setdefault(name, []).append(tensor)
        tensors = {name: parts[0] if len(parts) == 1 else torch.cat(parts) for name, parts in whole.items()}
        keepers = {id(p): optimizer for optimizer in self.optimizers for p in _parameters(optimizer)}
        for key, tensor in tensors.items():
            name, _, what = key.partition(":")
            parameter = self.parameters[name]
            if what == "value":
                parameter.copy_(tensor)
            elif moments:
                keepers[id(parameter)].state[parameter][what] = tensor.to(parameter.device)

    def _learned(self) -> dict[str, State]:
        """Return the value and the moments of each parameter that learns."""
        moments = {id(p): optimizer.state[p] for optimizer in self.optimizers for p in _parameters(optimizer)}
        return {
            name: {"value": parameter, **moments[id(parameter)]}
            for name, parameter in self.parameters.items()
            if id(parameter) in moments
        }


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _squares(gradients: Sequence[Tensor | None], device: torch.device) -> Tensor:
    """Return the sum of the squares of all gradients, ()."""
    return sum((g.square().sum() for g in gradients if g is not None), torch.zeros((), device=device))


def _first_positions(world: World, n_items: int) -> Tensor:
    """Return (shards,) where in its process's rows each shard begins."""
    first = torch.zeros(world.shards, dtype=torch.int64)
    each = world.shards // world.size
    for shard in range(world.shards):
        if shard % each:
            first[shard] = first[shard - 1] + len(world.users(shard - 1, n_items))
    return first
