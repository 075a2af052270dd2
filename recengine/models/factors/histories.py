"""Rows of one side of `ials`, grouped by owner: solved in padded batches by torch, or one by one by compiled loops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BATCH_NUMBERS = 2**19
"""Numbers in one padded batch of histories: bounds the memory of a solve, and lets a core's cache hold it."""
COMPILED_FROM = 200_000
"""Rows from which on the compiled loops are used on a CPU: for fewer, compiling them would cost more than they save."""
TINY = 1e-30
"""Least denominator in a solve, for those whose solution is exact before the last step."""
FIXED_ROWS = 20
"""What an owner costs apart from its rows, in rows."""
ROWS_AT_ONCE = 2**18
"""Rows whose vectors are gathered at once where nothing is compiled."""


class Histories:
    """One side's rows, grouped by owner and dealt in padded batches of owners with about as many rows.

    n_rows : those of all processes, where these are a part; what is compiled does not depend on their number
    """

    def __init__(
        self,
        owner: NDArray[np.int32],
        other: NDArray[np.int32],
        weight: NDArray[np.float32],
        n_owners: int,
        n_rows: int | None = None,
    ) -> None:
        self.n_rows = len(owner) if n_rows is None else n_rows
        self.counts = np.bincount(owner, minlength=n_owners)
        rows = np.argsort(owner, kind="stable")
        self.starts = np.cumsum(self.counts) - self.counts
        self.other, self.weight = other[rows].astype(np.int64), weight[rows]
        self.by_length = np.argsort(self.counts, kind="stable")[(self.counts == 0).sum() :]

    def batches(self, dim: int, per_owner: int | None = None) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Yield owners (B,), the other side's indices (B, L) and weights (B, L), 0 where padded.

        A batch is as large as `BATCH_NUMBERS` allows for `dim` numbers a row and `per_owner` an owner, dim^2 if None.
        """
        per_owner = dim * dim if per_owner is None else per_owner
        start = 0
        while start < len(self.by_length):
            least = int(self.counts[self.by_length[start]]) * dim + per_owner
            some = self.by_length[start : start + max(1, BATCH_NUMBERS // least)]
            sizes = np.arange(1, len(some) + 1) * (self.counts[some] * dim + per_owner)
            size = max(1, int(np.searchsorted(sizes, BATCH_NUMBERS)))
            owners = some[:size]
            position = np.arange(self.counts[owners].max())
            inside = position < self.counts[owners][:, None]
            rows = np.where(inside, self.starts[owners][:, None] + position, 0)
            yield owners, torch.from_numpy(self.other[rows]), torch.from_numpy(self.weight[rows] * inside)
            start += size

    def is_compiled(self, fixed: Tensor) -> bool:
        """Return whether the compiled loops serve: for many rows, and not on CUDA."""
        return self.n_rows >= COMPILED_FROM and not fixed.is_cuda

    def solve(self, fixed: Tensor, base: Tensor, ridge: Tensor) -> Tensor:
        """Return (n, D): for each owner x of (base + ridge + sum of |w| v v') x = sum of w v, 0 without rows.

        fixed : (m, D) the v; base : (D, D); ridge : (n, 1)
        """
        from recengine.models.factors.ials_kernel import shared_out, solve_rows

        solved = torch.zeros(len(self.counts), fixed.shape[1])
        shared_out(solve_rows, *self._shares(), *self._rows(), *_arrays(fixed, base, ridge[:, 0], solved))
        return solved

    def refine(self, turned: Tensor, shared: Tensor, ridge: Tensor, start: Tensor, steps: int) -> tuple[Tensor, float]:
        """Return (n, D) and the squared error: steps of conjugate gradients from `start` (n, D) to what `solve` does.

        turned, shared : (m, D) and (D,), the other side in the basis in which `base` is diagonal, and that diagonal
        """
        from recengine.models.factors.ials_kernel import refine_rows, shared_out

        refined = torch.zeros_like(start)
        owned = torch.from_numpy(self.by_length)
        refined[owned] = start[owned]
        arrays = _arrays(turned, shared, ridge[:, 0], refined)
        return refined, shared_out(refine_rows, *self._shares(), *self._rows(), *arrays, steps)

    def sums(self, fixed: Tensor, x: Tensor | None = None) -> Tensor:
        """Return (n, D): for each owner the sum of w v over its rows of `fixed` (m, D), or of w v v' x for x (n, D)."""
        sums = fixed.new_zeros(len(self.counts), fixed.shape[1])
        if self.is_compiled(fixed):
            from recengine.models.factors.ials_kernel import shared_out, sum_rows

            given = fixed.new_zeros(0, fixed.shape[1]) if x is None else x
            shared_out(sum_rows, *self._shares(), *self._rows(), *_arrays(fixed, given, sums))
            return sums
        owner = torch.from_numpy(np.repeat(np.arange(len(self.counts)), self.counts))
        rows = (owner, torch.from_numpy(self.other), torch.from_numpy(self.weight)[:, None])
        for own, other, weight in zip(*(part.to(fixed.device).split(ROWS_AT_ONCE) for part in rows), strict=True):
            v = fixed[other]
            sums.index_add_(0, own, weight * v if x is None else weight * (v * x[own]).sum(1, keepdim=True) * v)
        return sums

    def _shares(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.by_length, self.counts[self.by_length] + FIXED_ROWS

    def _rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        return self.starts, self.counts, self.other, self.weight


def _arrays(*tensors: Tensor) -> list[NDArray[np.float32]]:
    """Return contiguous arrays that share the tensors' memory where these are contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]
