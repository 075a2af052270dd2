"""The processes that train together, the users that each of them holds, and the sums that they agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from recengine.errors import BadInput

PATIENCE = timedelta(seconds=45)
"""How long a process waits for another one before it counts as lost, and the training ends."""


@dataclass(frozen=True)
class World:
    """This process among all that train together, as `torchrun` numbers them.

    shards : parts into which the users are dealt out; every process holds as many, whole. A batch takes the same number
             of examples from each, so that the batches are the same for any number of processes that divides it.
    """

    rank: int
    size: int
    shards: int
    device: torch.device

    def __post_init__(self) -> None:
        if self.shards < 1 or self.shards % self.size:
            expected = f"a multiple of the {self.size} processes"
            raise BadInput("shards", self.shards, expected, problem="cannot be dealt out to them")

    @property
    def own(self) -> range:
        """Return the shards of this process."""
        each = self.shards // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def owner(self, shard: int) -> int:
        """Return the rank of the process that holds a shard."""
        return shard // (self.shards // self.size)

    def users(self, shard: int, n_users: int) -> NDArray[np.int64]:
        """Return the indices of a shard's users, every `shards`-th, ascending."""
        return np.arange(shard, n_users, self.shards)

    def own_users(self, n_users: int) -> NDArray[np.int64]:
        """Return the indices of this process's users, shard after shard."""
        return np.concatenate([self.users(shard, n_users) for shard in self.own])

    def add_up(self, *tensors: Tensor) -> None:
        """Replace tensors of one kind by their sums over all processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def send(self, tensor: Tensor, shard: int) -> Tensor:
        """Return the owner's tensor to all; the others pass one of the same shape to write it into."""
        if self.size > 1:
            dist.broadcast(tensor, self.owner(shard))
        return tensor

    def exchange(self, parts: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:
        """Send the r-th part to process r and return what each has sent, of that many rows."""
        if self.size == 1:
            return list(parts)
        received = parts[0].new_empty(sum(lengths), *parts[0].shape[1:])
        dist.all_to_all_single(received, torch.cat(list(parts)), list(lengths), [len(part) for part in parts])
        return list(received.split(list(lengths)))

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(shards: int, device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` has started, or be the only one."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    world = World(rank, size, shards, device)
    if size > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield world
    finally:
        if size > 1:
            dist.destroy_process_group()
