"""Compute the figures of ranx, RecTools and LensKit for lists of MovieLens 100K, with which a test compares ours.

python -m benchmarks.metric_oracles --environment FOLDER [--out tests/evaluation/oracle_figures.json]

The libraries need an older numpy than ours, so they run in a virtual environment, which is made in FOLDER unless it is
there already. RECENGINE_MIRROR names the folder with the MovieLens zips.

The lists are those of three closed forms on four splits, and the same on every machine, as their hashes are stored:
scores are computed in double precision and rounded to six digits, what the user rated is left out unless it is a
target, and of equal scores the smaller MovieLens number comes first. Our masking and ties have no part in this.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, make_split

K = 10
SPLITS = ("leave-last", "random", "stratified", "time")
LIBRARIES = ("ranx==0.3.21", "rectools==0.19.0", "lenskit==2025.8.1", "pyarrow<21")
FIGURES = Path(__file__).parent.parent / "tests" / "evaluation" / "oracle_figures.json"
Floats = NDArray[np.float64]


def popularity(chosen: Floats) -> Floats:
    """Return (U, I) scores: the number of users who chose the item."""
    return np.broadcast_to(chosen.sum(0), chosen.shape)


def ease(chosen: Floats, l2: float = 100.0) -> Floats:
    """Return (U, I) scores of ridge regression on all other items (Steck, WWW 2019)."""
    inverse = np.linalg.inv(chosen.T @ chosen + l2 * np.eye(chosen.shape[1]))
    return chosen - chosen @ (inverse / inverse.diagonal())


def user_knn(chosen: Floats) -> Floats:
    """Return (U, I) scores: what all other users chose, weighted by the cosine between users (Resnick et al. 1994)."""
    unit = chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, 0)
    return cosine @ chosen


MODELS = {"popularity": popularity, "ease": ease, "user-knn": user_knn}


@dataclass(frozen=True, eq=False)
class Case:
    """The lists of one model for the test users of one split, and what a metric needs to evaluate them.

    users : (n,) indices of the test users; lists : (n, K) item indices, best first
    """

    data: Dataset
    split: Split
    users: NDArray[np.int64]
    lists: NDArray[np.int64]

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """Return the lists and what metrics need in MovieLens numbers, rows of (user, item) sorted."""
        users, items = (np.asarray(ids, np.int64) for ids in (self.data.user_ids, self.data.item_ids))

        def pairs(part: str) -> NDArray[np.int64]:
            rows = getattr(self.split, part)
            return np.unique(np.column_stack([users[rows.user_idx], items[rows.item_idx]]), axis=0)

        return {
            "users": users[self.users],
            "lists": items[self.lists],
            "relevant": pairs("test"),
            "training": pairs("fit"),
            "candidates": np.sort(items[self.split.candidates]),
        }

    @property
    def sha256(self) -> str:
        """Return the hash of everything that the libraries read."""
        return hashlib.sha256(b"".join(array.astype("<i8").tobytes() for array in self.arrays.values())).hexdigest()


def cases(data: Dataset, name: str) -> Iterator[tuple[str, Case]]:
    """Yield each model's name and its lists on the split `name`."""
    split = make_split(data, name)
    users = split.test.user_counts.nonzero()[0]
    chosen = np.zeros((data.n_users, data.n_items))
    chosen[split.fit.user_idx, split.fit.item_idx] = 1
    hidden = np.ones(data.n_items, bool)
    hidden[split.candidates] = False
    hidden = np.tile(hidden, (data.n_users, 1))
    hidden[data.ratings.user_idx, data.ratings.item_idx] = True
    hidden[split.test.user_idx, split.test.item_idx] = False
    by_number = np.argsort(np.asarray(data.item_ids, np.int64))
    for model, score in MODELS.items():
        scores = np.where(hidden, -np.inf, np.round(score(chosen), 6))[users]
        order = np.argsort(-scores[:, by_number], axis=1, kind="stable")[:, :K]
        yield model, Case(data, split, users, by_number[order])


def environment(folder: Path) -> Path:
    """Return the Python of a virtual environment with the libraries, made where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *LIBRARIES], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="folder of the libraries' environment")
    parser.add_argument("--out", type=Path, default=FIGURES)
    options = parser.parse_args()
    python = environment(options.environment)
    data = load_dataset("ml-100k")
    hashes = {}
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            for model, case in cases(data, split):
                name = f"{split}, {model}"
                hashes[name] = case.sha256
                np.savez(Path(folder, f"{name}.npz"), **case.arrays)
        script = Path(__file__).parent / "library_metrics.py"
        answer = json.loads(subprocess.run([python, script, folder], check=True, stdout=subprocess.PIPE).stdout)
    result = {
        "versions": answer["versions"],
        "cases": {name: {"sha256": sha256, **answer["cases"][name]} for name, sha256 in hashes.items()},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out}: {len(hashes)} lists, {answer['versions']}")


if __name__ == "__main__":
    main()
