"""Scripts that use the API as a user would: they run, and mypy's strict mode has nothing to say about them."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from recengine.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


SAYS = {
    "ten_lines": "ndcg@10",
    "cold_start": "ratings known: 10",
    "stream": "events a second",
    "implicit_als": "implicit-als",
    "serving": "404 user 'nobody' is not in 'sample'",
    "letterboxd": "because of Alien",
    "tuning": "best on validation",
    "significance": "more than chance",
    "projector": "Toy Story 2",
}
"""What each example prints, among other things, when it has gone all the way."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the processes that an example starts
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert SAYS[name] in capsys.readouterr().out


@pytest.mark.slow
def test_the_experiment_file_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", str(EXAMPLES / "experiment.toml"), "--out", str(tmp_path)]) == 0
    assert "| slist |" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_is_kept_without_outputs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()


def test_the_page_of_examples_names_each_of_them() -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+\.(?:py|toml|ipynb))`", page))
    assert named == {path.name for path in EXAMPLES.glob("*.*")} - {"tour.py", "test_custom_model.py"}


def test_an_example_is_read_in_a_few_minutes() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.[pt]*")}
    assert not {name: length for name, length in lengths.items() if length > 60}
