"""What requests and answers over HTTP look like."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MOST_ITEMS, MOST_USERS, MOST_RATINGS = 1000, 1000, 10_000
"""Items of a list, users of a request, and ratings of a new user, at most."""

Id = Annotated[str | int, Field(description="a raw id, as the data have it; numbers may be given as text")]
Length = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="length of the list")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(_Body):
    """Somebody who is not in the data, known by ratings, or by likes and dislikes alone."""

    ratings: dict[str, float] = Field(
        default={}, max_length=MOST_RATINGS, description="item id -> rating, in the data's scale"
    )
    likes: list[Id] = Field(default=[], max_length=MOST_RATINGS)
    dislikes: list[Id] = Field(default=[], max_length=MOST_RATINGS)
    seen: list[Id] = Field(default=[], max_length=MOST_RATINGS, description="left out of the list, and no evidence")


class Filters(_Body):
    """Which items may be listed."""

    allow: list[Id] | None = Field(default=None, description="these alone")
    deny: list[Id] = Field(default=[], description="these never")
    where: dict[str, list[str | float]] = Field(
        default={},
        description="column of the items -> values, one of which an item has, or [low, high] for a column of numbers",
        examples=[{"genres": ["Comedy", "Drama"], "year": [1990, 1999]}],
    )


class Neighbours(BaseModel):
    """How many similar items are listed."""

    k: Length = 10


class Wanted(Neighbours):
    """What a known user's list is to be like."""

    include_seen: bool = False


class Batch(Filters):
    """A list for each of some users, known or new."""

    users: list[Id] = Field(default=[], max_length=MOST_USERS, description="users of the data")
    new_users: list[NewUser] = Field(default=[], max_length=MOST_USERS)
    k: Length = 10
    include_seen: bool = False


class Item(BaseModel):
    """One item of a list."""

    item_id: Id
    title: str
    score: float


class List(BaseModel):
    """What a user is recommended, best first; `fallback` says that these are the most popular items instead."""

    user_id: Id | None
    fallback: bool
    items: list[Item]


class Lists(BaseModel):
    """A list for each user in the order of the request, known users first."""

    model: str
    lists: list[List]


class Problem(BaseModel):
    """What was wrong with a request, and what to do."""

    field: str
    value: Any
    expected: str
    remedy: str
    message: str


class Refusal(BaseModel):
    """The form of every error."""

    error: Problem


class Health(BaseModel):
    """What answers."""

    status: str
    model: str
    dataset: str
    fingerprint: str
    users: int
    items: int
    loaded_at: float = Field(description="seconds since 1970")
    stale: str = Field(description="why a newer folder could not be loaded; empty if there is none")
