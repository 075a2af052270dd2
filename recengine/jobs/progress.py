"""How far a command is, read from the lines that `--progress jsonl` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recengine.training.loop import Stage

Row = Mapping[str, Any]
"""One line: `event` is note, step, epoch, bytes, trial, stream, or text for what is no JSON."""

STAGES: Mapping[str, str] = {Stage.REFIT: "refit on everything", Stage.PRETRAINING: "pretraining"}
"""The stages of epochs that choose nothing, in words."""
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
    mark = next((i for i in reversed(range(len(rows))) if rows[i]["event"] in ("step", "trial")), None)
    head = rows[mark] if mark is not None else {"event": "text", "text": "starting"}
    since = rows[mark + 1 :] if mark is not None else rows
    row = next((row for row in reversed(since) if row["event"] in _SHARES), None)
    share = _SHARES[row["event"]](row) if row else 0.0
    done, of = _counted(head)
    if not of:
        said = line_said(row or head)
        if row and row["event"] == "epoch":
            return Progress(share, said, _epochs_left(since))
        if row and row["event"] == "stream":
            return Progress(share, said, row["seconds_left"])
        return Progress(share, said, spent * (1 - share) / share if share > 0.02 else None)
    share = min(1.0, (done + share) / of)
    place = f"{min(done + 1, of)} of {of}"
    counted = f"trial {place}" if head["event"] == "trial" else f"{line_said(head)} ({place})"
    said = " · ".join([counted, *([line_said(row)] if row else [])])
    return Progress(share, said, spent * (1 - share) / share if share > 0.02 else None)


def _counted(head: Row) -> tuple[int, int]:
    """Return how many steps or trials are done when this line is written, and of how many; (0, 0) if that is open."""
    if head["event"] == "trial":
        return head["number"] + 1, head["trials"]
    return head.get("done", 0), head.get("of", 0)


def line_said(row: Row) -> str:
    """Return what a line says, for people."""
    match row["event"]:
        case "epoch":
            stages = [STAGES[stage] for stage in row.get("stages", ())]
            most = "" if stages else "at most "
            return ", ".join([*stages, f"epoch {row['epoch']:.0f} of {most}{row['epochs']:.0f}"])
        case "bytes":
            return f"{row['done'] / 1e6:.1f} of {row['total'] / 1e6:.1f} MB"
        case "stream":
            return f"event {row['done']:,} of {row['of']:,}"
        case "trial":
            return f"trial {row['number'] + 1} of {row['trials']}"
    return str(row.get("text", ""))


def epochs_of(rows: Sequence[Row]) -> list[Row]:
    """Return the epochs of the last training that `rows` tells of, those alone that choose the best one."""
    epochs = [row for row in rows if row["event"] == "epoch" and not row.get("stages")]
    starts = [i for i in range(1, len(epochs)) if epochs[i]["epoch"] <= epochs[i - 1]["epoch"]]
    return epochs[starts[-1] :] if starts else epochs


def _epochs_left(rows: Sequence[Row]) -> float | None:
    """Return the seconds that the epochs left would take, each like the latest five."""
    epochs = [row for row in rows if row["event"] == "epoch"]
    last = epochs[-1]
    same = [row for row in epochs if row.get("stages") == last.get("stages")][-6:]
    took, passed = last["seconds"] - same[0]["seconds"], last["epoch"] - same[0]["epoch"]
    if passed <= 0:  # the first epoch of its training
        took, passed = last["seconds"], last["epoch"]
    return took / passed * (last["epochs"] - last["epoch"]) if passed > 0 else None


def _epoch_share(row: Row) -> float:
    stages = row.get("stages", ())
    share = 0.0 if Stage.PRETRAINING in stages else row["epoch"] / max(row["epochs"], 1)
    return CHOOSING + (1 - CHOOSING) * share if Stage.REFIT in stages else CHOOSING * share


_SHARES = {
    "epoch": _epoch_share,
    "bytes": lambda row: row["done"] / row["total"] if row["total"] else 0.0,
    "stream": lambda row: row["done"] / row["of"],
}
