"""The histories of new users, as raw ids with ratings, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from recengine.data.dataset import LIKED_STARS, Dataset
from recengine.data.histories import check_ratings, rows_of_new
from recengine.data.interactions import Interactions
from recengine.errors import BadInput

History: TypeAlias = Mapping[Any, float] | Collection[Any]
"""What a new user is known by: raw item ids with ratings, or ids alone, which count as liked."""
_EXPECTED = 'a list with one history for each user, such as [{"50": 5, "181": 1}]'


def history_rows(histories: Sequence[History], data: Dataset, positive: float) -> Interactions:
    """Return the histories of new users as rows without times, each user by the position in the list.

    Raises BadInput for an unknown item, a rating out of the scale of the data, and for what is no history.
    """
    if isinstance(histories, str | Mapping) or not isinstance(histories, Sequence):
        raise BadInput("histories", type(histories).__name__, _EXPECTED, problem="is no list of histories")
    liked = data.in_scale(LIKED_STARS, positive)
    rated: list[tuple[int, Any, float]] = []
    for user, history in enumerate(histories):
        if isinstance(history, str) or not isinstance(history, Collection):
            raise BadInput("histories", str(history), _EXPECTED, problem="is an id where a history is asked for")
        ratings = history if isinstance(history, Mapping) else dict.fromkeys(history, liked)
        check_ratings(ratings, data, "rating")
        rated += [(user, item, float(rating)) for item, rating in ratings.items()]
    return rows_of_new(rated, data, len(histories))
