"""Film titles: from the catalogue's form to the spoken one, and to a form in which spellings can be compared."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence
from itertools import filterfalse, zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LONGEST_TITLE = 250
"""Letters in a title; longer texts are left as they are."""
_MOST_OTHERS = 3

_ARTICLES = "the|a|an|le|la|les|l'|un|une|der|die|das|ein|eine|el|los|las|una|il|lo|gli|i|o|os|det|den|de|het|en|et"
_LEADING = frozenset(("the", "a", "an", "le", "la", "les", "el", "los", "las", "il"))
"""Only these are dropped in front: "die", "den" or "i" begin too many English titles."""

_YEAR = re.compile(r"\((1[89]\d\d|20\d\d)(?:\s*[-–—]\s*(?:\d{4})?)?\)?\s*(?:\((?:V|TV|VG)\)\s*)?$")
_MEDIUM = re.compile(r"\((?:V|TV|VG|Video)\)$")
_ALIAS = re.compile(r"^a\.?k\.?a\.?:?\s+", re.IGNORECASE)
_FOREIGN = ("le", "la", "les", "un", "une", "el", "los", "las", "il", "lo", "gli", "der", "das", "ein", "det", "den")
"""Articles that begin no English title."""
_MOVED = re.compile(rf"^(.+),\s+({_ARTICLES})$", re.IGNORECASE)

_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "&": " and ", "⁄": " "}
)
_SILENT = re.compile(r"[.'’‘`*]")
_WORDS = re.compile(r"[^\W_]+")
_ROMAN = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx"
_NAMES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_MOST_PARTS = 20
"""Numbers at the end of a title up to this one count the parts of a series; larger ones are years and names."""
_YEARS = range(1900, 2100)
"""Numbers that may be years: "Blade Runner 2049" goes on from "Blade Runner" where that one is there, too."""
_SHORT_NUMBER = re.compile("[0-9]{1,4}")
_LONGEST_SERIES = 15
"""More titles than these that share a beginning are no series: their names are numbered."""
_COUNTERS = frozenset(("part", "episode", "chapter", "vol", "volume", "the"))
"""Words that may stand before the number of a part."""
_NUMERALS = {word: str(n) for words in (_ROMAN, _NAMES) for n, word in enumerate(words.split(), start=1)}


def split_title(raw: str) -> tuple[str, int | None, str]:
    """Return (natural title, year or None, other titles joined by `|`) of a catalogue title.

    "City of Lost Children, The (Cité des enfants perdus, La) (1995)" gives
    ("The City of Lost Children", 1995, "La Cité des enfants perdus"). Of a span of years the first counts.
    """
    title = raw.strip()
    if len(title) > LONGEST_TITLE:
        return title, None, ""
    year = None
    if dated := _YEAR.search(title):
        year, title = int(dated[1]), title[: dated.start()].rstrip()
    else:
        title = _MEDIUM.sub("", title).rstrip()
    others: list[str] = []
    while title.endswith(")") and len(others) < _MOST_OTHERS:
        rest, bracket, other = title[:-1].rpartition("(")
        rest = rest.rstrip()
        if not bracket or ")" in other or not rest or rest.endswith((":", " or", " Or", "-")):
            break  # the brackets are the title itself: "(Untitled)", "Birdman: Or (The Unexpected Virtue ...)"
        others.insert(0, _article_first(_ALIAS.sub("", other.strip())))
        title = rest
    title = _article_first(title)
    return (title, year, "|".join(filter(None, others))) if title else (raw.strip(), year, "")


def normalise(title: str) -> str:
    """Return the title for comparison: accents folded, lower case, no punctuation, no article, "&" as "and".

    "Matrix, The" and "The Matrix!" both give "matrix". A title of signs alone is kept as it is, in lower case.
    """
    title = title.strip()
    if len(title) > LONGEST_TITLE or len(plain := unicodedata.normalize("NFKD", title)) > 2 * LONGEST_TITLE:
        return title.casefold()  # a sign may stand for a sentence
    plain = _article_first(plain).casefold().translate(_LETTERS)
    plain = "".join(filterfalse(unicodedata.combining, plain)) if not plain.isascii() else plain
    words = _WORDS.findall(_SILENT.sub("", plain))
    if len(words) > 1 and words[0] in _LEADING:
        words = words[1:]
    return " ".join(words) or title.casefold()


def with_numbers(normalised: str) -> str:
    """Return a normalised title with numerals as numbers: "rocky iii" and "rocky three" both give "rocky 3".

    A lone "i" is a number only at the end: elsewhere it is more often a pronoun.
    """
    *rest, last = normalised.split(" ")
    return " ".join([*(word if word == "i" else _NUMERALS.get(word, word) for word in rest), _NUMERALS.get(last, last)])


def series_of(titles: Sequence[str], others: Sequence[str] = ()) -> NDArray[np.int64]:
    """Return (n,) the number of each title's series, -1 where it stands alone.

    others : other titles of each, joined by `|`, "" for none: "The Road Warrior" is "Mad Max 2", too

    A series is what titles share before a colon, " and the " or the number of a part: "Star Wars: Episode V",
    "Rocky III", "Shrek 2" and "Shrek the Third" each find theirs, and a remake its original. A number is that of a part
    after "Part" and its like, where a part near it is there too, or where two words or more name the first one: not in
    "Apollo 11" and "Apollo 13". A year is one where the first one is there: "Fantasia 2000". Where no part has a
    number, all or none begin with an article: "The Mission" is no part of "Mission: Impossible". Of several, the
    largest series is that of a title.
    """
    keys = [
        [_series_key(text) for text in dict.fromkeys((title, *other.split("|"))) if text or text == title]
        for title, other in zip_longest(titles, others, fillvalue="")
    ]
    there = {(key.stem, 1 if key.part is None else key.part) for own in keys for key in own}
    numbered = {key.stem for own in keys for key in own if _is_part(key, there)}
    names = [[_series_name(key, there, numbered) for key in own] for own in keys]
    sizes = Counter(name for own in names for name in set(own))
    largest = []
    for own, (name, *rest) in zip(keys, names, strict=True):
        # "The Professional" and "Léon" with that other title are two films
        known = [other for other, key in zip(rest, own[1:], strict=True) if key.part is not None or sizes[other] > 2]
        largest.append(max([name, *known], key=lambda each: sizes[each] * (sizes[each] <= _LONGEST_SERIES)))
    sizes = Counter(largest)
    shared = {name: i for i, name in enumerate(name for name, n in sizes.items() if 1 < n <= _LONGEST_SERIES)}
    return np.array([shared.get(name, -1) for name in largest], dtype=np.int64)


def _series_name(key: _SeriesKey, there: Container[tuple[str, int]], numbered: Container[str]) -> tuple[str, bool]:
    """Return what names the series: its stem, or the whole name with a number that is part of it, and its article."""
    name = key.stem if key.part is None or _is_part(key, there) else key.name
    return name, key.article and name not in numbered


def foreign(titles: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Return (n,) whether a title is in another language than most, as far as it shows.

    others : other titles of each, joined by `|`, "" for none: a catalogue writes the original after the translation;
             where it writes none, or most titles look foreign, nothing is told and all are False

    A foreign title begins with a foreign article or has a letter with a mark, or half the words of its original or more
    stand in no title of the catalogue: "Il Postino", "Amélie", "Shichinin no samurai", but not "Indiana Jones and ...".
    """
    known = {word for title in titles for word in normalise(title).split(" ")}
    shows = np.array([_is_foreign(title, other, known) for title, other in zip(titles, others, strict=True)], bool)
    return shows & (any(others) and shows.mean() <= 0.5)


def _is_foreign(title: str, others: str, known: Container[str]) -> bool:
    originals = [other for other in others.split("|") if other and not other.isupper()]  # "MIB" is no language
    for text in (title, *originals):
        first, space, _ = text.casefold().partition(" ")
        if (space and first in _FOREIGN) or first.startswith(("l'", "l’")):
            return True
        if not text.isascii() and any(map(unicodedata.combining, unicodedata.normalize("NFKD", text))):
            return True
    spelt = [[word for word in normalise(other).split(" ") if word.isalpha()] for other in originals]
    return any(0 < len(words) <= 2 * sum(word not in known for word in words) for words in spelt)


class _SeriesKey(NamedTuple):
    """What the title of a series would be: its stem, and its whole name with the number that may be a part's.

    part    : the number at the end, None without one; counted : whether a word says that it counts parts
    article : whether an article stands before it
    """

    stem: str
    name: str
    part: int | None
    counted: bool
    article: bool


def _series_key(raw: str) -> _SeriesKey:
    title = split_title(raw)[0]
    head, colon, _ = title.partition(":")
    words = with_numbers(normalise(head if colon and head.strip() else title)).split(" ")
    if "and" in words[2:-2] and words[words.index("and", 2) + 1] == "the":  # "Harry Potter and the ..."
        words = words[: words.index("and", 2)]
    part = _number(words[-1]) if len(words) > 1 else None
    stem = words if part is None else words[:-1]
    counted = part is not None and len(stem) > 1 and stem[-1] in _COUNTERS
    while counted and len(stem) > 1 and stem[-1] in _COUNTERS:
        stem = stem[:-1]
    return _SeriesKey(" ".join(stem), " ".join(words), part, counted, title.partition(" ")[0].casefold() in _LEADING)


def _number(word: str) -> int | None:
    """Return the number of a part that a word may be."""
    if word in _ORDINALS:
        return _ORDINALS.index(word) + 1
    number = int(word) if _SHORT_NUMBER.fullmatch(word) else -1
    return number if 0 <= number <= _MOST_PARTS or number in _YEARS else None


def _is_part(key: _SeriesKey, there: Container[tuple[str, int]]) -> bool:
    """Return whether a title's number is that of a part, as (stem, number) of all titles tell; no number is 1."""
    if key.part is None:
        return False
    first = 1 if " " in key.stem or key.part in _YEARS else 0
    near = (key.part - 1, key.part + 1, key.part - 2 if key.part < 10 else 0, first)
    return key.counted or any((key.stem, part) in there for part in near if part != key.part)


def _article_first(title: str) -> str:
    moved = _MOVED.match(title)
    if not moved:
        return title
    gap = "" if moved[2].endswith("'") else " "
    return f"{moved[2]}{gap}{moved[1]}"
