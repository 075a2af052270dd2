"""The command `import`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from recengine.cli.arguments import Commands, add_command, add_dataset
from recengine.cli.common import load_data
from recengine.cli.reporter import Reporter
from recengine.data.dataset import Dataset
from recengine.data.matching import Matcher, Outcome
from recengine.data.readers.exports import read_export
from recengine.export import table
from recengine.files import Json, read_input


def add_commands(commands: Commands) -> None:
    """Declare `import`."""
    command = add_command(commands, "import", import_ratings, "show which films of a data set a file of ratings means")
    command.add_argument(
        "file", type=Path, metavar="F", help="an export of Letterboxd, IMDb, TMDB, Trakt or MovieLens, or a plain CSV"
    )
    add_dataset(command)
    command.add_argument(
        "--out-of", type=int, choices=(5, 10, 100), default=5, help="the best rating of a plain CSV (default: 5)"
    )


def import_ratings(options: argparse.Namespace, report: Reporter) -> None:
    """Report what becomes of every row of a file of ratings; nothing is kept."""
    export = read_export(options.file.name, read_input(options.file), out_of=options.out_of)
    data = load_data(options, report)
    result = Matcher(data).report(export)
    outcomes = result.outcomes()
    counts = Counter(outcome.outcome for outcome in outcomes)
    for note in result.notes:
        report.note(note)
    value: dict[str, Json] = {
        "dataset": data.name,
        "source": result.source,
        "counts": dict(counts),
        "rows": [_row(data, outcome) for outcome in outcomes],
        "notes": result.notes,
    }
    lines = table(
        ("line", "title", "outcome", "film", "why"),
        [(o.line, _dated(o.title, o.year), o.outcome, _film(data, o), o.reason) for o in outcomes],
    )
    summary = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
    report.result(value, [*lines, f"{result.source}: {summary}."])


def _row(data: Dataset, outcome: Outcome) -> dict[str, Json]:
    """Return the outcome with the item's id and title in place of its index."""
    row = outcome._asdict()
    item = row.pop("item_idx")
    return {**row, "item_id": data.item_ids[item] if item >= 0 else None, "film": _film(data, outcome) or None}


def _film(data: Dataset, outcome: Outcome) -> str:
    return _dated(*data.films[outcome.item_idx][1:3]) if outcome.item_idx >= 0 else ""


def _dated(title: str, year: int | None) -> str:
    return f"{title} ({year})" if year and f"({year}" not in title else title
