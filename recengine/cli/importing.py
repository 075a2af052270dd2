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
        "files": list(result.gave()),
        "rows": [_row(data, outcome) for outcome in outcomes],
        "notes": result.notes,
    }
    header = ("file", "line", "title", "says", "outcome", "film", "why")
    rows = [(o.file, o.line, _dated(o.title, o.year), _says(o), o.outcome, _film(data, o), o.reason) for o in outcomes]
    skipped = 0 if result.tables else 1  # there are files only in a zip
    lines = table(header[skipped:], [row[skipped:] for row in rows])
    gave = [
        f"{table['file']}: {table['rows']:,} {table['mark']}, {table['repeated']:,} of them in a file above, "
        f"{table['matched']:,} matched, {table['rejected']:,} rejected."
        for table in result.gave()
    ]
    summary = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
    report.result(value, [*lines, *gave, f"{result.source}: {summary}."])


def _row(data: Dataset, outcome: Outcome) -> dict[str, Json]:
    """Return the outcome with the item's id and title in place of its index."""
    row = outcome._asdict()
    item = row.pop("item_idx")
    return {**row, "item_id": data.item_ids[item] if item >= 0 else None, "film": _film(data, outcome) or None}


def _says(outcome: Outcome) -> str:
    """Return what a row says of its film: its stars, or its mark."""
    return f"{outcome.stars:g} stars" if outcome.stars and outcome.mark == "rated" else outcome.mark


def _film(data: Dataset, outcome: Outcome) -> str:
    return _dated(*data.films[outcome.item_idx][1:3]) if outcome.item_idx >= 0 else ""


def _dated(title: str, year: int | None) -> str:
    return f"{title} ({year})" if year and f"({year}" not in title else title
