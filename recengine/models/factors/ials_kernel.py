"""The compiled inner loops of `ials`: one owner after the other, so that nothing is padded."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recengine.models.compiled import compiled
from recengine.models.factors.histories import TINY


@compiled
def refine_rows(owners, starts, counts, other, weight, table, shared, ridge, vectors, steps):  # type: ignore[no-untyped-def] # compiled for the types that are passed
    """Improve `vectors` (n, D) of some owners in place by steps of conjugate gradients; return their squared error.

    owners : (B,); starts, counts : (n,) where an owner's rows begin in `other` and `weight`, and how many they are
    table  : (m, D) the other side in the eigenvectors of the system that all owners share, whose eigenvalues are
             `shared` (D,); ridge : (n,) is added to them
    """
    dim = table.shape[1]
    diagonal, left, step = np.empty(dim, np.float32), np.empty(dim, np.float32), np.empty(dim, np.float32)
    image, right = np.empty(dim, np.float32), np.empty(dim, np.float32)
    error = 0.0
    for owner in owners:
        first, last = starts[owner], starts[owner] + counts[owner]
        x = vectors[owner]
        for d in range(dim):
            diagonal[d] = shared[d] + ridge[owner]
            image[d] = diagonal[d] * x[d]
            right[d] = 0.0
        for row in range(first, last):
            v, w = table[other[row]], weight[row]
            error += w
            s = np.float32(0.0)
            for d in range(dim):
                s += v[d] * x[d]
            s *= w
            for d in range(dim):
                image[d] += s * v[d]
                right[d] += w * v[d]
        size = np.float32(0.0)
        for d in range(dim):
            left[d] = right[d] - image[d]
            step[d] = left[d] / diagonal[d]
            size += left[d] * step[d]
        for _ in range(steps):
            for d in range(dim):
                image[d] = diagonal[d] * step[d]
            for row in range(first, last):
                v = table[other[row]]
                s = np.float32(0.0)
                for d in range(dim):
                    s += v[d] * step[d]
                s *= weight[row]
                for d in range(dim):
                    image[d] += s * v[d]
            along = np.float32(0.0)
            for d in range(dim):
                along += step[d] * image[d]
            far = size / max(along, np.float32(TINY))
            before = max(size, np.float32(TINY))
            size = np.float32(0.0)
            for d in range(dim):
                x[d] += far * step[d]
                left[d] -= far * image[d]
                image[d] = left[d] / diagonal[d]
                size += left[d] * image[d]
            ratio = size / before
            for d in range(dim):
                step[d] = image[d] + ratio * step[d]
        gained = 0.0
        for d in range(dim):
            gained += x[d] * (right[d] + left[d] + diagonal[d] * x[d])
        error -= gained
    return error


@compiled
def solve_rows(owners, starts, counts, other, weight, table, base, ridge, vectors):  # type: ignore[no-untyped-def]
    """Solve for `vectors` (n, D) of some owners in place, exactly, by a Cholesky factorisation each.

    base : (D, D) the system that all owners share; the others as in `refine_rows`, `table` as it is
    """
    dim = table.shape[1]
    factor, right = np.empty((dim, dim), np.float32), np.empty(dim, np.float32)
    for owner in owners:
        for i in range(dim):
            right[i] = 0.0
            for j in range(i + 1):
                factor[i, j] = base[i, j]
            factor[i, i] += ridge[owner]
        for row in range(starts[owner], starts[owner] + counts[owner]):
            v, w = table[other[row]], weight[row]
            for i in range(dim):
                right[i] += w * v[i]
                s = abs(w) * v[i]
                line = factor[i]
                for j in range(i + 1):
                    line[j] += s * v[j]
        for i in range(dim):
            line = factor[i]
            for j in range(i):
                other_line, s = factor[j], np.float32(0.0)
                for k in range(j):
                    s += line[k] * other_line[k]
                line[j] = (line[j] - s) / other_line[j]
            s = np.float32(0.0)
            for k in range(i):
                s += line[k] * line[k]
            line[i] = math.sqrt(max(line[i] - s, np.float32(TINY)))
            s = np.float32(0.0)
            for k in range(i):
                s += line[k] * right[k]
            right[i] = (right[i] - s) / line[i]
        x = vectors[owner]
        for back in range(dim):
            i = dim - 1 - back
            x[i] = right[i] / factor[i, i]
            for k in range(i):
                right[k] -= factor[i, k] * x[i]


@compiled
def sum_rows(owners, starts, counts, other, weight, table, x, sums):  # type: ignore[no-untyped-def]
    """Add to `sums` (n, D) of some owners w v of each of their rows, or w v v' x where they have an x (n, D)."""
    dim, times = table.shape[1], len(x) > 0
    for owner in owners:
        target = sums[owner]
        for row in range(starts[owner], starts[owner] + counts[owner]):
            v, s = table[other[row]], weight[row]
            if times:
                s = np.float32(0.0)
                for d in range(dim):
                    s += v[d] * x[owner, d]
                s *= weight[row]
            for d in range(dim):
                target[d] += s * v[d]


def shared_out(kernel: Callable[..., Any], owners: NDArray[np.int64], work: NDArray[np.int64], *rest: object) -> float:
    """Run a kernel on all owners (B,) by as many threads as torch uses; return the sum of what it returns.

    work : (B,) what each owner costs: threads get about the same in all
    """
    threads = torch.get_num_threads()
    cuts = np.searchsorted(work.cumsum(), work.sum() * np.arange(1, 8 * threads) / (8 * threads))
    parts = np.split(owners, cuts)
    if threads == 1:
        return float(sum(kernel(part, *rest) or 0.0 for part in parts))
    with ThreadPoolExecutor(threads) as pool:
        return float(sum(result or 0.0 for result in pool.map(lambda part: kernel(part, *rest), parts)))
