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
from typing import Any

_ROOT = logging.getLogger("recengine")
_LONGEST = 120
"""Letters of an event, which other packages may not keep constant."""
Told = bool | int | float


class JsonLines(logging.Formatter):
    """One JSON object for each record: time, level, logger, event, its counts, and where a fault came from."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": str(record.msg).partition("\n")[0][:_LONGEST],  # without its arguments: ours are constants
            **getattr(record, "counts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["fault"] = record.exc_info[0].__name__
            line["from"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])]
        return json.dumps(line)


def configure() -> None:
    """Send what is logged to standard error as lines of JSON, once however often it is called.

    What other packages log, Streamlit its tracebacks among it, goes where they send it, but says no more than ours.
    """
    if not _ROOT.handlers:
        logging.setLogRecordFactory(_told_by_others)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        _ROOT.addHandler(handler)
        _ROOT.setLevel(logging.INFO)
        _ROOT.propagate = False


def _told_by_others(*args: Any, **named: Any) -> logging.LogRecord:
    """Return a record; the message of one that is not ours is its line of JSON."""
    record = logging.LogRecord(*args, **named)
    if record.name.partition(".")[0] != _ROOT.name:
        record.msg = JsonLines().format(record)
        record.args, record.exc_info = (), None
    return record


def tell(event: str, **counts: Told) -> None:
    """Log an event of which only numbers are told."""
    _ROOT.info(event, extra={"counts": counts})
