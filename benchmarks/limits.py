"""What grows with users, items, ratings and factors, and how near it is to what the machine can do.

python -m benchmarks.limits [--draw]

An iteration of `ials`, an epoch of `mf`, the solution of `ease` and everybody's ten best, on generated events, one size
at a time multiplied. Beside the seconds stand those that the least work takes at the machine's limits, which the same
run measures: the bytes that a copy moves, and the operations of a product of matrices, whichever takes longer. One
thread, and seconds of the processor. `--draw` writes docs/limits.webp (needs plotly and Chromium).
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmarks.rows import K
from benchmarks.server import chromium
from benchmarks.shop import shop
from recengine.data.interactions import Interactions
from recengine.models.item_item.linear import gram_matrix, ridge_weights
from recengine.models.registry import model_class
from recengine.training.config import RunConfig

NEGATIVES, CG_STEPS, FLOAT = 64, 3, 4
FILE = Path(__file__).parent.parent / "docs" / "limits.webp"


class Size(NamedTuple):
    """Users, items, ratings and factors of one case."""

    users: int = 5_000
    items: int = 2_000
    ratings: int = 200_000
    factors: int = 32


class Least(NamedTuple):
    """Arithmetic operations that some work takes at least, and bytes that it moves."""

    operations: float
    bytes: float


def least(work: str, size: Size) -> Least:
    """Return the least work: each vector is read once for a rating, and updated where it changes."""
    users, items, ratings, d = size
    if (
        work == "ials"
    ):  # for either side a Gram matrix; for each step two products with a history and one with the matrix
        rows, steps = users + items, CG_STEPS + 1
        return Least(2 * rows * d * d * (1 + steps) + 8 * ratings * d * steps, 2 * FLOAT * ratings * d)
    if work == "mf":  # score and two gradients of each pair; examples of a group share their negatives
        vectors = ratings * (2 + NEGATIVES / model_class("mf").Config().shared_by)
        return Least(6 * ratings * (1 + NEGATIVES) * d, 4 * FLOAT * vectors * d)
    if work == "ease":  # Cholesky's factor and the inverse of it
        return Least(items**3, 3 * FLOAT * items**2)
    return Least(2 * users * items * d, 2 * FLOAT * users * items)


def generated(size: Size) -> Interactions:
    events = shop(size.users, size.items, size.ratings)
    pairs = events["user_id"].to_numpy(), events["item_id"].to_numpy()
    return Interactions.from_pairs(*pairs, rating=np.ones(len(events)), n_users=size.users, n_items=size.items)


def epoch(name: str, rows: Interactions, **settings: object) -> float:
    """Return the least time of an epoch after the first."""
    kind, ends = model_class(name), []
    model = kind(kind.Config.from_dict(settings))
    run = RunConfig(device="cpu", epochs=3)
    model.fit(rows, run=run, on_epoch=lambda result: result.stages or ends.append(time.process_time()))  # no parts
    return float(np.diff(ends).min())


def best_of(times: int, work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def seconds(work: str, size: Size) -> float:
    rows = generated(size)
    if work == "ease":
        return best_of(2, lambda: ridge_weights(gram_matrix(rows, torch.device("cpu")), 100.0))
    if work == "top 10":
        model = model_class("ials")(model_class("ials").Config.from_dict({"embedding_dim": size.factors}))
        model.fit(rows, run=RunConfig(device="cpu", epochs=1))
        batches = np.array_split(np.arange(size.users), -(-size.users // 1000))
        return best_of(2, lambda: [model.top_k(users, k=K, seen=rows) for users in batches])
    return epoch(work, rows, embedding_dim=size.factors, **({"negatives": NEGATIVES} if work == "mf" else {}))


def limits() -> tuple[float, float]:
    """Return the operations of a product of matrices, and the bytes that a copy moves, both a second."""
    a, b, large = torch.randn(1500, 1500), torch.randn(1500, 1500), torch.randn(2**26)
    target = torch.empty_like(large)
    product, copy = (best_of(7, work) for work in (lambda: a @ b, lambda: target.copy_(large)))
    return 2 * 1500**3 / product, 2 * FLOAT * len(large) / copy


def cases() -> Iterator[tuple[str, str, Size]]:
    """Yield work, what is multiplied, and the size."""
    for work, grows in {"ials": Size._fields, "mf": Size._fields, "ease": ("items",), "top 10": Size._fields}.items():
        for axis in grows:
            for factor in (0.5, 1, 2, 4):
                yield work, axis, Size()._replace(**{axis: int(getattr(Size(), axis) * factor)})


def table(frame: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of a table, one for each kind of work and size that grows."""
    yield "| work | of | seconds | at the limits | share of the limit |"
    yield "| --- | --- | --- | --- | --- |"
    for (work, axis), some in frame.groupby(["work", "axis"], sort=False):
        sizes = ", ".join(f"{size:,}" for size in some["size"])
        taken, floor = (", ".join(f"{value:.2g}" for value in some[name]) for name in ("seconds", "limit"))
        shares = ", ".join(f"{share:.0%}" for share in some["limit"] / some["seconds"])
        yield f"| {work} | {sizes} {axis} | {taken} | {floor} | {shares} |"


def draw(frame: pd.DataFrame) -> None:
    """Write the chart: a panel for each size that grows, whole lines for what is measured, dotted ones for limits."""
    import plotly.express as px
    from PIL import Image
    from playwright.sync_api import sync_playwright

    long = frame.melt(["work", "axis", "size"], ["seconds", "limit"], var_name="which", value_name="s").replace(
        {"which": {"seconds": "measured"}}
    )
    figure = px.line(
        long, x="size", y="s", color="work", line_dash="which", line_dash_sequence=["solid", "dot"],
        facet_col="axis", log_x=True, log_y=True, markers=True, template="simple_white", width=1000, height=340,
    )  # fmt: skip
    figure.update_xaxes(matches=None, title=None, tickformat="~s")
    for column, (_, some) in enumerate(frame.groupby("axis", sort=False), start=1):
        figure.update_xaxes(tickvals=sorted(some["size"].unique()), col=column)
    figure.update_layout(margin={"l": 60, "r": 0, "t": 25, "b": 30}, yaxis_title="seconds", legend_title=None)
    figure.for_each_annotation(lambda note: note.update(text=note.text.split("=")[1]))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1016, "height": 356}, device_scale_factor=1.5)
        page.set_content(figure.to_html(include_plotlyjs=True))
        page.wait_for_selector(".main-svg")
        shot = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(shot)).save(FILE, "WEBP", quality=70, method=6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    operations, moved = limits()
    print(f"limits: {operations / 1e9:.0f} Gflop/s in a product, {moved / 1e9:.1f} GB/s in a copy\n")
    rows: list[Mapping[str, object]] = []
    for work, axis, size in cases():
        few = least(work, size)
        limit = max(few.operations / operations, few.bytes / moved)
        value = {"axis": axis, "size": getattr(size, axis), "seconds": seconds(work, size), "limit": limit}
        rows.append({"work": work, **value})
    frame = pd.DataFrame(rows)
    print("\n".join(table(frame)))
    if options.draw:
        draw(frame)


if __name__ == "__main__":
    main()
