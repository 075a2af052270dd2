"""Scripts that use the API as a user would: they run, and mypy's strict mode has nothing to say about them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ten_lines.py"])
def test_an_example_runs(name: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, EXAMPLES / name]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "ndcg@10" in result.stdout


@pytest.mark.slow
def test_strict_types_hold_for_a_script_and_tell_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import recengine as rec\nrec.evaluate('ease', 3)\nrec.EASE(l2=1).recommend(5)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    scripts = [EXAMPLES / "ten_lines.py", wrong]
    result = subprocess.run([*command, *scripts], capture_output=True, text=True, check=False, cwd=ROOT)
    assert [line.split(":")[1] for line in result.stdout.splitlines() if ": error:" in line] == ["2", "2", "3"]
    assert "ten_lines.py" not in result.stdout
