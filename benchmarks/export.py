"""Users a second whose ten best items are written to a file, compared with implicit and pandas.

python -m benchmarks.export [--dataset ml-1m-ordered] [--model ials] [--repeats 3]

The lists of all users, without what they have rated, on one thread. The rival, where it is installed
(`pip install implicit`), has the same vectors: its compiled top-k with a sparse matrix of what was rated, and pandas'
own writers of Parquet and JSON lines. The target is 20,000 users a second. CPU seconds are those of this process, which
a busy machine does not stretch; wall seconds are printed next to them. The model is trained, or found, before.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.base import Recommender
from recengine.serving.lists import write_lists
from recengine.serving.recommend import recommend
from recengine.serving.vectors import vectors_of

AT_ONCE = 2**14
"""Users whose lists are held until they are written, as the command does."""
K = 10


def ours(model: Recommender, data: Dataset, path: Path) -> None:
    """Write the lists as `recengine export --to lists` does."""
    users = np.arange(data.n_users)
    blocks = (users[start : start + AT_ONCE] for start in range(0, len(users), AT_ONCE))
    listings = ((data.user_ids[some].tolist(), recommend(model, data, some, k=K)) for some in blocks)
    write_lists(listings, data, path)


def rival(model: Recommender, data: Dataset, path: Path) -> None:
    """Write the same rows by implicit's top-k and pandas."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse

    vectors = vectors_of(model, data)
    assert vectors.users is not None
    r = data.ratings
    rated = sparse.csr_matrix((r.rating, (r.user_idx, r.item_idx)), (data.n_users, data.n_items))
    scorer = AlternatingLeastSquares(factors=vectors.items.vectors.shape[1], num_threads=1)
    scorer.user_factors, scorer.item_factors = vectors.users.vectors, vectors.items.vectors
    users = np.arange(data.n_users)
    items, scores = scorer.recommend(users, rated, N=K, filter_already_liked_items=True)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(data.user_ids, K),
            "rank": np.tile(np.arange(1, K + 1), data.n_users),
            "item_id": data.item_ids[items.ravel()],
            "title": data.items["title"].to_numpy()[items.ravel()],
            "score": scores.ravel(),
        }
    )
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, force_ascii=False)


def best(write: Callable[[Recommender, Dataset, Path], None], repeats: int, *given: object) -> tuple[float, float]:
    """Return the least CPU seconds and the least wall seconds of some repetitions."""
    measured = []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        write(*given)  # type: ignore[arg-type]
        measured.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cpu for cpu, _ in measured), min(wall for _, wall in measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="ml-1m-ordered")
    parser.add_argument("--model", default="ials")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    data = load_dataset(options.dataset)
    model = obtain(TrainingRequest(data, options.model, {})).model
    print(f"{data.n_users:,} users, {data.n_items:,} items, {len(data.ratings):,} ratings; {options.model}, k={K}")
    contenders = {"RecEngine": ours}
    if find_spec("implicit") is not None and "product" in model.abilities:
        contenders["implicit and pandas"] = rival
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".parquet", ".jsonl"):
            for name, write in contenders.items():
                path = Path(folder) / f"lists{ending}"
                cpu, wall = best(write, options.repeats, model, data, path)
                speed = f"{data.n_users / cpu:>9,.0f} users a CPU second, {data.n_users / wall:>9,.0f} a second"
                print(f"{ending:9}{name:20}{speed}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
