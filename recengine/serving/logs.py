"""The log of the app: a line of JSON for each thing that happened, without anything that belongs to a person.

    configure()                              # once, when the app starts
    tell("rating kept", count=1)             # {"at": "2026-11-26T12:00:00+00:00", "level": "info", "event": ...}

A line says what happened, how often and where in the code. It never has an id, a title, a rating, an address, nor the
message of a fault, which may quote what somebody typed: of a fault it has the type and the lines of the code.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

_ROOT = logging.getLogger("recengine")
Told = bool | int | float


class JsonLines(logging.Formatter):
    """One JSON object for each record: time, level, logger, event, its counts, and where a fault came from."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg,  # without its arguments: ours are constants
            **getattr(record, "counts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["fault"] = record.exc_info[0].__name__
            line["from"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])]
        return json.dumps(line)


def configure() -> None:
    """Send what `recengine` logs to standard error as lines of JSON, once however often it is called."""
    if not _ROOT.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        _ROOT.addHandler(handler)
        _ROOT.setLevel(logging.INFO)
        _ROOT.propagate = False


def tell(event: str, **counts: Told) -> None:
    """Log an event of which only numbers are told."""
    _ROOT.info(event, extra={"counts": counts})
