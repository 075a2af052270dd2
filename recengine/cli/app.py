"""The command `app`: Streamlit on the pages, from a checkout or from an installed package."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from recengine.cli.arguments import Commands, add_command, whole_number
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput

PACKAGE = Path(__file__).parent.parent
PLACES = (PACKAGE / "_app" / "app.py", PACKAGE.parent / "app.py")
"""The app as a wheel carries it, and in a checkout."""


def add_commands(commands: Commands) -> None:
    """Declare `app`."""
    text = "start the app in the browser; Streamlit's own settings are taken from STREAMLIT_... variables"
    command = add_command(commands, "app", start, text)
    command.add_argument("--port", type=whole_number(1), metavar="P", help="default: 8501")


def start(options: argparse.Namespace, report: Reporter) -> None:
    """Hand this process over to Streamlit."""
    script = next((path for path in PLACES if path.is_file()), None)
    if script is None or find_spec("streamlit") is None:
        remedy = "install it with `pip install 'recengine[app]'`"
        raise BadInput("app", remedy=remedy, problem="needs Streamlit, which is not installed")
    port = [] if options.port is None else ["--server.port", str(options.port)]
    report.note(f"Starting {script}")
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(script), *port])
