"""Taking home: one HTML file that makes a visitor's list without a server, from what `taste` has learned.

    text = take_home(model, dataset, {12: 4.5, 80: 1.0})    # item index -> stars
    Path("films.html").write_text(text, encoding="utf-8")

The file holds the model's weights, thinned and in one byte each, and a script that scores with them as `Taste` does.
It asks for nothing: its policy forbids every request, and all text in it is data that the script sets as text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.models.item_item.nearness import LEAST_STRENGTH, POWER
from recengine.models.item_item.taste import FOCUS, SERIES_STEP, Taste
from recengine.serving.event_log import STARS
from recengine.serving.explain import SECOND
from recengine.serving.recommend import PASSED_WEIGHT

MOST_BYTES = 5_000_000
"""Size of the file, which a mail still takes."""
MOST_WEIGHTS = 2_000_000
"""Weights between items that are kept at first; fewer where the file would be too large."""
WHOLE_ROWS = 100
"""Rated items, the latest, whose weights are all kept."""
MOST_NUMBERS = 1_300_000
"""Numbers that describe the traits of all items, shared out among these."""
LONGEST = 300
"""Characters of a title or of genres that are shown."""
_PARTS = Path(__file__).parent / "take_home_page"


class _Links(NamedTuple):
    """Rows of weights, one after the other: how many each has, the gaps between their columns, and the values."""

    sizes: NDArray[np.uint16]
    gaps: NDArray[np.uint16]
    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def take_home(
    model: Recommender,
    dataset: Dataset,
    stars: Mapping[int, float],
    *,
    passed: Sequence[int] = (),
    seen: Sequence[int] = (),
    positive: float = 4.0,
    font: bytes = b"",
) -> str:
    """Return the page, smaller than `MOST_BYTES`.

    stars        : item index -> stars from 0.5 to 5, in the order given
    passed, seen : items that are not listed, as `recommend_new` takes them
    positive     : the rating from which an item counts as liked
    font         : a WOFF2 for the headings

    Raises BadInput for a model other than `taste`, and for a catalogue whose titles alone are too many.
    """
    if not isinstance(model, Taste):
        raise BadInput("model", model.name, f"{Taste.name!r}", problem="cannot be taken home")
    weights = MOST_WEIGHTS
    while isinstance(model.weights, Tensor) and weights >= len(model.linked) > 0:
        mine: dict[str, Sequence[object]] = {"stars": list(stars.items()), "passed": list(passed), "seen": list(seen)}
        links = _thinned(model, torch.tensor(list(stars)[-WHOLE_ROWS:], dtype=torch.int64), weights)
        text = _page(_packed(model, dataset, positive, mine, links), font)
        if len(text.encode()) < MOST_BYTES:
            return text
        weights //= 2
    problem = f"has {dataset.n_items:,} items, which do not fit into {MOST_BYTES // 1_000_000} MB"
    raise BadInput("dataset", dataset.name, remedy="choose a smaller one", problem=problem)


def _packed(
    model: Taste, dataset: Dataset, positive: float, mine: Mapping[str, Sequence[object]], links: _Links
) -> bytes:
    """Return everything that the script reads, compressed: a line of JSON, then the arrays that it names."""
    config, traits = model.config, model.traits
    content, content_scales = _in_bytes(_shortened(traits.content))
    genres, genre_scales = _in_bytes(traits.genres)
    abroad, abroad_scales = _in_bytes(traits.abroad)
    arrays: dict[str, NDArray[np.generic]] = {
        "scales": links.scales,
        "standing": sum(model.standing().values(), torch.zeros(model.n_items)).numpy(),
        "counts": model.counts.numpy(),
        "likedBy": dataset.liked_counts(positive).astype(np.float32),
        "linked": model.linked.numpy().astype(np.int32),
        "series": traits.series.numpy().astype(np.int32),
        "contentScales": content_scales,
        "genresScales": genre_scales,
        "abroadScales": abroad_scales,
        "sizes": links.sizes,
        "gaps": links.gaps,
        "values": links.values,
        "content": content,
        "genres": genres,
        "abroad": abroad,
        "fresh": (model.past.item_counts == 0).astype(np.uint8),
    }
    ratings = [dataset.in_scale(value, positive) for value in STARS]
    low, worst = float(model.limits[1]), dataset.rating_range[0]
    head = {
        "films": [(title[:LONGEST], year, names[:LONGEST]) for _, title, year, names in dataset.films],
        "mine": mine,
        "likes": [rating >= float(model.limits[0]) for rating in ratings],
        "dislikes": [rating < float(model.limits[0]) and rating <= low for rating in ratings],
        "liked": [rating >= positive for rating in ratings],
        "passes": worst < positive,
        "passIsDislike": worst <= low,
        "passedWeight": PASSED_WEIGHT,
        "damping": config.damping,
        "dislike": config.dislike_weight,
        "shared": config.shared_dislike,
        "tables": {
            "genres": (config.genre_weight, FOCUS),
            "abroad": (config.abroad_weight, FOCUS),
            "content": (config.content_weight, -1.0),
        },
        "second": SECOND,
        "least": LEAST_STRENGTH,
        "power": POWER,
        "seriesCap": config.series_cap,
        "seriesStep": SERIES_STEP,
        "arrays": [(name, array.dtype.name, array.size) for name, array in arrays.items()],
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    text += b" " * (-len(text) % 4)  # four-byte numbers begin at a multiple of four
    return gzip.compress(text + b"".join(array.tobytes() for array in arrays.values()), 6, mtime=0)


def _thinned(model: Taste, whole: Tensor, budget: int) -> _Links:
    """Return the largest weights of each row, as many as the budget allows, and all of those of some items."""
    n = len(model.linked)
    complete = torch.isin(model.linked, whole)
    rest = min(n, max(1, (budget - int(complete.sum()) * n) // n))
    sizes, gaps, values, scales = [], [], [], []
    assert isinstance(model.weights, Tensor)  # of a larger catalogue nothing is taken home
    for row, weights in enumerate(model.weights):
        size = n if complete[row] else rest
        columns = weights.topk(size, sorted=False).indices.sort().values if size < n else torch.arange(n)
        most = weights.abs().max().clamp(min=1e-12)
        # The square root spends the bytes on the small weights, of which there are many.
        value = weights[columns].sign() * (127 * (weights[columns].abs() / most).sqrt()).round()
        sizes.append(size)
        gaps.append(np.diff(columns.numpy(), prepend=0).astype(np.uint16))
        values.append(value.to(torch.int8).numpy())
        scales.append(float(most))
    return _Links(
        np.array(sizes, np.uint16), np.concatenate(gaps), np.concatenate(values), np.array(scales, np.float32)
    )


def _shortened(vectors: Tensor) -> Tensor:
    """Return vectors, fewer numbers each, whose products are as near as can be to those of the given ones."""
    _, directions = torch.linalg.eigh((vectors.T @ vectors).double())
    return vectors @ directions[:, -max(1, MOST_NUMBERS // len(vectors)) :].float()


def _in_bytes(table: Tensor) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a table (n, d) in whole numbers to 127, by columns, and what one is worth in each column (d,)."""
    scales = table.abs().amax(0).clamp(min=1e-12) / 127
    return (table / scales).round().to(torch.int8).numpy(), scales.numpy()


def _page(packed: bytes, font: bytes) -> str:
    """Return the page; its policy admits this script and this style alone, and no request."""
    script, style = ((_PARTS / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    if font:
        source = f"url(data:font/woff2;base64,{base64.b64encode(font).decode()})"
        style = f'@font-face {{ font-family: "Headings"; font-weight: 700; src: {source}; }}\n{style}'
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        (_PARTS / "page.html")
        .read_text(encoding="utf-8")
        .replace("POLICY", policy, 1)
        .replace("STYLE", style, 1)
        .replace("DATA", base64.b64encode(packed).decode(), 1)
        .replace("SCRIPT", script, 1)
    )
