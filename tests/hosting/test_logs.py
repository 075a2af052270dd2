"""The log of a hosted app: lines of JSON with what happened and nothing personal."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pages.hosting.logs import JsonLines, log_event


def line(record: logging.LogRecord) -> dict[str, object]:
    return json.loads(JsonLines().format(record))


def test_an_event_is_one_line_with_its_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recengine"):
        log_event("ratings were kept", count=3)
    (record,) = caplog.records
    logged = line(record)
    assert (logged["event"], logged["count"], logged["level"]) == ("ratings were kept", 3, "info")
    assert str(logged["at"]).endswith("+00:00")
    assert "\n" not in JsonLines().format(record)


def test_an_error_is_logged_by_its_type_and_line_without_its_message() -> None:
    try:
        raise ValueError("ann@example.org rated Alien 5")
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("recengine.app", logging.ERROR, "x.py", 1, "a page failed", ("Alien",), error)
    logged = line(record)
    assert (logged["event"], logged["error"]) == ("a page failed", "ValueError")
    assert "test_an_error_is_logged" in logged["from"][0]  # type: ignore[index]
    assert "ann" not in json.dumps(logged).replace("channel", "")
    assert "Alien" not in json.dumps(logged)


def test_a_configured_process_logs_json_alone_and_another_logs_as_before(tmp_path: Path) -> None:
    script = (
        "import logging, sys; from pages.hosting import logs\n"
        "if sys.argv[1] == 'hosted': logs.configure(); logs.configure()\n"
        "logs.log_event('one', n=1); logging.getLogger('recengine.jobs').error('two')\n"
        "handler, other = logging.StreamHandler(), logging.getLogger('streamlit.error_util')\n"
        "handler.setFormatter(logging.Formatter('%(message)s')); other.addHandler(handler)\n"
        "other.propagate = False\n"
        "try: raise KeyError('ann rated Alien')\n"
        "except KeyError as error:\n"
        "    if sys.argv[1] == 'hosted': other.error('Uncaught, %d%%', 7, exc_info=error)\n"
    )
    environment = os.environ | {"RECENGINE_HOME": str(tmp_path)}

    def run(mode: str) -> list[str]:
        command = [sys.executable, "-c", script, mode]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr.splitlines()

    lines = run("hosted")
    assert [json.loads(text)["event"] for text in lines] == ["one", "two", "Uncaught, %d%%"]
    assert json.loads(lines[2])["error"] == "KeyError"
    assert "Alien" not in "".join(lines)
    assert run("local") == ["two"]
