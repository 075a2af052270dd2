"""The log of the app: one line of JSON per event, without personal data.

    configure()                              # once, when the app starts
    log_event("rating kept", count=1)        # {"at": "2026-11-26T12:00:00+00:00", "level": "info", "event": ...}

A line names an event and its counts. It never has an id, a title, a rating, an address, nor the
message of an error, which may quote what a visitor typed: for an error it has the type and the lines of the code.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_ROOT = logging.getLogger("recengine")
_MAX_EVENT = 120
"""The most characters of an event, since those of other packages may contain more than a constant."""
Count = bool | int | float


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, logger, event, its counts, and where an error was raised."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": str(record.msg).partition("\n")[0][
                :_MAX_EVENT
            ],  # without its arguments; the events of this app are constants
            **getattr(record, "counts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["from"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])]
        return json.dumps(line)


def configure() -> None:
    """Send our log to standard error as lines of JSON; calling it twice changes nothing.

    Records of other packages, such as Streamlit's tracebacks, go where they send them, but reveal no more than ours.
    """
    if not _ROOT.handlers:
        logging.setLogRecordFactory(_redacted_record)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        _ROOT.addHandler(handler)
        _ROOT.setLevel(logging.INFO)
        _ROOT.propagate = False


def _redacted_record(*args: Any, **named: Any) -> logging.LogRecord:
    """Make a record; the message of one of another package becomes its line of JSON."""
    record = logging.LogRecord(*args, **named)
    if record.name.partition(".")[0] != _ROOT.name:
        record.msg = JsonLines().format(record)
        record.args, record.exc_info = (), None
    return record


def log_event(event: str, **counts: Count) -> None:
    """Log an event with counts, and nothing else."""
    _ROOT.info(event, extra={"counts": counts})
