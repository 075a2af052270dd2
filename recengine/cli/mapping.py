"""The command `map`: where each item is on a map of what a model finds alike."""

from __future__ import annotations

import argparse

import numpy as np

from recengine.cli.arguments import Commands, add_data_command, add_out
from recengine.cli.common import load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.experiments.store import ArtefactStore
from recengine.export import counted, table, write_table
from recengine.models.registry import DEFAULT
from recengine.serving.islands import HEADER, islands, rows
from recengine.serving.item_map import PROJECTIONS, obtain_map
from recengine.serving.promotion import served_folder


def add_commands(commands: Commands) -> None:
    """Declare `map`."""
    text = "map the items: near each other is what a model finds alike; computed once, then kept"
    command = add_data_command(commands, "map", draw_map, text, default=DEFAULT)
    command.add_argument("--projection", choices=PROJECTIONS, default="pca", help="umap needs the extra `maps`")
    command.add_argument("--served", action="store_true", help="map the promoted snapshot, if one is served")
    add_out(command, "write each item's position and island")


def draw_map(options: argparse.Namespace, report: Reporter) -> None:
    """Compute a map or find it, print its islands and write its positions."""
    data = load_data(options, report)
    trained = train_or_find(options, report, data, options.model, read_settings(options.set))
    if options.served and (snapshot := ArtefactStore().find(served_folder(trained.folder))) is not None:
        trained = snapshot
    here = obtain_map(trained, data, options.positive, options.projection, report.step)
    groups = islands(here, data)
    if options.out is not None:
        placed = rows(here, groups, data)
        write_table(options.out, HEADER, placed)
        report.note(f"Wrote {counted(len(placed), 'items')} to {options.out}.")
    shown = [(group.name, len(group.items), *np.round(group.centre, 2).tolist()) for group in groups]
    value = {
        "projection": options.projection,
        "items": len(here.known),
        "explained": here.explained,
        "islands": [dict(zip(("name", "items", "x", "y"), row, strict=True)) for row in shown],
    }
    head = f"{counted(len(here.known), 'items')} on the map"
    if here.explained is not None:
        head += f", whose two axes show {sum(here.explained):.0%} of how they differ"
    report.result(value, [f"{head}.", *table(("island", "items", "x", "y"), shown)])
