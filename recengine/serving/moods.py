"""Moods: which films are light, dark, tense, romantic or mind-bending, by their genres, keywords and tags."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

COLUMNS = ("genres", "keywords", "tags")
"""Columns of the item table in which moods are read, each a list joined by `|`."""
SURE = 0.5
"""How much of a mood an item must have to be counted as of that mood."""
LEAST_ITEMS = 20
"""Items of a mood below which a data set cannot carry it."""

MOODS: Mapping[str, Mapping[str, float]] = {
    "light": {
        **{"comedy": 0.7, "animation": 0.3, "children": 0.3, "family": 0.2, "musical": 0.4, "romance": 0.2},
        **{"horror": -1, "thriller": -0.6, "crime": -0.5, "war": -0.9, "film-noir": -0.8, "drama": -0.4},
        **{"mystery": -0.3, "documentary": -0.4, "feel-good": 0.6, "heartwarming": 0.5, "funny": 0.4, "fun": 0.4},
        **{"hilarious": 0.4, "quirky": 0.3, "whimsical": 0.5, "romantic comedy": 0.4, "screwball": 0.4},
        **{"slapstick": 0.4, "buddy comedy": 0.3, "musical numbers": 0.2, "spoof": 0.3, "parody": 0.3},
        **{"dark comedy": -0.6, "black comedy": -0.6, "disturbing": -1, "depressing": -1, "death": -0.3},
    },
    "dark": {
        **{"film-noir": 0.7, "horror": 0.5, "crime": 0.4, "thriller": 0.4, "war": 0.3, "mystery": 0.2, "drama": 0.1},
        **{"comedy": -0.7, "children": -1, "animation": -0.5, "musical": -0.7, "romance": -0.3, "adventure": -0.2},
        **{"dark": 0.6, "neo-noir": 0.5, "disturbing": 0.6, "bleak": 0.6, "gritty": 0.4, "depressing": 0.5},
        **{"serial killer": 0.5, "murder": 0.3, "revenge": 0.3, "dystopia": 0.3, "psychological horror": 0.4},
        **{"body horror": 0.3, "nihilism": 0.5, "grief": 0.3, "addiction": 0.3, "drugs": 0.2, "corrupt cop": 0.3},
        **{"obsession": 0.2, "holocaust": 0.4, "death": 0.2, "violence": 0.3, "creepy": 0.4, "feel-good": -1},
    },
    "tense": {
        **{"thriller": 0.8, "mystery": 0.3, "crime": 0.2, "horror": 0.3, "action": 0.2, "war": 0.1},
        **{"comedy": -0.7, "musical": -0.8, "children": -0.8, "romance": -0.4, "animation": -0.3, "fantasy": -0.2},
        **{"suspense": 0.6, "tense": 0.7, "suspenseful": 0.6, "claustrophobic": 0.6, "hostage": 0.5, "heist": 0.3},
        **{"survival": 0.3, "kidnapping": 0.4, "conspiracy": 0.3, "espionage": 0.3, "stalker": 0.4, "hitman": 0.3},
        **{"serial killer": 0.3, "assassin": 0.3, "assassination": 0.3, "undercover": 0.3, "submarine": 0.3},
        **{"prison escape": 0.3, "car chase": 0.2, "cat and mouse": 0.5, "twist ending": 0.2},
    },
    "romantic": {
        **{"romance": 0.9, "horror": -0.8, "war": -0.3, "thriller": -0.5, "action": -0.4, "crime": -0.4},
        **{"children": -0.4, "sci-fi": -0.3, "mystery": -0.2, "love": 0.4, "love story": 0.6, "romantic": 0.6},
        **{"star-crossed lovers": 0.4, "love triangle": 0.3, "wedding": 0.3, "romantic comedy": 0.3, "paris": 0.2},
        **{"bittersweet": 0.3, "jane austen": 0.4, "chick flick": 0.3, "marriage": 0.1, "princess": 0.1},
    },
    "mind-bending": {
        **{"sci-fi": 0.3, "mystery": 0.4, "fantasy": 0.1, "thriller": 0.1, "film-noir": 0.1, "comedy": -0.3},
        **{"romance": -0.3, "children": -0.7, "musical": -0.5, "war": -0.3, "action": -0.2, "western": -0.4},
        **{"mind-bending": 0.9, "mindfuck": 0.9, "twist ending": 0.6, "surreal": 0.7, "dreamlike": 0.7},
        **{"nonlinear": 0.6, "time loop": 0.6, "time travel": 0.4, "unreliable narrator": 0.6, "memory": 0.3},
        **{"amnesia": 0.5, "psychological": 0.4, "hallucinatory": 0.6, "dreams": 0.4, "existential": 0.3},
        **{"alternate reality": 0.6, "virtual reality": 0.5, "parallel universe": 0.6, "cerebral": 0.5},
        **{"philosophical": 0.4, "philosophy": 0.4, "thought-provoking": 0.3, "artificial intelligence": 0.2},
        **{"identity": 0.2, "experiment": 0.2, "complicated": 0.5, "multiple storylines": 0.3},
    },
}
"""Mood -> what genres, keywords and tags say for it or against it; written down by hand."""


def mood_features(items: pd.DataFrame) -> dict[str, Tensor]:
    """Return mood -> (n_items,) float32 from -1 to 1, of the moods that enough items have: the sum of what their
    terms say."""
    terms = np.zeros(len(items), object)
    for row in range(len(items)):
        terms[row] = set()
    for column in (name for name in COLUMNS if name in items):
        for row, text in enumerate(items[column].fillna("").astype(str).str.lower()):
            terms[row].update(filter(None, text.split("|")))
    features = {}
    for mood, weights in MOODS.items():
        total = [sum(weights[term] for term in of_item if term in weights) for of_item in terms]
        feature = torch.tensor(total, dtype=torch.float32).clamp(-1, 1)
        if int((feature > SURE).sum()) >= LEAST_ITEMS:
            features[mood] = feature
    return features
