"""The chart of the page Map: a component that draws the points, and one that sends what changes often."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.posters.tmdb import service
from pages.ui import cards
from pages.ui.escape import plain
from pages.ui.words import words_of
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.serving.islands import Island
from recengine.serving.item_map import ItemMap

_HERE = Path(__file__).parent
_EDGES = (0.5, 99.5)
"""Percentiles of the positions that are in sight at first: a few lie far out."""
_LONGEST = 30
"""Characters of the name of an island that are written on the map."""
_points = st.components.v2.component(
    "recengine_map",
    html='<div class="map"></div>\n<!-- filled by map_chart.js -->',
    css=(_HERE / "map_chart.css").read_text(encoding="utf-8"),
    js=(_HERE / "map_chart.js").read_text(encoding="utf-8"),
)
_overlay = st.components.v2.component(
    "recengine_map_overlay",
    js="export default function ({ data }) {\n"
    "  const bridge = (globalThis.recengineMap ??= {});\n"
    "  bridge.overlay = data;\n"
    "  bridge.show?.(data);\n"
    "}\n",
)


@dataclass(frozen=True)
class Colouring:
    """How the points are coloured.

    name    : what the colours stand for
    labels  : of each colour; colours : [light, dark] of each, as hexadecimal digits
    codes   : (n_items,) uint8, the colour of each item
    """

    name: str
    labels: Sequence[str]
    colours: Sequence[tuple[str, str]]
    codes: NDArray[np.uint8]


@dataclass(frozen=True)
class Overlay:
    """What is drawn over the points, and how these are coloured; positions are those of the map.

    version : of the points that this belongs to
    rings   : (item id, whether it is liked) of what the visitor rated
    trail   : where the visitor was after each of their last likes; the last is where they are
    focus   : the id of the film that is looked for
    values  : what the card of a film says in addition, by id
    label   : what the map is called for those who do not see it
    """

    version: str
    rings: Sequence[tuple[str, bool]]
    trail: Sequence[Sequence[float]]
    focus: str | None
    values: Mapping[str, str]
    label: str


def order(dataset: Dataset, here: ItemMap) -> NDArray[np.int64]:
    """Return the items of a map as the chart has them, the best known first."""
    known = here.known
    return known[np.argsort(-dataset.ratings.item_counts[known], kind="stable")]


def packed(dataset: Dataset, here: ItemMap, islands: Sequence[Island], version: str) -> bytes:
    """Return what the chart reads once: the length of a JSON text, the text, and all x and all y as float32."""
    items = order(dataset, here)
    films = [dataset.films[item] for item in items]
    low, high = np.percentile(here.positions[items], _EDGES, axis=0)
    head = {
        "version": version,
        "ids": [film[0] for film in films],
        "titles": [plain(film[1]) for film in films],
        "years": [film[2] or 0 for film in films],
        "genres": [plain(film[3]) for film in films],
        "posters": words_of(dataset).is_film,
        "bounds": [*low.tolist(), *high.tolist()],
        "islands": [{"name": _short(island.name), "x": island.centre[0], "y": island.centre[1]} for island in islands],
    }
    if service(settings.tmdb_key(), settings.home()) is not None:
        head["numbers"] = [cards.number_of(dataset, int(item), "tmdb_id") for item in items]
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return struct.pack("<I", len(text)) + text + here.positions[items].T.astype("<f4").tobytes()


def _short(name: str) -> str:
    name = plain(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"


def draw(points: bytes, key: str) -> str | None:
    """Draw the points, and return the id of a film that was clicked just now."""
    opened = _points(key=key, data=points, on_opened_change=lambda: None).opened
    return opened if isinstance(opened, str) else None


def draw_over(dataset: Dataset, here: ItemMap, overlay: Overlay, colouring: Colouring, key: str) -> None:
    """Draw what lies over the points, and colour them."""
    codes = base64.b64encode(colouring.codes[order(dataset, here)].tobytes()).decode()
    colours = {"colouring": colouring.name, "legend": list(colouring.labels), "colours": list(colouring.colours)}
    _overlay(key=key, data={**asdict(overlay), **colours, "codes": codes})
