"""All pairs of ours with a named rival, in turn on the same data with one thread each.

python -m benchmarks [--quick] [--rows NAME ...] [--rival PYTHON] [--store]

A row takes turns, ours and the rival's, and shows how many times as long the rival takes: the ratio of the medians, and
the least and the greatest ratio of a turn. Seconds are those of the processor, so that other work on the machine counts
less. Beside it stand the quality that each reaches, since speed counts at equal quality alone, and the memory that each
adds. `--rival` names a Python that has the rivals, by default this one; which packages are missing is shown. `--quick`
uses the sample and few turns, and warns where a ratio is less than half the stored one; it never fails for that:
machines differ. `--store` keeps the ratios of this run in benchmarks/ratios.json. What needs a browser or a server has
its own command: see the other files of this folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.rivals import Spent, measured
from benchmarks.rows import ROWS, Case, Pair
from recengine.export import write_json

STORED = Path(__file__).with_name("ratios.json")
ONE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")}
Turn = Callable[[], tuple[Spent, Case]]


class MissingError(Exception):
    """The rival's Python lacks a package."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long the rival takes; the seconds, the quality and the added megabytes of both."""

    ratio: float
    least: float
    greatest: float
    seconds: tuple[float, float]
    quality: tuple[float, float]
    megabytes: tuple[float, float]


@contextmanager
def rival_of(pair: Pair, python: Path) -> Iterator[Turn]:
    """Yield what takes the rival's turn. Raises MissingError."""
    if not isinstance(pair.rival, str):
        work = pair.rival
        yield lambda: measured(work)
        return
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case.npz"
        np.savez(case, **pair.case)
        command = [str(python), str(Path(__file__).with_name("rivals.py")), pair.rival, str(case)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ONE
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        process = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]

        def turn() -> tuple[Spent, Case]:
            process.stdin.write("\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline() or '{"missing": "it ended with an error"}')
            if "missing" in answer:
                raise MissingError(answer["missing"])
            with np.load(case.with_suffix(".out.npz")) as arrays:
                return Spent(**answer), dict(arrays)

        try:
            yield turn
        except BrokenPipeError:
            raise MissingError(process.stdout.read()) from None
        finally:
            process.kill()
            process.wait()


def measure(pair: Pair, python: Path, turns: int) -> Ratio:
    """Take turns; the first, in which kernels are compiled and caches filled, does not count. Raises MissingError."""
    spent: list[tuple[Spent, Spent]] = []
    with rival_of(pair, python) as rival:
        for _ in range(turns + 1):
            rivals, theirs = rival()
            own, ours = measured(pair.ours)
            spent.append((own, rivals))
        quality = pair.judge(ours), pair.judge(theirs)
    added = [max(side) / 1e6 for side in zip(*((own.added, rivals.added) for own, rivals in spent), strict=True)]
    times = [(own.seconds, pair.share * rivals.seconds) for own, rivals in spent[1:]]
    own, other = (statistics.median(side) for side in zip(*times, strict=True))
    ratios = [theirs / ours for ours, theirs in times]
    return Ratio(other / own, min(ratios), max(ratios), (own, other), quality, (added[0], added[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rival", type=Path, default=Path(sys.executable), help="a Python that has the rivals")
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kind = "quick" if options.quick else "full"
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {}
    before = stored.get(kind, {})
    print("| ours | rival | the rival takes, times as long | seconds | quality | added MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    slower = []
    for name in options.rows:
        row = ROWS[name]
        try:
            ratio = measure(row.make(options.quick), options.rival, 2 if options.quick else 3)
        except MissingError as error:
            print(f"| {name} | {row.rival} | not measured: pip install {row.packages} ({error}) | | | |", flush=True)
            continue
        stored.setdefault(kind, {})[name] = asdict(ratio)
        if name in before and ratio.ratio < before[name]["ratio"] / 2:
            slower.append(
                f"warning: {name} is {ratio.ratio:.2f} times as fast as the rival, and was {before[name]['ratio']:.2f}"
            )
        cells = [
            ", ".join(f"{value:.4g}" for value in both) for both in (ratio.seconds, ratio.quality, ratio.megabytes)
        ]
        cells[1] = f"{row.quality}: {cells[1]}"
        spread = f"{ratio.ratio:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})"
        print(f"| {name} | {row.rival} | {spread} | {' | '.join(cells)} |", flush=True)
    print("\n".join(slower))
    if options.store:
        write_json(STORED, stored)


if __name__ == "__main__":
    main()
