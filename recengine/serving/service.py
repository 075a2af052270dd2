"""Answers of a model folder in raw ids, as a service gives them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.experiments.model_folder import ModelFolder, open_folder
from recengine.serving.http_schema import Batch, NewUser
from recengine.serving.item_filter import matching_items
from recengine.serving.recommend import Listing, recommend, recommend_new, similar

log = logging.getLogger("recengine.http")


class Service:
    """The model that answers.

    opened    : the model folder, or what stands for one, as it was last loaded
    loaded_at : when that was, in seconds since 1970
    stale     : why a newer folder could not be loaded; empty if there is none
    """

    def __init__(self, opened: ModelFolder) -> None:
        self.folder = opened.folder
        self._stamp = self._look()
        self._take(opened)

    def _take(self, opened: ModelFolder) -> None:
        opened.dataset.films, opened.dataset.liked_counts(opened.positive)  # what the first request would wait for
        self.opened, self.loaded_at, self.stale = opened, time.time(), ""

    def _look(self) -> tuple[int, int]:
        """Return what tells one version of the folder from the next."""
        with suppress(OSError):
            status = (self.folder / "manifest.json").stat()
            return status.st_ino, status.st_mtime_ns
        return 0, 0

    def refresh(self) -> bool:
        """Load the folder if it has changed, and tell whether another model answers now."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._take(open_folder(self.folder))
        except BadInput as error:
            self.stale = error.sentence()
            log.warning("the folder has changed and cannot be loaded: %s", self.stale)
            return False
        log.info("serving %s, loaded anew", self.folder)
        return True

    def lists(self, asked: Batch) -> dict[str, Any]:
        """Return the answer to a batch. Raises BadInput."""
        data, opened = self.opened.dataset, self.opened
        if not asked.users and not asked.new_users:
            raise BadInput("users", expected="at least one of `users` and `new_users`", problem="is empty")
        among = matching_items(data, asked.allow, asked.deny, asked.where)
        k = min(asked.k, data.n_items)
        shared: dict[str, Any] = {
            "k": k,
            "positive": opened.positive,
            "include_seen": asked.include_seen,
            "among": among,
            "policy": opened.policy,
        }
        lists: list[dict[str, Any]] = []
        if asked.users:
            users = data.user_index(asked.users)
            lists += self._listed(recommend(opened.model, data, users, **shared), data.user_ids[users].tolist())
        if asked.new_users:
            histories, seen = self._histories(asked.new_users)
            listing = recommend_new(opened.model, data, histories, seen=seen, **shared)
            lists += self._listed(listing, [None] * len(asked.new_users))
        return {"model": opened.model.name, "lists": lists}

    def similar(self, item_id: str, k: int) -> dict[str, Any]:
        """Return the items most similar to one. Raises BadInput."""
        data = self.opened.dataset
        index = int(data.item_index([item_id])[0])
        listing = similar(self.opened.model, data, index, k=min(k, data.n_items - 1), positive=self.opened.positive)
        return {"model": self.opened.model.name, "lists": self._listed(listing, [None])}

    def _listed(self, listing: Listing, users: Sequence[Any]) -> list[dict[str, Any]]:
        data = self.opened.dataset
        ids, films = data.item_ids, data.films
        ranking = listing.ranking
        rows = zip(users, ranking.items.tolist(), ranking.scores.tolist(), listing.fallback.tolist(), strict=True)
        return [
            {
                "user_id": user,
                "fallback": fallback,
                "items": [
                    {"item_id": ids[item] if isinstance(ids[item], str) else int(ids[item]), "title": films[item][1]}
                    | {"score": score}
                    for item, score in zip(items, scores, strict=True)
                    if item >= 0
                ],
            }
            for user, items, scores, fallback in rows
        ]

    def _histories(self, users: Sequence[NewUser]) -> tuple[Interactions, Interactions | None]:
        """Return the ratings of new users as rows without times, and what they saw without rating it."""
        data, positive = self.opened.dataset, self.opened.positive
        low, high = data.rating_range
        like, dislike = data.in_scale(5.0, positive), low
        rows: list[tuple[int, str | int, float]] = []
        for user, each in enumerate(users):
            for item, rating in each.ratings.items():
                if data.feedback == "explicit" and not low <= rating <= high:
                    problem = f"is out of range for the item {item!r}"
                    raise BadInput("ratings", rating, f"{low:g} to {high:g}, the scale of the data", problem=problem)
            rows += [(user, item, rating) for item, rating in each.ratings.items()]
            rows += [(user, item, like) for item in each.likes]
            rows += [(user, item, dislike) for item in each.dislikes]
        seen = [(user, item, low) for user, each in enumerate(users) for item in each.seen]
        return self._rows(rows, len(users)), self._rows(seen, len(users)) if seen else None

    def _rows(self, rows: Sequence[tuple[int, str | int, float]], n_users: int) -> Interactions:
        data = self.opened.dataset
        users, items, ratings = zip(*rows, strict=True) if rows else ((), (), ())
        index: NDArray[np.int64] = data.item_index(items) if rows else np.zeros(0, np.int64)
        return Interactions.from_pairs(
            users, index, rating=ratings, timestamp=[0] * len(rows), n_users=n_users, n_items=data.n_items
        )
