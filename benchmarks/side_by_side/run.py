"""One task in four libraries: lines of user code and seconds of CPU time of each step.

    python benchmarks/side_by_side/run.py with_rectools ml-latest-small.zip

Runs in an environment that has the library; `with_recengine` needs `recengine[serve]`, the others their library,
fastapi and uvicorn. The file named is the user's code, cut into steps by lines such as `# step: fit`. Blank lines and
comments are not counted; imports are, in the step that needs them first. The last step has to answer
`GET /users/1/recommendations` on `PORT`; a process that it starts is `service`, and counts.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen


def steps_of(path: Path) -> dict[str, str]:
    """Return step -> code."""
    _, *parts = re.split(r"^# step: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def wait_for(port: int) -> list[object]:
    """Return what the service recommends to user 1, as soon as it answers."""
    ends = time.monotonic() + 120
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/users/1/recommendations", timeout=10) as answer:
                answered = json.load(answer)
            return answered["lists"][0]["items"] if isinstance(answered, dict) else answered
        except URLError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)


def cpu_seconds() -> float:
    """Return what this process and those of its children that have ended have used; a busy machine adds nothing."""
    return sum(os.times()[:4])


def main() -> None:
    warnings.filterwarnings("ignore")
    library, archive = sys.argv[1:]
    steps = steps_of(Path(__file__).with_name(f"{library}.py"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        ratings = f"{folder}/ratings.csv"
        with zipfile.ZipFile(archive) as opened:
            Path(ratings).write_bytes(opened.read("ml-latest-small/ratings.csv"))
        names: dict[str, Any] = {"RATINGS": ratings, "FOLDER": f"{folder}/model", "PORT": port}
        total_lines, total_seconds = 0, 0.0
        for step, code in steps.items():
            lines = sum(bool(line.strip()) and not line.strip().startswith("#") for line in code.splitlines())
            started = cpu_seconds()
            exec(compile(code, f"{library}.py, {step}", "exec"), names)
            if step == "serve":
                assert len(wait_for(port)) == 10
                if "service" in names:
                    names["service"].terminate()
                    names["service"].wait()
            seconds = cpu_seconds() - started
            total_lines, total_seconds = total_lines + lines, total_seconds + seconds
            print(f"{step:10} {lines:3} lines {seconds:7.2f} s", flush=True)
        print(f"{'all':10} {total_lines:3} lines {total_seconds:7.2f} s")


if __name__ == "__main__":
    main()
