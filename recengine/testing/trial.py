"""What a model is tried on: a small data set, and the model trained on it."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import leave_last
from recengine.models.base import Recommender
from recengine.training.config import Config, RunConfig, Settings
from recengine.training.progress import OnEpoch

EPOCHS = 2
"""Epochs that a model with epochs is trained for, unless the settings name a number."""


def small_dataset() -> Dataset:
    """Return 60 users and 40 items in four genres; each user likes one genre. Seeded, half-star ratings."""
    rng = np.random.default_rng(7)
    users, items = np.repeat(np.arange(60), 20), np.concatenate([rng.permutation(40)[:20] for _ in range(60)])
    liked = items % 4 == users % 4
    rating = np.where(liked, rng.choice([4.0, 4.5, 5.0], len(users)), rng.choice([1.0, 2.5, 3.5, 4.0], len(users)))
    stamps = np.arange(len(users)) + 10**9
    ratings = pd.DataFrame({"user_id": users + 1, "item_id": items + 101, "rating": rating, "timestamp": stamps})
    genres = ["Action|Sci-Fi", "Comedy", "Drama|Romance", "Horror"]
    item_table = pd.DataFrame(
        {
            "item_id": np.arange(40) + 101,
            "title": [f"Film {i}" for i in range(40)],
            "year": 1980 + np.arange(40),
            "genres": [genres[i % 4] for i in range(40)],
        }
    )
    user_table = pd.DataFrame(
        {
            "user_id": np.arange(60) + 1,
            "age": 18 + np.arange(60) % 50,
            "gender": np.where(np.arange(60) % 4 < 2, "F", "M"),
            "occupation": np.array(["engineer", "teacher", "artist", "law"])[np.arange(60) % 4],
        }
    )
    return build_dataset("tiny", ratings, item_table, user_table)


class Trial:
    """A kind of model, the data that it is tried on, and how it is trained there.

    The last row of each user is held out for validation. `rows` are both parts, in the order in which the final model
    learns them; `users` are the three users that are asked about.
    """

    def __init__(
        self,
        kind: type[Recommender],
        dataset: Dataset,
        *,
        among: ArrayLike | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Take the data of the users `among` (all by default), and settings of the model and of the run."""
        chosen = np.arange(dataset.ratings.n_users) if among is None else np.asarray(among, np.int64)
        rows = dataset.ratings.of_users(chosen)
        self.kind, self.settings = kind, settings or {}
        if kind(self.configure({})[0]).learns_from != "ratings":
            rows = rows.at_least(dataset.like_threshold)
        split = leave_last(rows, test=False)
        self.train, self.valid, self.rows = split.train, split.valid, split.fit
        self.rating_range = dataset.rating_range
        self.items, self.user_table = dataset.items, dataset.user_table.iloc[chosen].reset_index(drop=True)
        self.users = np.array([rows.n_users - 1, 0, rows.n_users // 2])

    def configure(self, settings: Settings) -> tuple[Config, RunConfig]:
        """Return the model's config and the run's, from the settings of the trial and then these."""
        settings = {"device": "cpu", **self.settings, **settings}
        names = {field.name for field in dataclasses.fields(self.kind.Config)}
        run = {name: value for name, value in settings.items() if name not in names}
        if self.kind.preset_epochs is not None:
            run.setdefault("epochs", EPOCHS)
        config = {name: value for name, value in settings.items() if name in names}
        return self.kind.Config.from_dict(config), RunConfig.from_dict(run)

    def fit(
        self,
        rows: Interactions | None = None,
        *,
        valid: Interactions | None = None,
        on_epoch: OnEpoch | None = None,
        **settings: Any,
    ) -> Recommender:
        """Return a model trained anew, on all rows by default."""
        config, run = self.configure(settings)
        rows = self.rows if rows is None else rows
        return self.kind(config).fit(
            rows, valid=valid, items=self.items, users=self.user_table, run=run, on_epoch=on_epoch
        )

    @cached_property
    def model(self) -> Recommender:
        """Return the model, trained when first asked for; what it reports of its epochs must be that."""
        return self.fit(on_epoch=lambda _: None)
