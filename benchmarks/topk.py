"""Lists for all users, a million of ten ratings, by popularity and by ials, compared with implicit.

    python -m benchmarks.topk [--rival PYTHON] [--index]

The rows are generated, items by a power law. The vectors of ials are random: how long a list takes does not depend on
what they are. `--rival` names a Python that has implicit, which makes the same lists from the same vectors and rows,
with as many threads; what share of the items both list is shown, of the first thousand users, without those who like
nothing, whom popularity serves. Peak memory is that of each process, rows and vectors included.

`--index` measures instead what `recengine export --to faiss` writes, next to an exact index and clusters: recall@100,
queries a second, the seconds of the processor to build it, and its size. The million vectors are those of `ials` on a
generated shop of 150,000 users and 6 million events; their lengths spread as popularity does. One thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.library_speed import peak
from benchmarks.shop import shop
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.sources import from_frame
from recengine.models.base import Recommender
from recengine.models.factors.ials import IALS, IALSConfig
from recengine.models.simple.baselines import Popularity
from recengine.serving.recommend import Listing, recommend
from recengine.serving.vectors import item_index
from recengine.training.config import RunConfig

RATINGS, K, DIM = 10, 10, 64
QUERIES, LISTED = 300, 100


def generated(n_users: int, n_items: int) -> Dataset:
    """Return ten ratings of each user."""
    rng = np.random.default_rng(0)
    n = n_users * RATINGS
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(n_users), RATINGS),
            "item_id": np.concatenate([np.arange(n_items), (n_items * rng.random(n - n_items) ** 2).astype(int)]),
            "rating": rng.integers(1, 11, n) / 2,
        }
    )
    return from_frame(frame, name="generated")


def random_ials(data: Dataset) -> IALS:
    """Return ials with random vectors."""
    model, draws = IALS(), torch.Generator().manual_seed(0)
    model.n_users, model.n_items = data.n_users, data.n_items
    sides = {"users": data.n_users, "items": data.n_items}
    tables = {name: torch.randn(size, DIM, generator=draws) for name, size in sides.items()}
    model.restore({**tables, "scale": torch.zeros(2)})
    return model


def measure(model: Recommender, data: Dataset) -> tuple[float, Listing]:
    """Print what the lists of all users take, and return the seconds and the lists."""
    recommend(model, data, np.arange(1000), k=K)
    started = time.perf_counter()
    lists = recommend(model, data, np.arange(data.n_users), k=K)
    seconds = time.perf_counter() - started
    print(
        f"{model.name:12} {seconds:6.1f} s, {data.n_users / seconds:9,.0f} users/s, {peak() / 1e9:.2f} GB at the peak",
        flush=True,
    )
    return seconds, lists


def index_rates(n_items: int) -> None:
    """Print recall and rate of indices of the items that `ials` learns."""
    import faiss

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    events = shop(150_000, n_items, 6 * n_items, kinds=200)
    pairs = events["user_id"].to_numpy(), events["item_id"].to_numpy()
    rows = Interactions.from_pairs(*pairs, rating=np.ones(len(events)), n_users=150_000, n_items=n_items)
    model = IALS(IALSConfig(embedding_dim=DIM)).fit(rows, run=RunConfig(device="cpu", epochs=4))
    # in any order: the shop numbers its items by popularity
    items = np.random.default_rng(0).permutation(model.network.items.detach().numpy())
    queries = model.network.users.detach().numpy()[:QUERIES]
    exact = faiss.IndexFlatIP(DIM)
    exact.add(items)
    clusters = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, 1024, faiss.METRIC_INNER_PRODUCT)
    clusters.cp.max_points_per_centroid = 64
    began = time.process_time()
    clusters.train(items)
    clusters.add(items)
    clustered = time.process_time() - began
    graph = item_index(items)
    built = time.process_time() - began - clustered
    lengths = np.percentile(np.linalg.norm(items, axis=1), [10, 50, 90, 99, 100])
    print(f"{n_items:,} items x {DIM}, lengths at 10, 50, 90, 99, 100 %: {lengths.round(3).tolist()}")
    print(f"graph built in {built:.0f} s CPU, {faiss.serialize_index(graph).nbytes / 1e6:.0f} MB", end="; ")
    print(f"clusters in {clustered:.0f} s CPU; exact {4 * items.size / 1e6:.0f} MB")
    truth = exact.search(queries, LISTED)[1]

    def show(name: str, index: Any) -> None:
        began = time.process_time()
        found = np.vstack([index.search(query[None], LISTED)[1] for query in queries])
        rate = QUERIES / (time.process_time() - began)
        recall = [np.isin(wanted, listed).mean() for wanted, listed in zip(truth, found, strict=True)]
        print(f"  {name:18} recall@{LISTED} {np.mean(recall):.4f}, {rate:9,.0f} queries/s, one at a time", flush=True)

    show("exact", exact)
    for breadth in (100, 200, 400, 800):
        faiss.downcast_index(graph.index).hnsw.efSearch = breadth
        show(f"graph, {breadth}", graph)
    for probed in (64, 256):
        clusters.nprobe = probed
        show(f"clusters, {probed}", clusters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rival", type=Path, help="a Python that has implicit")
    parser.add_argument("--index", action="store_true", help="measure the faiss index of a million items")
    options = parser.parse_args()
    if options.index:
        return index_rates(1_000_000)
    data = generated(options.users, options.items)
    print(f"{data!r}, {torch.get_num_threads()} threads")
    measure(Popularity().fit(data.ratings.at_least(4.0)), data)
    model = random_ials(data)
    seconds, lists = measure(model, data)
    if options.rival is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        path, rows = Path(folder) / "case.npz", data.ratings
        np.savez(
            path,
            users=model.network.users.numpy(),
            items=model.network.items.numpy(),
            user=rows.user_idx,
            item=rows.item_idx,
            k=K,
            threads=torch.get_num_threads(),
        )
        script = Path(__file__).with_name("library_speed.py")
        printed = subprocess.run([options.rival, script, "topk", path], check=True, stdout=subprocess.PIPE).stdout
    theirs = json.loads(printed)
    ours, theirs_too = lists.ranking.items[:1000].numpy(), np.array(theirs["lists"])
    pairs = zip(ours[~lists.fallback[:1000]], theirs_too[~lists.fallback[:1000]], strict=True)
    shared = np.mean([np.isin(a, b).mean() for a, b in pairs])
    print(
        f"implicit     {theirs['seconds']:6.1f} s, {theirs['peak'] / 1e9:.2f} GB at the peak: "
        f"{theirs['seconds'] / seconds:.2f} times as long as ials; {shared:.2%} of the items listed are the same"
    )


if __name__ == "__main__":
    main()
