"""`sample`: real films and a simulated audience, the data set that needs no network."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recengine.data.audience import simulate
from recengine.data.dataset import Dataset, build_dataset

FILMS = Path(__file__).with_name("films.csv")
LICENCE = "Free to use with RecEngine: the films are facts written down by hand, the audience is simulated."


def films() -> pd.DataFrame:
    """Return the catalogue: item_id, title, year, genres, director, keywords."""
    return pd.read_csv(FILMS, keep_default_na=False, dtype={"title": str})


def sample_dataset() -> Dataset:
    """Return the embedded data set."""
    catalogue = films()
    ratings, users = simulate(catalogue)
    return build_dataset("sample", ratings, catalogue, users, licence=LICENCE, simulated=True)
