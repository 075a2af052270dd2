"""Write the tables of docs/results.md from the stored figures of the experiments, with what others have published.

python -m benchmarks.gallery [--take FOLDER]

Every table is a file in `experiments`: `recengine run experiments/ml-100k.toml --out FOLDER` measures it. With --take
the figures of the reports in FOLDER, and what they were measured with, are stored in `experiments/figures`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from recengine.experiments.experiment import read_experiment
from recengine.experiments.summary import Summary
from recengine.export import write_json

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
DOCUMENT = ROOT / "docs" / "results.md"
BLOCK = re.compile(r"<!-- experiment: (\S+) -->\n.*?<!-- /experiment -->\n", re.DOTALL)


def figures_of(name: str) -> Path:
    """Return where the figures of an experiment are stored."""
    return EXPERIMENTS / "figures" / f"{name}.json"


def block(name: str) -> str:
    """Return the table of an experiment, the command that measures it, and when that was done."""
    stored = json.loads(figures_of(name).read_text(encoding="utf-8"))
    summary = Summary.from_dict(read_experiment(EXPERIMENTS / f"{name}.toml"), stored["figures"])
    lines = [
        *summary.grid().markdown(),
        "",
        f"`recengine run experiments/{name}.toml`; measured {stored['measured']}",
    ]
    return f"<!-- experiment: {name} -->\n" + "\n".join(lines) + "\n<!-- /experiment -->\n"


def document() -> str:
    """Return the document with its tables as the stored figures give them."""
    return BLOCK.sub(lambda match: block(match[1]), DOCUMENT.read_text(encoding="utf-8"))


def take(report: Path) -> None:
    """Store the figures of a report."""
    made = json.loads(report.read_text(encoding="utf-8"))
    versions = made["versions"]
    measured = f"{made['written']} with recengine {versions['recengine']} and torch {versions['torch']}."
    write_json(figures_of(made["experiment"]), {"measured": measured, "figures": made["summary"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.take:
        for path in sorted(EXPERIMENTS.glob("*.toml")):
            if (options.take / f"{path.stem}.json").is_file():
                take(options.take / f"{path.stem}.json")
    DOCUMENT.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
