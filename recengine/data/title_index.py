"""The titles of a catalogue in the form in which spellings are compared, for search and for matching alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from recengine.data.dataset import Dataset
from recengine.data.titles import normalise

KNOWN_AS = {
    ("Amélie", 2001): "Le Fabuleux Destin d'Amélie Poulain",
    ("Bicycle Thieves", 1948): "Ladri di biciclette|The Bicycle Thief",
    ("Birdman", 2014): "Birdman or (The Unexpected Virtue of Ignorance)",
    ("Breathless", 1960): "À bout de souffle",
    ("City of God", 2002): "Cidade de Deus",
    ("Downfall", 2004): "Der Untergang",
    ("Dr. Strangelove", 1964): "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb",
    ("Grave of the Fireflies", 1988): "Hotaru no haka",
    ("Harry Potter and the Philosopher's Stone", 2001): "Harry Potter and the Sorcerer's Stone",
    ("Howl's Moving Castle", 2004): "Hauru no ugoku shiro",
    ("Jeanne Dielman", 1975): "Jeanne Dielman, 23, quai du Commerce, 1080 Bruxelles",
    ("Life Is Beautiful", 1997): "La vita è bella",
    ("My Neighbor Totoro", 1988): "Tonari no Totoro",
    ("Pan's Labyrinth", 2006): "El laberinto del fauno",
    ("Parasite", 2019): "Gisaengchung|기생충",
    ("Princess Mononoke", 1997): "Mononoke-hime",
    ("Raiders of the Lost Ark", 1981): "Indiana Jones and the Raiders of the Lost Ark",
    ("Return of the Jedi", 1983): "Star Wars: Episode VI - Return of the Jedi",
    ("Seven Samurai", 1954): "Shichinin no Samurai|七人の侍",
    ("Spirited Away", 2001): "Sen to Chihiro no Kamikakushi|千と千尋の神隠し",
    ("Star Wars", 1977): "Star Wars: Episode IV - A New Hope",
    ("The 400 Blows", 1959): "Les Quatre Cents Coups",
    ("The Empire Strikes Back", 1980): "Star Wars: Episode V - The Empire Strikes Back",
    ("The Lives of Others", 2006): "Das Leben der Anderen",
    ("The Rules of the Game", 1939): "La Règle du jeu",
    ("The Seventh Seal", 1957): "Det sjunde inseglet",
    ("Tokyo Story", 1953): "Tokyo monogatari",
    ("Wings of Desire", 1987): "Der Himmel über Berlin",
}
"""Title and year -> other titles, joined by `|`, of films that many know by these: for catalogues without any."""


class TitleIndex:
    """Normalised titles, whose they are, and what tells films of one title apart.

    keys      : each film's title, then all further titles, normalised
    positions : aligned with `keys`: the position of the film in the catalogue
    years     : (n_films,) 0 where unknown
    weights   : (n_films,) how well known each film is
    """

    def __init__(
        self,
        titles: Sequence[str],
        *,
        years: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        others: Sequence[str] | None = None,
    ) -> None:
        """Index titles; `others` holds further titles of each film, joined by `|`."""
        n = len(titles)
        self.keys = [normalise(title) for title in titles]
        positions = list(range(n))
        for position, text in enumerate(others or ()):
            for other in filter(None, str(text or "").split("|")):
                self.keys.append(normalise(other))
                positions.append(position)
        self.positions = np.asarray(positions, dtype=np.int64)
        known = np.zeros(n) if years is None else np.nan_to_num(np.asarray(years, dtype=np.float64))
        self.years = known.astype(np.int64)
        self.weights = np.zeros(n) if weights is None else np.asarray(weights, dtype=np.float64)

    @classmethod
    def of(cls, dataset: Dataset) -> TitleIndex:
        """Return the index of a data set's items; those with more ratings weigh more."""
        items = dataset.items
        titles, years = items["title"].tolist(), items["year"].to_numpy(np.float64, na_value=np.nan)
        if "other_title" in items:
            others = items["other_title"].tolist()
        else:
            others = [KNOWN_AS.get(each, "") for each in zip(titles, np.nan_to_num(years).tolist(), strict=True)]
        return cls(titles, years=years, weights=dataset.ratings.item_counts, others=others)

    @cached_property
    def by_key(self) -> dict[str, list[int]]:
        """Return the positions of each key's films, each once."""
        films: dict[str, dict[int, None]] = {}
        for key, position in zip(self.keys, self.positions.tolist(), strict=True):
            films.setdefault(key, {})[position] = None
        return {key: list(positions) for key, positions in films.items()}
