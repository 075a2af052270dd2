"""The speed of training, compared with what most users would write or install, in one run.

python -m benchmarks.training [mf] [rivals] [negatives] [ials] [gru] [--datasets ml-100k ml-1m-ordered]
                              [--implicit PYTHON] [--lightfm PYTHON]

mf        : against a plain loop: TensorDataset, DataLoader without workers, one uniform negative for each positive of a
            batch, BPR, Adam. First the time to the best validation NDCG@10 that the loop reaches with the best of three
            step sizes, and `mf` with its preset and with twice that; then an epoch with as many negatives as it takes.
rivals    : the seconds of CPU that `mf` takes to the best validation NDCG@10 of implicit's BPR and of LightFM's WARP,
            each the best of a grid of settings, the mean of three seeds where the rows are few; `--implicit` and
            `--lightfm` name a Python that has the library
negatives : `mf` with exact, approximate and popularity-weighted negatives: time of an epoch, NDCG@10 and hit rate
ials      : an iteration against `implicit`'s (pip install implicit), both with three conjugate-gradient steps
gru       : an epoch of the softmax over all films, on every rating of films with at least five

Both sides have 64 factors and the same training rows (positives from 4 stars, the last two of each user held out);
validation ranks all films and is not timed. `mf` and the loop run on one thread. Where CUDA is available,
`mf` and `gru` are timed there too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from recengine.data.interactions import Interactions
from recengine.data.sources import load_dataset
from recengine.data.splits import Split, make_split
from recengine.models.registry import model_class
from recengine.training.config import RunConfig
from recengine.training.loop import ranking_validator

DIM, BATCH, STEP_SIZES, PATIENCE, MOST = 64, 1024, (0.001, 0.003, 0.01), 3, 40


class Plain(nn.Module):
    """Two embeddings and a dot product."""

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(n_users, DIM), nn.Embedding(n_items, DIM)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.users(user)[:, None] * self.items(item)).sum(-1)

    def score(self, user: Tensor) -> Tensor:
        return self.users(user) @ self.items.weight.T


def plain_epochs(rows: Interactions, step_size: float, negatives: int = 1) -> Iterator[tuple[Plain, float]]:
    """Yield the network and the seconds of training so far after each epoch of the plain loop."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # as `mf` does: threads wait for each other on a busy machine
    pairs = TensorDataset(torch.tensor(rows.user_idx).long(), torch.tensor(rows.item_idx).long())
    loader = DataLoader(pairs, batch_size=BATCH, shuffle=True)
    network = Plain(rows.n_users, rows.n_items)
    optimizer = torch.optim.Adam(network.parameters(), lr=step_size)
    seconds = 0.0
    while True:
        started = time.perf_counter()
        for user, item in loader:
            negative = torch.randint(rows.n_items, (len(user), negatives))
            gap = network(user, item[:, None]) - network(user, negative)
            loss = -functional.logsigmoid(gap).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds += time.perf_counter() - started
        yield network, seconds


def plain_best(split: Split) -> tuple[float, float, float]:
    """Return (validation NDCG@10, seconds, step size) of the best epoch of the best step size."""
    best = (0.0, 0.0, 0.0)
    for step_size in STEP_SIZES:
        top, since = (0.0, 0.0, 0.0), 0
        for epoch, (network, seconds) in enumerate(plain_epochs(split.train, step_size), start=1):
            with torch.inference_mode():
                reached = ranking_validator(network.score, split.train, split.valid)()["valid_ndcg@10"]
            top, since = ((reached, seconds, step_size), 0) if reached > top[0] else (top, since + 1)
            if since == PATIENCE or epoch == MOST:
                break
        best = max(best, top)
    return best


def fitted_seconds(rows: Interactions, epochs: int, device: str = "cpu", **settings: object) -> float:
    """Return the seconds that `mf` takes for that many epochs without validation."""
    kind = model_class("mf")
    model = kind(kind.Config.from_dict({"embedding_dim": DIM, **settings}))
    return _timed(lambda: model.fit(rows, run=RunConfig(device=device, epochs=epochs)))


def epoch_seconds(rows: Interactions, device: str = "cpu", **settings: object) -> float:
    """Return the seconds of an epoch, without the fixed cost of a training."""
    short, long = (min(fitted_seconds(rows, n, device, **settings) for _ in range(3)) for n in (1, 6))
    return (long - short) / 5


def mf(name: str, split: Split) -> None:
    rows = split.train
    target, loop_seconds, step_size = plain_best(split)
    kind = model_class("mf")
    print(f"{name}: the loop's best validation NDCG@10 is {target:.4f}, after {loop_seconds:.1f} s (step {step_size})")
    for step_size in (kind.Config().learning_rate, 2 * kind.Config().learning_rate):
        model = kind(kind.Config(embedding_dim=DIM, learning_rate=step_size))
        model.fit(rows, valid=split.valid, run=RunConfig(device="cpu"))
        reached = [result.metrics["valid_ndcg@10"] for result in model.training_log]
        best = max(reached)
        epochs = next((epoch for epoch, value in enumerate(reached) if value >= target), None)
        if epochs is None:
            print(f"  mf (step {step_size}) does not reach it: its best is {best:.4f}")
            continue
        ours = min(fitted_seconds(rows, epochs, learning_rate=step_size) for _ in range(3))
        text = f"{ours:.2f} s, {epochs} epochs: {loop_seconds / ours:.1f} times faster; its best is {best:.4f}"
        print(f"  mf (step {step_size}) is there after {text}", flush=True)
    negatives = kind.Config().negatives
    once = next(iter(plain_epochs(rows, step_size)))[1]
    loop = next(iter(plain_epochs(rows, step_size, negatives)))[1]
    ours = epoch_seconds(rows)
    text = f"loop {loop:.2f} s, mf {ours:.3f} s, {loop / ours:.1f} times faster"
    print(f"  an epoch with {negatives} negatives each: {text} (the loop with one negative: {once:.2f} s)", flush=True)
    if torch.cuda.is_available():
        print(f"  on CUDA an epoch of mf takes {epoch_seconds(rows, 'cuda'):.3f} s", flush=True)


def rivals(name: str, split: Split, pythons: dict[str, str | None]) -> None:
    rows, kind = split.train, model_class("mf")
    runs = []
    for seed in range(3):
        model = kind().fit(rows, valid=split.valid, run=RunConfig(device="cpu", seed=seed))
        runs.append([result.metrics["valid_ndcg@10"] for result in model.training_log])
    fitted_seconds(rows, 1)
    with tempfile.TemporaryDirectory() as folder:
        path, shape = Path(folder) / "case.npz", (rows.n_users, rows.n_items)
        held_out = {"valid_user": split.valid.user_idx, "valid_item": split.valid.item_idx}
        np.savez(path, user=rows.user_idx, item=rows.item_idx, shape=shape, **held_out)
        for title, part, python in (("implicit", "bpr", "implicit"), ("LightFM", "warp", "lightfm")):
            if pythons[python] is None:
                print(f"{name}: {title} is left out; name a Python that has it by --{python}")
                continue
            run = [pythons[python], Path(__file__).with_name("library_speed.py"), part, path]
            theirs = json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout)
            reached = f"{theirs['ndcg']:.4f} after {theirs['seconds']:.3f} s of CPU, {theirs['settings']}"
            print(f"{name}: {title}'s best validation NDCG@10 is {reached}")
            for seed, reached_by_us in enumerate(runs):
                epochs = next((epoch for epoch, value in enumerate(reached_by_us) if value >= theirs["ndcg"]), None)
                if epochs is None:
                    print(f"  mf (seed {seed}) does not reach it: its best is {max(reached_by_us):.4f}")
                    continue
                started = time.process_time()
                kind().fit(rows, run=RunConfig(device="cpu", seed=seed, epochs=epochs))
                ours = time.process_time() - started
                text = f"{ours:.3f} s, {epochs} epochs, {theirs['seconds'] / ours:.2f} times faster"
                print(f"  mf (seed {seed}) is there after {text}; its best is {max(reached_by_us):.4f}", flush=True)


def negatives(name: str, split: Split) -> None:
    print(f"{name}: negatives of mf           epoch    NDCG@10   HR@10 (validation, mean of 3 seeds)")
    kind = model_class("mf")
    for sampling in ("exact", "approximate", "popularity"):
        config = kind.Config.from_dict({"embedding_dim": DIM, "sampling": sampling})
        best = []
        for seed in range(3):
            run = RunConfig(device="cpu", seed=seed)
            model = kind(config).fit(split.train, valid=split.valid, run=run)
            best.append(max(model.training_log, key=lambda result: result.metrics["valid_ndcg@10"]))
        ndcg, hits = (sum(result.metrics[f"valid_{m}@10"] for result in best) / len(best) for m in ("ndcg", "hr"))
        seconds = epoch_seconds(split.train, sampling=sampling)
        print(f"  {sampling:<24} {seconds:8.3f} s   {ndcg:.4f}    {hits:.4f}", flush=True)


def ials(name: str, split: Split) -> None:
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError:
        print("ials: implicit is not installed; pip install implicit")
        return
    from scipy.sparse import csr_matrix

    rows = split.train
    table = csr_matrix((rows.rating * 0 + 1, (rows.user_idx, rows.item_idx)), shape=(rows.n_users, rows.n_items))
    kind, threads = model_class("ials"), torch.get_num_threads()

    def theirs(iterations: int) -> float:
        model = AlternatingLeastSquares(
            factors=DIM, iterations=iterations, num_threads=threads, use_cg=True, calculate_training_loss=True
        )
        return _timed(lambda: model.fit(table, show_progress=False))

    def ours(epochs: int) -> float:
        model = kind(kind.Config(embedding_dim=DIM))
        return _timed(lambda: model.fit(rows, run=RunConfig(device="cpu", epochs=epochs)))

    theirs(1), ours(1)
    rival, seconds = (min((f(11) - f(1)) / 10 for _ in range(3)) for f in (theirs, ours))
    text = f"implicit {1e3 * rival:.1f} ms, ials {1e3 * seconds:.1f} ms, {seconds / rival:.2f} times as long"
    print(f"{name}: an iteration with its loss, {threads} threads: {text}", flush=True)


def gru(name: str, split: Split) -> None:
    everything = make_split(load_dataset(name).reduced(min_item=5, positive=0), "leave-last", positive=0)
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        kind = model_class("gru")
        model = kind(kind.Config.from_dict({"horizon": "next"}))
        seconds = _timed(lambda: model.fit(everything.train, run=RunConfig(device=device, epochs=1)))  # noqa: B023
        print(
            f"{name}: an epoch of gru over {len(everything.train):,} ratings on {device}: {seconds:.1f} s", flush=True
        )


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def main() -> None:
    parts: dict[str, Callable[[str, Split], None]] = {
        "mf": mf,
        "rivals": lambda name, split: rivals(name, split, {"implicit": options.implicit, "lightfm": options.lightfm}),
        "negatives": negatives,
        "ials": ials,
        "gru": gru,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--datasets", nargs="+", default=["ml-100k", "ml-1m-ordered"])
    parser.add_argument("--implicit", metavar="PYTHON", help="a Python that has implicit, such as this one")
    parser.add_argument("--lightfm", metavar="PYTHON", help="a Python that has lightfm (pip install lightfm-next)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"{', '.join(unknown)} is unknown; expected one of: {', '.join(parts)}")
    for name in options.datasets:
        split = make_split(load_dataset(name), "leave-last", positive=4.0)
        for part in options.parts or parts:
            parts[part](name, split)


if __name__ == "__main__":
    main()
