"""The parser of the command line: every module declares its commands."""

from __future__ import annotations

import argparse

from recengine import __version__
from recengine.cli import (
    app,
    evaluation,
    experiment,
    explaining,
    exporting,
    http,
    importing,
    mapping,
    panel,
    predicting,
    promotion,
    serving,
    steering,
    streaming,
    training,
    tuning,
)
from recengine.cli.arguments import Parser


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(prog="python -m recengine", description="Train, compare and serve movie recommenders.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    modules = (
        training,
        evaluation,
        experiment,
        tuning,
        streaming,
        promotion,
        serving,
        steering,
        mapping,
        panel,
        explaining,
        predicting,
        importing,
        exporting,
        http,
        app,
    )
    for module in modules:
        module.add_commands(commands)
    return parser
