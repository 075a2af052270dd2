"""`python -m recengine`."""

from recengine.cli import run

run()
