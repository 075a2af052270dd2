"""What each process of the tests runs: several trainings one after another, whose logs and scores rank 0 prints."""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from recengine.data.dataset import Dataset
from recengine.experiments.parallel.train import train_in_parallel
from recengine.experiments.parallel.world import joined
from recengine.experiments.train import TrainingRequest
from recengine.testing import small_dataset
from recengine.training.config import RunConfig
from recengine.training.progress import EpochResult

CASES = {
    "mf": ("mf", {"epochs": 3, "batch_size": 64, "shared_by": 4, "dropout": 0.1, "clip": 0.05}, False),
    "mf with items dealt out": (
        "mf",
        {"epochs": 3, "batch_size": 64, "shared_by": 4, "dropout": 0.1, "clip": 0.05},
        True,
    ),
    "mf, plateau": ("mf", {"epochs": 4, "batch_size": 128, "shared_by": 4, "schedule": "plateau"}, False),
    "gru": ("gru", {"epochs": 3, "batch_size": 8, "horizon": "next", "schedule": "cosine"}, False),
    "gru, later": ("gru", {"epochs": 2, "batch_size": 8, "horizon": "later"}, False),
    "ials": ("ials", {"epochs": 3, "embedding_dim": 8}, False),
}
SHARDS = 4


def request(dataset: Dataset, name: str) -> TrainingRequest:
    model, settings, _ = CASES[name]
    return TrainingRequest(dataset, model, settings, RunConfig(device="cpu", patience=50), 4.0)


def main(folder: Path, names: list[str], *, resume: bool, dies: int | None) -> None:
    """Train each case, and print what came out; the process of rank 1 kills itself after epoch `dies`."""
    data = small_dataset()

    def on_epoch(result: EpochResult) -> None:
        if result.epoch == dies:
            os.kill(os.getpid(), signal.SIGKILL)

    with joined(SHARDS, torch.device("cpu")) as world:
        for name in names:
            model, _ = train_in_parallel(
                request(data, name),
                world,
                folder / name,
                resume=resume,
                split_items=CASES[name][2],
                on_epoch=on_epoch if dies is not None else None,
            )
            if world.rank == 0:
                log = [[each.loss, *each.metrics.values()] for each in model.training_log]
                scores = model.score(list(range(model.n_users))).double().tolist()
                print(json.dumps({"case": name, "log": log, "scores": scores}), flush=True)


if __name__ == "__main__":
    folder, names, *rest = sys.argv[1:]
    main(
        Path(folder),
        names.split(";"),
        resume="resume" in rest,
        dies=int(rest[-1]) if "dies" in rest else None,
    )
