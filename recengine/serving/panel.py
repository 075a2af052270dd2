"""The taste panel: lists for tastes that are written down, scored by what each welcomes and what it recoils from.

A file of tastes is a JSON object, name -> `liked`, `disliked`, `nod`, `wince` (titles) and `nod_rules`, `wince_rules`
(`genres_any`, `not_genres`, `year` from and to, `titles` that begin so). A file of contrasts is a JSON array of
`name`, `liked`, `disliked` and `gone`: titles that a dislike should keep from a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.matching import Matcher
from recengine.data.titles import normalise, split_title
from recengine.errors import BadInput
from recengine.models.base import Recommender
from recengine.serving.recommend import recommend_new

FILES = tuple(Path(__file__).parent / "tastes" / name for name in ("tastes.json", "contrasts.json"))
"""The tastes and contrasts of the package, written for ml-latest-small."""
SAMPLE_FILES = (FILES[0].with_name("sample.json"),)
"""Those written for `sample`."""
AMONG_FIRST = 20
"""Length of the list in which what a contrast wants gone is counted."""


class TasteResult(NamedTuple):
    """What one taste makes of its list.

    nods, winces : items of the list that it welcomes, and that it recoils from
    kept_when_reversed, kept_without_dislikes : share of the list that stays
    stars        : mean rating of the items listed, over all users; items : their indices
    """

    name: str
    nods: int
    winces: int
    kept_when_reversed: float
    kept_without_dislikes: float
    stars: float
    items: list[int]


class ContrastResult(NamedTuple):
    """How many of the items that should be gone stand in the list, with the dislikes and without."""

    name: str
    left: int
    without_dislikes: int


@dataclass(frozen=True)
class PanelReport:
    """The results of a panel on the first `k`, and the titles that the data set does not have."""

    k: int
    tastes: Sequence[TasteResult]
    contrasts: Sequence[ContrastResult]
    missing: Sequence[str]

    def means(self) -> dict[str, float | None]:
        """Return the figures of the panel over all tastes; None where there is nothing to count."""
        fields = {"nods": f"nods@{self.k}", "winces": f"winces@{self.k}"}
        names = ("nods", "winces", "kept_when_reversed", "kept_without_dislikes", "stars")
        means: dict[str, float | None] = {
            fields.get(name, name): float(np.mean([getattr(taste, name) for taste in self.tastes]))
            if self.tastes
            else None
            for name in names
        }
        without = sum(contrast.without_dislikes for contrast in self.contrasts)
        left = sum(contrast.left for contrast in self.contrasts)
        return means | {"disliked_kind_left": left / without if without else None}


class Films:
    """A data set's items, by the titles and rules of tastes."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.missing: list[str] = []
        items = dataset.items
        self._match = Matcher(dataset)
        self._titles = [normalise(title) for title in items["title"].astype(str)]
        self._genres = [set(str(genres).split("|")) for genres in items["genres"]]
        self._years = items["year"].to_numpy(np.float64, na_value=np.nan)

    def find(self, titles: Sequence[str]) -> list[int]:
        """Return the items of these titles, as catalogues write them; what the data do not have is noted as missing."""
        matches = []
        for raw in titles:
            title, year, others = split_title(raw)
            items = self._match.titled([title, *filter(None, others.split("|"))], year)
            matches += items[:1]
            self.missing += [] if items else [raw]
        return matches

    def fits(self, rule: Mapping[str, Any], item: int) -> bool:
        """Return whether an item is of the kind that a rule describes: all that it states must hold."""
        genres, (first, last) = self._genres[item], rule.get("year", (-np.inf, np.inf))
        starts = [normalise(title) for title in rule.get("titles", ())]
        return (
            ("genres_any" not in rule or bool(genres & set(rule["genres_any"])))
            and not genres & set(rule.get("not_genres", ()))
            and ("year" not in rule or first <= self._years[item] <= last)
            and (not starts or any(self._titles[item].startswith(start) for start in starts))
        )


def read_tastes(paths: Sequence[Path]) -> tuple[dict[str, Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the tastes and the contrasts of some files. Raises BadInput for a file that holds neither."""
    tastes: dict[str, Mapping[str, Any]] = {}
    contrasts: list[Mapping[str, Any]] = []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput("tastes", str(path), "a JSON file of tastes", problem=f"cannot be read ({error})") from None
        rows = list(content.values()) if isinstance(content, dict) else content
        needed = {"liked", "disliked"} | ({"gone", "name"} if isinstance(content, list) else set())
        if not isinstance(rows, list) or not all(isinstance(row, dict) and needed <= row.keys() for row in rows):
            expected = "an object of tastes or an array of contrasts, each with the titles `liked` and `disliked`"
            raise BadInput("tastes", str(path), expected, problem="holds no tastes")
        if isinstance(content, dict):
            tastes |= content
        else:
            contrasts += content
    return tastes, contrasts


def panel(
    model: Recommender,
    dataset: Dataset,
    tastes: Mapping[str, Mapping[str, Any]],
    contrasts: Sequence[Mapping[str, Any]] = (),
    *,
    k: int = 10,
    positive: float = 4.0,
) -> PanelReport:
    """Recommend for each taste as for a new user who gives the likes the best rating and the dislikes the worst."""
    films = Films(dataset)
    low, high = dataset.rating_range
    total = np.bincount(dataset.ratings.item_idx, dataset.ratings.rating, dataset.n_items)
    mean = total / np.maximum(dataset.ratings.item_counts, 1)

    def top(liked: Sequence[int], disliked: Sequence[int], k: int, *, reverse: bool = False) -> list[int]:
        rows = [(item, high) for item in liked] + [(item, low) for item in disliked]
        rows = rows[::-1] if reverse else rows
        items, ratings = zip(*rows, strict=True) if rows else ((), ())
        history = Interactions.from_pairs([0] * len(rows), items, rating=ratings, n_users=1, n_items=dataset.n_items)
        listed = recommend_new(model, dataset, history, k=k, positive=positive).ranking.items[0].tolist()
        return [item for item in listed if item >= 0]

    def kept(one: Sequence[int], other: Sequence[int]) -> float:
        return len(set(one) & set(other)) / k

    def judged(name: str, taste: Mapping[str, Any]) -> TasteResult:
        liked, disliked = films.find(taste["liked"]), films.find(taste["disliked"])
        items = top(liked, disliked, k)
        nod, wince = (set(films.find(taste.get(kind, ()))) for kind in ("nod", "wince"))
        nods = [i for i in items if i in nod or any(films.fits(rule, i) for rule in taste.get("nod_rules", ()))]
        winces = [i for i in items if i in wince or any(films.fits(rule, i) for rule in taste.get("wince_rules", ()))]
        return TasteResult(
            name,
            nods=len(nods),
            winces=len(set(winces) - nod),
            kept_when_reversed=kept(items, top(liked, disliked, k, reverse=True)),
            kept_without_dislikes=kept(items, top(liked, [], k)),
            stars=float(mean[items].mean()) if items else float("nan"),
            items=items,
        )

    def contrasted(contrast: Mapping[str, Any]) -> ContrastResult:
        liked, disliked, gone = (films.find(contrast[kind]) for kind in ("liked", "disliked", "gone"))
        length = min(AMONG_FIRST, dataset.n_items)
        counts = [len(set(top(liked, low, length)) & set(gone)) for low in (disliked, [])]
        return ContrastResult(str(contrast["name"]), *counts)

    judgements = [judged(name, taste) for name, taste in tastes.items()]
    return PanelReport(k, judgements, [contrasted(contrast) for contrast in contrasts], films.missing)
