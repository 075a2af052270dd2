"""How the package compiles its inner loops. Importing this imports numba, which takes half a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

ARITHMETIC = frozenset({"reassoc", "contract", "nsz"})
"""What the compiler may assume: sums may be taken in any order, and a zero needs no sign."""


def compiled(function: Callable[..., Any], arithmetic: frozenset[str] = ARITHMETIC) -> Callable[..., Any]:
    """Return the function compiled, and cached on disk if a folder can be written."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(arithmetic)}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(**options)(function)
