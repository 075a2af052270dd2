"""Film titles: from the catalogue's form to the spoken one, and to a form in which spellings can be compared."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import filterfalse

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
_ORDINALS = frozenset(("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"))
_MOST_PARTS = 20
"""Numbers at the end of a title up to this one count the parts of a series; larger ones are years and names."""
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


def series_of(titles: Sequence[str]) -> NDArray[np.int64]:
    """Return (n,) the number of each title's series, -1 where it stands alone.

    A series is what titles share before a colon, " and the " or the number of a part: "Star Wars: Episode V",
    "Rocky III", "Shrek 2" and "Shrek the Third" each find theirs, and a remake its original. Where no part has a
    number, all or none begin with an article: "The Mission" is no part of "Mission: Impossible".
    """
    keys = [_series_key(title) for title in titles]
    numbered = {stem for stem, _, number in keys if number}
    parts = [stem if stem in numbered else (stem, article) for stem, article, _ in keys]
    shared = {key: i for i, key in enumerate(key for key, n in Counter(parts).items() if 1 < n <= _LONGEST_SERIES)}
    return np.array([shared.get(key, -1) for key in parts], dtype=np.int64)


def _series_key(raw: str) -> tuple[str, bool, bool]:
    """Return what the title of a series would be, whether an article stands before it, and a part's number after."""
    title = split_title(raw)[0]
    head, colon, _ = title.partition(":")
    article = title.partition(" ")[0].casefold() in _LEADING
    words = with_numbers(normalise(head if colon and head.strip() else title)).split(" ")
    if "and" in words[2:-2] and words[words.index("and", 2) + 1] == "the":  # "Harry Potter and the ..."
        words = words[: words.index("and", 2)]
    number = len(words) > 1 and (words[-1] in _ORDINALS or (words[-1].isdigit() and int(words[-1]) <= _MOST_PARTS))
    if number:
        del words[-1]
        while len(words) > 1 and words[-1] in _COUNTERS:
            del words[-1]
    return " ".join(words), article, number


def _article_first(title: str) -> str:
    moved = _MOVED.match(title)
    if not moved:
        return title
    gap = "" if moved[2].endswith("'") else " "
    return f"{moved[2]}{gap}{moved[1]}"
