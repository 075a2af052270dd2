"""Metrics of the lists of MovieLens 1M, compared with RecTools and ranx on the same lists.

    python -m benchmarks.metrics --rival PYTHON

`--rival` names a Python that has both. The clock runs for what both have, NDCG, recall, precision, hit rate, MRR and
MAP, with RecTools' and our coverage (ours add a second MAP and Gini), and then for all our metrics of lists: with
novelty, intra-list diversity, calibration and the lift of popularity. The lists are those of popularity, on
`leave-last` and `random`. Each figure is the least of three times; all that a library asks for is made before. NDCG
has to be the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.library_speed import best_of
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, make_split
from recengine.evaluation.ranking import Evaluation, evaluate, list_metrics, metrics_of_lists
from recengine.models.simple.baselines import Popularity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-1m-ordered", help="a registered name, a path or the stem of a zip")
    parser.add_argument("--rival", type=Path, required=True, help="a Python that has RecTools and ranx")
    options = parser.parse_args()
    data = load_dataset(options.dataset)
    for name, positive in (("leave-last", 4.0), ("random", 0.0)):
        split = make_split(data, name, positive=positive)
        result = evaluate(Popularity().fit(split.fit), split)

        def ours(items: pd.DataFrame | None, result: Evaluation = result, split: Split = split) -> dict[str, Any]:
            values = metrics_of_lists(result.lists, result.users, split, result.lengths, items)
            return values | list_metrics(result.lists, split.candidates, result.lengths)

        seconds, values = best_of(3, lambda ours=ours: ours(None))
        in_all, everything = best_of(3, lambda ours=ours: ours(data.items))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "case.npz"
            np.savez(
                path,
                users=result.users,
                lists=result.lists,
                relevant=np.column_stack([split.test.user_idx, split.test.item_idx]),
                candidates=split.candidates,
            )
            script = Path(__file__).with_name("library_speed.py")
            run = [options.rival, script, "metrics", path]
            theirs = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
        ndcg = float(np.nanmean(values["ndcg@10"]))
        assert all(abs(ndcg - value) < 1e-6 for value in theirs["ndcg"].values()), (ndcg, theirs["ndcg"])
        rivals = ", ".join(
            f"{name} {taken * 1e3:.0f} ms ({taken / seconds:.1f} times as long)"
            for name, taken in theirs["seconds"].items()
        )
        shape = f"{len(result.users):,} lists, {len(split.test):,} test rows"
        print(
            f"{name}: {shape}: {len(values)} metrics in {seconds * 1e3:.1f} ms; {rivals}; "
            f"all {len(everything)} in {in_all * 1e3:.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
