"""Requests a second and latency of `serve`, at 10,000 items, over HTTP on this machine.

    python -m benchmarks.serve_http             # server and client wherever the system puts them
    python -m benchmarks.serve_http --cores 1   # both on one core, which they share; 2: on one each

The server has one thread of arithmetic (`OMP_NUM_THREADS=1`) and one process; the client is another process that keeps
connections open, as a service in front of it would. Each row is a kind of request: known users, new users with ten
ratings, similar items. Rates and latencies include the client's own cost; the server's time on the processor is shown
for each request, and how many of them it would make a second by itself.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

from recengine.data.sources import from_frame
from recengine.experiments.model_folder import save_folder
from recengine.experiments.train import TrainingRequest, obtain
from recengine.training.config import RunConfig

ITEMS, USERS, RATINGS = 10_000, 20_000, 1_000_000


def write_folder(folder: Path, model: str) -> None:
    """Write a model folder of generated data: items by a power law of popularity."""
    rng = np.random.default_rng(0)
    items = (ITEMS * rng.random(RATINGS) ** 2).astype(int)
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(0, USERS, RATINGS),
            "item_id": items,
            "rating": rng.integers(1, 11, RATINGS) / 2,
        }
    )
    data = from_frame(frame, name="generated")
    trained = obtain(TrainingRequest(data, model, {"epochs": "1"} if model != "popularity" else {}, RunConfig(), 4.0))
    save_folder(folder, trained, data, positive=4.0)


class Client(threading.Thread):
    """Sends one request after the other over one connection, and notes how long each took."""

    def __init__(self, port: int, requests: list[tuple[str, str, str | None]]) -> None:
        super().__init__()
        self.port, self.requests, self.seconds = port, requests, list[float]()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for method, address, body in self.requests:
            started = time.perf_counter()
            connection.request(method, address, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            content = answer.read()
            self.seconds.append(time.perf_counter() - started)
            assert answer.status == 200, content[:300]
        connection.close()


def busy(pid: int) -> float:
    """Return the seconds that a process has been on the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(server: int, port: int, name: str, requests: list[tuple[str, str, str | None]], connections: int) -> None:
    """Print one row."""
    clients = [Client(port, requests[i::connections]) for i in range(connections)]
    before, started = busy(server), time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    wall, cost = time.perf_counter() - started, (busy(server) - before) / len(requests)
    taken = sorted(second for client in clients for second in client.seconds)
    p50, p99 = statistics.median(taken), taken[int(0.99 * len(taken))]
    rate = f"{connections:3} connections {len(taken) / wall:7.0f} requests/s"
    own = f"server {cost * 1e3:5.2f} ms each, {1 / cost:5.0f}/s"
    print(f"{name:22} {rate}  p50 {p50 * 1e3:6.2f} ms  p99 {p99 * 1e3:6.2f} ms  {own}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mf")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--cores", type=int, choices=(1, 2), help="pin server and client to this many cores")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as home:
        os.environ["RECENGINE_HOME"] = home
        folder = Path(home) / "model"
        write_folder(folder, options.model)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "recengine", "serve", "--model-folder", str(folder), "--port", str(port)]
        server = subprocess.Popen([*command, "--quiet"], env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            if options.cores:
                os.sched_setaffinity(server.pid, {0})
                os.sched_setaffinity(0, {options.cores - 1})
            wait_for(port)
            known = [("GET", f"/users/{u}/recommendations", None) for u in rng.integers(0, USERS, options.requests)]
            new = [
                ("POST", "/recommendations", json.dumps({"new_users": [{"ratings": {str(i): 4.5 for i in items}}]}))
                for items in rng.integers(0, ITEMS, (options.requests, 10))
            ]
            near = [("GET", f"/items/{i}/similar", None) for i in rng.integers(0, ITEMS, options.requests)]
            for name, requests in (("known user", known), ("new user, 10 ratings", new), ("similar items", near)):
                measure(server.pid, port, name, requests[:200], 1)  # warm
                for connections in (1, 4):
                    measure(server.pid, port, name, requests, connections)
        finally:
            server.terminate()
            server.wait()


def wait_for(port: int) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + 120
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
