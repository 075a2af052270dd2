"""The nouns of a data set: films with stars and viewers, or whatever else a shop's file holds. Decided here alone."""

from __future__ import annotations

from dataclasses import dataclass

from recengine.data.dataset import Dataset


@dataclass(frozen=True)
class Words:
    """What the pages call what the data holds.

    item, viewer : nouns, singular; items, viewers : plural
    has_stars    : whether ratings are stars, up to five
    is_implicit  : whether rows are events, such as clicks, and not ratings
    """

    item: str
    items: str
    viewer: str
    viewers: str
    has_stars: bool
    is_implicit: bool

    @property
    def an_item(self) -> str:
        return f"an {self.item}" if self.item[0] in "aeiou" else f"a {self.item}"

    @property
    def ratings(self) -> str:
        return "events" if self.is_implicit else "ratings"

    @property
    def rated(self) -> str:
        return "chose" if self.is_implicit else "rated"

    @property
    def loved(self) -> str:
        return "chose" if self.is_implicit else "loved"

    @property
    def liked(self) -> str:
        return "chose" if self.is_implicit else "liked"

    def amount(self, rating: float) -> str:
        """Return a rating with its unit."""
        return f"{rating:g} ★" if self.has_stars else f"{rating:g}"

    def at_least(self, rating: float) -> str:
        """Return which ratings reach one."""
        if self.is_implicit and rating <= 0:
            return "every event"
        return f"{self.amount(rating)} or more"


def words_of(dataset: Dataset) -> Words:
    """Return the nouns of a data set: films where any item has a year or a genre."""
    items = dataset.items
    films = bool(items["year"].notna().any() or (items["genres"] != "").any())
    nouns = ("film", "films", "viewer", "viewers") if films else ("item", "items", "user", "users")
    implicit = dataset.feedback == "implicit"
    return Words(*nouns, has_stars=not implicit and dataset.rating_range[1] <= 5, is_implicit=implicit)
