"""Fixtures that all tests share: a home of their own, the mirror when there is one, small data sets."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings

from recengine.data.dataset import Dataset, build_dataset

settings.register_profile("tests", deadline=None)  # a busy machine is no failure
settings.load_profile("tests")
torch.set_num_threads(1)  # the data sets here are tiny, and threads wait for each other on a busy machine


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, which its fixtures are made in, and all that share one browser."""
    for item in items:
        shared = item.path.parent if item.path.parent.name == "browser" else item.path
        item.add_marker(pytest.mark.xdist_group(str(shared)))


@pytest.fixture(scope="session", autouse=True)
def recengine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the whole run one empty home, so that nothing of the person's own is read or written."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["RECENGINE_HOME"] = str(folder)
    return folder


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give one test an empty home of its own."""
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Return the folder with the MovieLens zips, or skip visibly."""
    folder = os.environ.get("RECENGINE_MIRROR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no MovieLens zips here: set RECENGINE_MIRROR to a folder that holds them")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """Return 60 people and 40 films in four genres; each person likes one genre. Seeded, half-star ratings."""
    rng = np.random.default_rng(7)
    users, items = np.repeat(np.arange(60), 20), np.concatenate([rng.permutation(40)[:20] for _ in range(60)])
    liked = items % 4 == users % 4
    rating = np.where(liked, rng.choice([4.0, 4.5, 5.0], len(users)), rng.choice([1.0, 2.5, 3.5, 4.0], len(users)))
    ratings = pd.DataFrame(
        {
            "user_id": users + 1,
            "item_id": items + 101,
            "rating": rating,
            "timestamp": np.arange(len(users)) + 10**9,
        }
    )
    genres = ["Action|Sci-Fi", "Comedy", "Drama|Romance", "Horror"]
    films = pd.DataFrame(
        {
            "item_id": np.arange(40) + 101,
            "title": [f"Film {i}" for i in range(40)],
            "year": 1980 + np.arange(40),
            "genres": [genres[i % 4] for i in range(40)],
        }
    )
    people = pd.DataFrame(
        {
            "user_id": np.arange(60) + 1,
            "age": 18 + np.arange(60) % 50,
            "gender": np.where(np.arange(60) % 4 < 2, "F", "M"),
            "occupation": np.array(["engineer", "teacher", "artist", "law"])[np.arange(60) % 4],
        }
    )
    return build_dataset("tiny", ratings, films, people)
