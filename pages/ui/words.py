"""The nouns of a data set: films, stars and viewers, or whatever else a shop's file holds. Decided here alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from recengine.data.dataset import Dataset

_NOUN = re.compile(r"\b(a )?(film|viewer)(s?)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """What the pages call what the data holds.

    is_film     : whether items are films, and users viewers
    has_stars   : whether ratings are stars, up to five
    is_implicit : whether rows are events, such as clicks, and not ratings
    """

    is_film: bool
    has_stars: bool
    is_implicit: bool

    def say(self, text: str) -> str:
        """Return a text of ours, before any data is put into it, with the nouns of this data for film and viewer."""
        return text if self.is_film else _NOUN.sub(_in_general, text)

    @property
    def item(self) -> str:
        return self.say("film")

    @property
    def an_item(self) -> str:
        return self.say("a film")

    @property
    def items(self) -> str:
        return self.say("films")

    @property
    def viewer(self) -> str:
        return self.say("viewer")

    @property
    def viewers(self) -> str:
        return self.say("viewers")

    @property
    def ratings(self) -> str:
        return "events" if self.is_implicit else "ratings"

    @property
    def rated(self) -> str:
        return "chose" if self.is_implicit else "rated"

    @property
    def loved(self) -> str:
        return "chose" if self.is_implicit else "loved"

    def amount(self, rating: float, digits: str = "g") -> str:
        """Return a rating with its unit."""
        return f"{rating:{digits}}{' ★' if self.has_stars else ''}"

    def at_least(self, rating: float) -> str:
        """Return which ratings reach one."""
        return "every event" if self.is_implicit and rating <= 0 else f"{self.amount(rating)} or more"


def _in_general(match: re.Match[str]) -> str:
    noun = {"film": "item", "viewer": "user"}[match[2].lower()] + match[3]
    article = "" if not match[1] else "an " if noun[0] == "i" else "a "
    text = article + noun
    return text[0].upper() + text[1:] if match[0][0].isupper() else text


_WORDS: WeakKeyDictionary[Dataset, Words] = WeakKeyDictionary()


def words_of(dataset: Dataset) -> Words:
    """Return the nouns of a data set: its items are films where any has a year or a genre."""
    if dataset not in _WORDS:
        films = bool(dataset.items["year"].notna().any() or (dataset.items["genres"] != "").any())
        implicit = dataset.feedback == "implicit"
        _WORDS[dataset] = Words(films, not implicit and dataset.rating_range[1] <= 5, implicit)
    return _WORDS[dataset]
