"""What training by several processes costs and gains: an epoch by 1, 2, ... processes, and the memory of each.

python -m benchmarks.parallel [--processes 1 2] [--dataset ml-1m-ordered] [--epochs 2]

mf   : users where their process is, items summed in one message a step; once more with the items dealt out
gru  : all weights summed in one message a step (the next film)
ials : a message of (items, factors) for each step of conjugate gradients

The epochs are those of the training; validation and checkpoints are left out. The rival is one process on the very
same batches, so that the ratio is what the others bring. Each process has one thread. CPU seconds are those of all
processes together, which other work on the machine does not stretch: divided by the processes they are what an epoch
takes where each has a core and messages take no time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import torch

from recengine.data.sources import load_dataset
from recengine.experiments.parallel.alternating import AlternatingTraining
from recengine.experiments.parallel.gradient import GradientTraining
from recengine.experiments.parallel.learner import learner_of
from recengine.experiments.parallel.world import World, joined
from recengine.experiments.train import TrainingRequest, learning_rows
from recengine.models.base import FitContext
from recengine.models.factors.ials import IALS
from recengine.training.config import RunConfig

CASES: dict[str, tuple[str, dict[str, str], bool]] = {
    "mf": ("mf", {}, False),
    "mf, items dealt out": ("mf", {}, True),
    "gru": ("gru", {"horizon": "next"}, False),
    "ials": ("ials", {}, False),
}
SHARDS = 4


def prepare(dataset: str, case: str, world: World) -> tuple[GradientTraining | AlternatingTraining, int]:
    """Return one process's part of a training, and the rows of all."""
    model_name, settings, split_items = CASES[case]
    request = TrainingRequest(load_dataset(dataset), model_name, settings, RunConfig(device="cpu"), 4.0)
    train, _ = learning_rows(request)
    model = request.kind(request.config)
    model.n_users, model.n_items = train.n_users, train.n_items
    if isinstance(model, IALS):
        return AlternatingTraining(world, model, train, 0), len(train)
    context = FitContext(None, request.dataset.items, None, request.run, None)
    return GradientTraining(world, learner_of(model, train, context, world), split_items=split_items), len(train)


def work(dataset: str, case: str, epochs: int) -> None:
    """Be one of the processes; the first prints the seconds of an epoch, the loss and the memory."""
    torch.set_num_threads(1)
    with joined(SHARDS, torch.device("cpu")) as world:
        part, rows = prepare(dataset, case, world)
        part.epoch()  # the first epoch also warms caches up
        seconds, cpu = [], torch.zeros(epochs)
        for epoch in range(epochs):
            world.wait()
            began, busy = time.perf_counter(), time.process_time()
            loss = part.epoch()
            seconds.append(time.perf_counter() - began)
            cpu[epoch] = time.process_time() - busy
        world.add_up(cpu)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if world.rank == 0:
            print(
                json.dumps({"seconds": min(seconds), "cpu": float(cpu.min()), "loss": loss, "mb": peak, "rows": rows})
            )


def measure(processes: int, dataset: str, case: str, epochs: int) -> dict[str, float]:
    """Run one case by that many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += ["-m", "benchmarks.parallel", "--dataset", dataset, "--epochs", str(epochs), "--work", case]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(ran.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dataset", default="ml-1m-ordered")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--work", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.dataset, options.work, options.epochs)
    print("| model | processes | s an epoch | rows/s | ratio | CPU s | loss | MB of one |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in options.cases:
        alone = None
        for processes in options.processes:
            row = measure(processes, options.dataset, case, options.epochs)
            alone = alone or row["seconds"]
            print(
                f"| {case} | {processes} | {row['seconds']:.2f} | {row['rows'] / row['seconds']:,.0f} "
                f"| {alone / row['seconds']:.2f} | {row['cpu']:.2f} | {row['loss']:.6f} | {row['mb']:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
