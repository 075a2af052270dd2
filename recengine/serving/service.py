"""Answers of a model folder in raw ids, as a service gives them: JSON, of which an item's part is made once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from recengine.data.dataset import LIKED_STARS, Dataset
from recengine.data.histories import check_ratings, rows_of_new
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
        data = opened.dataset
        data.liked_counts(opened.positive), data.ratings.by_user  # what the first request would wait for
        ids = (id if isinstance(id, str) else int(id) for id in data.item_ids)
        titles = (film[1] for film in data.films)
        items = [
            f'{{"item_id":{_json(id)},"title":{_json(title)},"score":' for id, title in zip(ids, titles, strict=True)
        ]
        self._serving, self.loaded_at, self.stale = Serving(opened, items), time.time(), ""

    @property
    def opened(self) -> ModelFolder:
        return self._serving.opened

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

    def lists(self, asked: Batch) -> str:
        """Return the answer to a batch, as JSON. Raises BadInput."""
        opened, items = self._serving
        data = opened.dataset
        if not asked.users and not asked.new_users:
            raise BadInput("users", expected="at least one of `users` and `new_users`", problem="is empty")
        shared: dict[str, Any] = {
            "k": min(asked.k, data.n_items),
            "positive": opened.positive,
            "include_seen": asked.include_seen,
            "among": matching_items(data, asked.allow, asked.deny, asked.where),
            "policy": opened.policy,
        }
        lists: list[str] = []
        if asked.users:
            users = data.user_index(asked.users)
            lists += _listed(recommend(opened.model, data, users, **shared), data.user_ids[users].tolist(), items)
        if asked.new_users:
            rows, seen = new_users(asked.new_users, data, opened.positive)
            listing = recommend_new(opened.model, data, rows, seen=seen, **shared)
            lists += _listed(listing, [None] * len(asked.new_users), items)
        return _answer(opened, lists)

    def similar(self, item_id: str, k: int) -> str:
        """Return the items most similar to one, as JSON. Raises BadInput."""
        opened, items = self._serving
        data = opened.dataset
        index = int(data.item_index([item_id])[0])
        listing = similar(opened.model, data, index, k=min(k, data.n_items - 1), positive=opened.positive)
        return _answer(opened, _listed(listing, [None], items))


class Serving(NamedTuple):
    """A model folder, and the JSON of each of its items up to the score."""

    opened: ModelFolder
    items: list[str]


def _answer(opened: ModelFolder, lists: Sequence[str]) -> str:
    return f'{{"model":{_json(opened.model.name)},"lists":[{",".join(lists)}]}}'


def _listed(listing: Listing, users: Sequence[Any], items: Sequence[str]) -> list[str]:
    """Return each user's list as JSON."""
    ranking = listing.ranking
    rows = zip(users, ranking.items.tolist(), ranking.scores.tolist(), listing.fallback.tolist(), strict=True)
    texts = []
    for user, listed, scores, fallback in rows:
        parts = ",".join(f"{items[item]}{score}}}" for item, score in zip(listed, scores, strict=True) if item >= 0)
        texts.append(f'{{"user_id":{_json(user)},"fallback":{_json(fallback)},"items":[{parts}]}}')
    return texts


def new_users(users: Sequence[NewUser], data: Dataset, positive: float) -> tuple[Interactions, Interactions | None]:
    """Return the ratings of new users as rows without times, and what they saw without rating it. Raises BadInput."""
    low = data.rating_range[0]
    like = data.in_scale(LIKED_STARS, positive)
    rows: list[tuple[int, str | int, float]] = []
    for user, each in enumerate(users):
        check_ratings(each.ratings, data, "ratings")
        rows += [(user, item, rating) for item, rating in each.ratings.items()]
        rows += [(user, item, like) for item in each.likes]
        rows += [(user, item, low) for item in each.dislikes]
    seen = [(user, item, low) for user, each in enumerate(users) for item in each.seen]
    return rows_of_new(rows, data, len(users)), rows_of_new(seen, data, len(users)) if seen else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
