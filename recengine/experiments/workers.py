"""The cells of an experiment measured, in this process or in several; one that fails takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NoReturn

import torch

from recengine.experiments.cells import Cell, CellStore
from recengine.experiments.compare import Observer, refusal

OnCell = Callable[[Cell, float, str], None]
"""Called with a cell that is done, its seconds, and why it failed, or ""."""
GRACE = 2.0
"""Seconds that a process has to end by itself before it is killed."""


def measure_all(cells: Sequence[Cell], store: CellStore, on_cell: OnCell, observer: Observer, workers: int = 1) -> None:
    """Measure cells and keep each in the store as soon as it is there.

    With one worker that happens in this process, and `observer` follows the trainings; else each of several processes
    computes with its share of the cores. A process that dies fails its cell alone, and another takes its turn.
    """
    if min(workers, len(cells)) > 1:
        _in_processes(cells, store, on_cell, workers)
        return
    for cell in cells:
        on_cell(cell, *_measure(cell, store, observer))


def _measure(cell: Cell, store: CellStore, observer: Observer) -> tuple[float, str]:
    """Measure a cell; return the seconds, and why it failed, or ""."""
    started, failure = time.perf_counter(), ""
    try:
        store.put(cell.key, *cell.measure(observer))
    except Exception as error:
        failure = refusal(error)
    return time.perf_counter() - started, failure


def _in_processes(cells: Sequence[Cell], store: CellStore, on_cell: OnCell, workers: int) -> None:
    waiting, busy = deque(cells), dict[Connection, tuple[BaseProcess, Cell]]()
    try:
        for _ in range(min(workers, len(cells))):
            _start(busy, waiting.popleft(), store, workers)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                process, cell = busy[ready]
                try:
                    on_cell(cell, *ready.recv())
                except (EOFError, OSError):
                    process.join()
                    del busy[ready]
                    on_cell(cell, 0.0, f"failed: its process ended with status {process.exitcode}")
                    if waiting:
                        _start(busy, waiting.popleft(), store, workers)
                    continue
                if waiting:
                    busy[ready] = (process, waiting.popleft())
                    _ask(ready, busy[ready][1])
                else:
                    ready.close()  # its process ends
                    del busy[ready]
    finally:
        for process, _ in busy.values():
            process.terminate()
        for process, _ in busy.values():
            process.join(GRACE)
            process.kill()


def _start(busy: dict[Connection, tuple[BaseProcess, Cell]], cell: Cell, store: CellStore, workers: int) -> None:
    """Start a process, with its share of the cores, and give it a cell."""
    threads = max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // workers))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, store, threads), daemon=True)
    limits = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    try:  # read when numpy is imported, so before `_work` can say it
        os.environ.update(dict.fromkeys(limits, str(threads)))
        process.start()
    finally:
        for name, value in limits.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    theirs.close()
    busy[ours] = (process, cell)
    _ask(ours, cell)


def _ask(connection: Connection, cell: Cell) -> None:
    with suppress(OSError):  # of a process that has died, which is noticed when its answer is read
        connection.send(cell)


def _work(connection: Connection, store: CellStore, threads: int) -> None:
    """Measure one cell after another, until there is none or the process that asks for them is gone."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; who started us ends us
    signal.signal(signal.SIGTERM, interrupt)  # so that what is half made is removed
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            connection.send(_measure(connection.recv(), store, Observer()))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
