"""How far a command is, read from the lines that `--progress jsonl` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]
"""One line: `event` is note, step, epoch, bytes, trial, or text for what is no JSON."""

CHOOSING = 0.9
"""Share of a training that chooses the epoch; the rest is the refit on everything."""


class Progress(NamedTuple):
    """What can be said of a running command.

    share : of the work, 0 to 1; seconds_left : at most, of the phase that runs, or None while there is no telling
    """

    share: float
    said: str
    seconds_left: float | None


def progress_of(rows: Sequence[Row], spent: float = 0.0) -> Progress:
    """Return how far a command is, from its lines so far and the seconds since it started."""
    step = next((i for i in reversed(range(len(rows))) if rows[i]["event"] == "step"), None)
    since = rows[step + 1 :] if step is not None else rows
    row = next((row for row in reversed(since) if row["event"] in _SHARES), None)
    share = _SHARES[row["event"]](row) if row else 0.0
    head = rows[step] if step is not None else None
    said = line_said(row or head or {"event": "text", "text": "starting"})
    if head is not None and "of" in head:
        share = (head["done"] + share) / head["of"]
        said = f"{head['text']} ({head['done'] + 1} of {head['of']})" + (f" · {line_said(row)}" if row else "")
    if row and row["event"] == "epoch" and (head is None or "of" not in head):
        return Progress(share, said, _epochs_left(since))
    return Progress(share, said, spent * (1 - share) / share if share > 0.02 else None)


def line_said(row: Row) -> str:
    """Return what a line says, for people."""
    match row["event"]:
        case "epoch":
            what = "refit on everything, epoch" if row.get("refit") else "epoch"
            most = "" if row.get("refit") else "at most "
            return f"{what} {row['epoch']:.0f} of {most}{row['epochs']:.0f}"
        case "bytes":
            return f"{row['done'] / 1e6:.1f} of {row['total'] / 1e6:.1f} MB"
        case "trial":
            return f"trial {row['trial']} of {row['trials']}"
    return str(row.get("text", ""))


def epochs_of(rows: Sequence[Row]) -> list[Row]:
    """Return the epochs of the last training that `rows` tells of, without its refit."""
    epochs = [row for row in rows if row["event"] == "epoch" and not row.get("refit")]
    starts = [i for i in range(1, len(epochs)) if epochs[i]["epoch"] <= epochs[i - 1]["epoch"]]
    return epochs[starts[-1] :] if starts else epochs


def _epochs_left(rows: Sequence[Row]) -> float | None:
    """Return the seconds that the epochs left would take, each like the latest five."""
    epochs = [row for row in rows if row["event"] == "epoch"]
    last = epochs[-1]
    same = [row for row in epochs if row.get("refit") == last.get("refit")][-6:]
    took, passed = last["seconds"] - same[0]["seconds"], last["epoch"] - same[0]["epoch"]
    if passed <= 0:  # the first epoch of its training
        took, passed = last["seconds"], last["epoch"]
    return took / passed * (last["epochs"] - last["epoch"]) if passed > 0 else None


def _epoch_share(row: Row) -> float:
    share = row["epoch"] / max(row["epochs"], 1)
    return CHOOSING + (1 - CHOOSING) * share if row.get("refit") else CHOOSING * share


_SHARES = {
    "epoch": _epoch_share,
    "bytes": lambda row: row["done"] / row["total"] if row["total"] else 0.0,
    "trial": lambda row: row["trial"] / max(row["trials"], 1),
}
