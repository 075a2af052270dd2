"""Experiments as files: what they ask for, what their summary shows, and that the results page is made of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gallery import BLOCK, DOCUMENT, EXPERIMENTS, document
from recengine.evaluation.intervals import Interval
from recengine.experiments.compare import ComparisonRequest
from recengine.experiments.experiment import Column, Published, read_experiment
from recengine.experiments.grid import Grid
from recengine.experiments.summary import Summary

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(EXPERIMENTS.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_experiments_of_the_results_can_be_asked_of_the_data(path: Path) -> None:
    experiment = read_experiment(path)
    for protocol in experiment.protocols:
        request = experiment.request(protocol, 4.0, "cpu")
        assert [*request.models][: len(experiment.variants)] == [variant.name for variant in experiment.variants]
        if isinstance(request, ComparisonRequest):
            assert (request.seeds, request.k) == (experiment.seeds, experiment.k[0])


def test_the_results_are_what_the_stored_figures_give() -> None:
    assert document() == DOCUMENT.read_text(encoding="utf-8"), "run: python -m benchmarks.gallery"
    shown = [match[1] for match in BLOCK.finditer(DOCUMENT.read_text(encoding="utf-8"))]
    assert sorted(shown) == sorted(path.stem for path in FILES)


def test_the_figures_of_the_readme_are_stored_figures() -> None:
    stored = [json.loads(path.read_text()) for path in (EXPERIMENTS / "figures").glob("ml-100k*.json")]
    rows = [row for one in stored for row in one["figures"].values()]
    known = {f"{f['value']:.4f} ± {(f['high'] - f['low']) / 2:.4f}" for row in rows for f in row.values() if f["low"]}
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| model | P1 |")[2].partition("\n\n")[0]
    cells = re.findall(r"(\.\d{4}) ± (\.\d{4})", table)
    assert len(cells) > 8
    assert {f"0{value} ± 0{half}" for value, half in cells} <= known


def test_the_experiment_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "penalty.toml").write_text(text, encoding="utf-8")
    experiment = read_experiment(tmp_path / "penalty.toml")
    names = [variant.name for variant in experiment.variants]
    assert names == ["popularity", "ease l2=100", "ease l2=300", "ease l2=1000"]
    assert experiment.variants[2].settings == {"recency_half_life": 5, "l2": 300}


def summary() -> Summary:
    column = Column("NDCG@10", "ndcg@10", "P1", "d")
    columns = [column, replace(column, head="RMSE / 5", metric="rmse", digits=3, interval=False)]
    columns.append(replace(column, head="ahead", ahead_of="popularity"))
    published = [Published("A_B", {"NDCG@10": 0.3}, "them, 1999", "another")]
    return Summary(
        columns,
        published,
        {
            "popularity": {"NDCG@10": Interval(0.1, 0.09, 0.12), "RMSE / 5": Interval(0.25)},
            "ease": {"NDCG@10": Interval(0.2), "RMSE / 5": Interval(1.5), "ahead": Interval(-0.1, -0.2, 0.05)},
            "none": {},
        },
    )


def test_the_best_figure_of_a_column_stands_out_whosever_it_is() -> None:
    assert list(summary().grid().markdown())[2:] == [
        r"| popularity | .1000 ± .0150 | **.250** |  | ours |",
        r"| ease | .2000 | 1.500 | -.1000 (-.2000 to +.0500) | ours |",
        r"| none |  |  |  | ours |",
        r"| A_B | **.300** |  |  | them, 1999; another |",
    ]


def test_names_cannot_break_a_table() -> None:
    grid = Grid(["model", "n"], [["a|b <i> *x*\n_$1_000 & 50 %\\", 0.5], ["c", None]], frozenset({(0, 1)}))
    *_, first, _ = grid.markdown()
    assert first == r"| a\|b &lt;i> \*x\* \_$1_000 & 50 %\\ | **0.5000** |"
    lines = list(grid.latex("± 5 % of {it}", ["p >= 1"]))
    assert lines[1] == r"\caption{$\pm$ 5 \% of \{it\}}"
    assert r"\_\$1\_000 \& 50 \%\textbackslash{} & \textbf{0.5000} \\" in lines[6]
    assert lines[-2] == r"\par\footnotesize p $\ge$ 1"
