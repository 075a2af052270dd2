"""Fixtures that all tests share: an empty home, the mirror when there is one, small data sets."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from recengine.data.dataset import Dataset
from recengine.testing import small_dataset

SHORT = not os.environ.get("RECENGINE_MIRROR") and not os.environ.get("RECENGINE_LONG")
"""Whether what takes long is left out: it runs where the real data are, or if it is asked for."""
# A busy machine must not fail a test, and chance not a second run of the same code; the long form seeks new examples.
derandomize = not os.environ.get("RECENGINE_LONG")
settings.register_profile("tests", deadline=None, max_examples=50 if SHORT else 100, derandomize=derandomize)
settings.load_profile("tests")
torch.set_num_threads(1)  # the data sets here are tiny, and threads wait for each other on a busy machine


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what takes long (`slow`, robustness, the browser) in the short form."""
    skip = pytest.mark.skip(reason="takes long: set RECENGINE_MIRROR or RECENGINE_LONG=1")
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if SHORT and ("harm" in item.path.parts or marks & {"slow", "browser"}):
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def recengine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the whole run one empty home, so that no file of the user is read or written."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["RECENGINE_HOME"] = str(folder)
    return folder


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give one test a separate empty home."""
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
    """Return 60 users and 40 items in four genres; each user likes one genre."""
    return small_dataset()
