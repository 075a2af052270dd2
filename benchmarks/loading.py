"""Time and peak memory of loading a data set, each in a separate process.

python benchmarks/loading.py [--rows 32000000] [--mirror-name ml-1m-ordered] [--parquet]

Measured: a zip of the mirror (RECENGINE_MIRROR) and a generated folder in the tabular layout with as many users
per row and as many films as MovieLens 32M. The target is under 3 s and 500 MB, and under 60 s and 6 GB. With
`--parquet` also two Parquet files of as many rows with text ids, of which one has a column of text that is not needed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

N_ITEMS = 87_585
ROWS_PER_USER = 160

LOAD = """
import json, resource, sys, time
from recengine.data.sources import load_dataset
start = time.perf_counter()
data = load_dataset(sys.argv[1])
seconds = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps({"data": repr(data), "seconds": seconds, "peak_mb": peak / 1e6}))
"""


def generate(folder: Path, n_rows: int, chunk: int = 2_000_000) -> None:
    """Write ratings.csv and movies.csv: every user rates different films, half stars, no repeated pair."""
    rng = np.random.default_rng(0)
    films = np.arange(1, N_ITEMS + 1)
    titles = [f"Film number {i}, The ({1950 + i % 75})" for i in films]
    pd.DataFrame({"movieId": films, "title": titles, "genres": "Comedy|Drama"}).to_csv(
        folder / "movies.csv", index=False
    )
    with (folder / "ratings.csv").open("w", newline="") as out:
        for start in range(0, n_rows, chunk):
            row = np.arange(start, min(start + chunk, n_rows))
            user, position = np.divmod(row, ROWS_PER_USER)
            pd.DataFrame(
                {
                    "userId": user + 1,
                    "movieId": (user * 7919 + position * 541) % N_ITEMS + 1,  # 541 and N_ITEMS have no common factor
                    "rating": rng.integers(1, 11, len(row)) / 2,
                    "timestamp": 789_652_009 + rng.integers(0, 900_000_000, len(row)),
                }
            ).to_csv(out, index=False, header=start == 0)


def generate_parquet(path: Path, n_rows: int, *, with_text: bool, chunk: int = 100_000) -> None:
    """Write the same rows with text ids, and with a text of 100 characters in each if wanted."""
    rng, writer = np.random.default_rng(0), None
    for start in range(0, n_rows, chunk):
        row = np.arange(start, min(start + chunk, n_rows))
        user, position = np.divmod(row, ROWS_PER_USER)
        columns = {
            "user_id": np.char.add("user ", user.astype(str)),
            "item_id": np.char.add("item ", ((user * 7919 + position * 541) % N_ITEMS).astype(str)),
            "rating": rng.integers(1, 11, len(row)) / 2,
            "timestamp": 789_652_009 + rng.integers(0, 900_000_000, len(row)),
        }
        if with_text:
            columns["review"] = np.char.add(row.astype(str), " is a row that somebody has written much about." * 2)
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measure(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOAD, name], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        return
    result = json.loads(done.stdout)
    print(f"{result['data']}\n  {result['seconds']:.2f} s, {result['peak_mb']:,.0f} MB at its peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32_000_000, help="rows of the generated file; 0 leaves it out")
    parser.add_argument("--mirror-name", default="ml-1m-ordered", help="a registered name or the stem of a zip")
    parser.add_argument("--parquet", action="store_true", help="read Parquet files of as many rows, too")
    options = parser.parse_args()
    measure(options.mirror_name)
    if options.rows:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), options.rows)
            print(f"generated ratings.csv: {(Path(folder) / 'ratings.csv').stat().st_size / 1e6:,.0f} MB")
            measure(folder)
    for with_text in (False, True) if options.parquet else ():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / ("ratings and reviews.parquet" if with_text else "ratings.parquet")
            generate_parquet(path, options.rows, with_text=with_text)
            print(f"generated {path.name}: {path.stat().st_size / 1e6:,.0f} MB")
            measure(str(path))


if __name__ == "__main__":
    main()
