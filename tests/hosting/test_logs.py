"""The log of a hosted app: lines of JSON that say what happened, and nothing of anybody."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pages.hosting.logs import JsonLines, tell


def line(record: logging.LogRecord) -> dict[str, object]:
    return json.loads(JsonLines().format(record))


def test_an_event_is_one_line_with_its_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recengine"):
        tell("ratings were kept", count=3)
    (record,) = caplog.records
    said = line(record)
    assert (said["event"], said["count"], said["level"]) == ("ratings were kept", 3, "info")
    assert str(said["at"]).endswith("+00:00")
    assert "\n" not in JsonLines().format(record)


def test_of_a_fault_the_type_and_the_code_are_told_and_not_what_it_quotes() -> None:
    try:
        raise ValueError("ann@example.org rated Alien 5")
    except ValueError:
        fault = sys.exc_info()
    record = logging.LogRecord("recengine.app", logging.ERROR, "x.py", 1, "a page failed", ("Alien",), fault)
    said = line(record)
    assert (said["event"], said["fault"]) == ("a page failed", "ValueError")
    assert "test_of_a_fault" in said["from"][0]  # type: ignore[index]
    assert "ann" not in json.dumps(said).replace("channel", "")
    assert "Alien" not in json.dumps(said)


def test_every_line_that_a_process_writes_is_json_and_without_it_nothing_is_written(tmp_path: Path) -> None:
    script = (
        "import logging, sys; from pages.hosting import logs\n"
        "if sys.argv[1] == 'hosted': logs.configure(); logs.configure()\n"
        "logs.tell('one', n=1); logging.getLogger('recengine.jobs').error('two')\n"
        "handler, other = logging.StreamHandler(), logging.getLogger('streamlit.error_util')\n"
        "handler.setFormatter(logging.Formatter('%(message)s')); other.addHandler(handler)\n"
        "other.propagate = False\n"
        "try: raise KeyError('ann rated Alien')\n"
        "except KeyError as fault:\n"
        "    if sys.argv[1] == 'hosted': other.error('Uncaught, %d%%', 7, exc_info=fault)\n"
    )
    environment = os.environ | {"RECENGINE_HOME": str(tmp_path)}

    def run(how: str) -> list[str]:
        command = [sys.executable, "-c", script, how]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr.splitlines()

    lines = run("hosted")
    assert [json.loads(text)["event"] for text in lines] == ["one", "two", "Uncaught, %d%%"]
    assert json.loads(lines[2])["fault"] == "KeyError"
    assert "Alien" not in "".join(lines)
    assert run("local") == ["two"]
