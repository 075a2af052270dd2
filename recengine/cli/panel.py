"""The command `panel`."""

from __future__ import annotations

import argparse
from pathlib import Path

from recengine.cli.arguments import Commands, add_data_command, whole_number
from recengine.cli.common import load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.export import table
from recengine.models.registry import DEFAULT
from recengine.serving.panel import FILES, SAMPLE_FILES, panel, read_tastes


def add_commands(commands: Commands) -> None:
    """Declare `panel`."""
    text = "recommend for tastes that are written down, and score the lists"
    command = add_data_command(commands, "panel", run_panel, text, default=DEFAULT)
    command.add_argument(
        "--tastes",
        type=Path,
        action="append",
        metavar="F",
        help="a JSON file of tastes or contrasts; may be given again; default: the package's",
    )
    command.add_argument("-k", type=whole_number(1), default=10)


def run_panel(options: argparse.Namespace, report: Reporter) -> None:
    data = load_data(options, report)
    tastes, contrasts = read_tastes(options.tastes or (SAMPLE_FILES if data.name == "sample" else FILES))
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    result = panel(trained.model, data, tastes, contrasts, k=options.k, positive=options.positive)
    if result.missing:
        missing = "; ".join(dict.fromkeys(result.missing))
        report.note(f"{data.name} does not have {len(set(result.missing))} of the titles: {missing}")
    titles, ids = data.items["title"].to_numpy(), data.item_ids.tolist()
    means = result.means()
    value = {
        "dataset": data.name,
        "model": options.model,
        **means,
        "tastes": [
            taste._asdict() | {"items": [{"item_id": ids[i], "title": titles[i]} for i in taste.items]}
            for taste in result.tastes
        ],
        "contrasts": [contrast._asdict() for contrast in result.contrasts],
    }
    rows = [
        (t.name, t.nods, t.winces, f"{t.kept_when_reversed:.2f}", f"{t.kept_without_dislikes:.2f}", f"{t.stars:.2f}")
        for t in result.tastes
    ]
    header = ("name", f"nods@{options.k}", f"winces@{options.k}", "kept reversed", "without dislikes", "mean stars")
    lines = table(header, rows) if rows else []
    if contrasts:
        shown = [(c.name, c.left, c.without_dislikes) for c in result.contrasts]
        lines += ["", *table(("contrast", "left", "without the dislike"), shown)]
    lines += ["", *(f"{name}: {figure:.2f}" for name, figure in means.items() if figure is not None)]
    for taste in result.tastes:
        lines += ["", f"{taste.name}:", *(f"  {titles[item]}" for item in taste.items)]
    report.result(value, lines)
