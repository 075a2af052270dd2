"""What a link shows: a visitor's list and ratings as they were when it was made, and nothing that tells whose.

    shared = Shared("sample", "Taste", films=[...], rated=[...], n_rated=23)
    token = log.share("ann", shared.to_bytes())
    Shared.from_bytes(log.shared(token).content)

It holds titles, not ids, so that it opens without the data set, which may be an upload that only its owner can open.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

MOST_RATED = 1000
"""Ratings that a link shows, the highest first."""


class SharedFilm(NamedTuple):
    """A film of the list, with why in three parts, of which the second names films; or a rating."""

    title: str
    year: int | None = None
    genres: str = ""
    because: Sequence[str] = ()
    stars: float = 0.0


@dataclass(frozen=True)
class Shared:
    """What one link shows.

    dataset, model : what the list was made from, as the app calls them
    films          : the list, best first
    rated          : the ratings, highest first, at most `MOST_RATED` of `n_rated`
    is_film        : whether items are films, which have posters
    """

    dataset: str
    model: str
    films: Sequence[SharedFilm]
    rated: Sequence[SharedFilm]
    n_rated: int
    is_film: bool = True

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same content."""
        return zlib.compress(json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")).encode(), 9)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        row = json.loads(zlib.decompress(content))
        for part in ("films", "rated"):
            row[part] = [SharedFilm(*film) for film in row[part]]
        return cls(**row)
