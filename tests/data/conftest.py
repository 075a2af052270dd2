"""A mirror that a test fills itself, and a small catalogue."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.sources import SOURCES

Publish = Callable[[str, dict[str, str]], bytes]

CSV = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n2,29,4.0,1112484676\n",
    "movies.csv": 'movieId,title,genres\n2,Jumanji (1995),Adventure\n29,"City of Lost Children, The (1995)",Drama\n',
    "links.csv": "movieId,imdbId,tmdbId\n2,0113497,8844\n29,0112682,\n",
    "tags.csv": "userId,movieId,tag,timestamp\n18,29,dark,1\n",
    "genome-scores.csv": "not,read\n",
}


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Return a function that puts a small zip into a mirror and registers it as the published edition."""
    monkeypatch.setenv("RECENGINE_MIRROR", str(tmp_path))
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path / "home"))

    def put(name: str, files: dict[str, str]) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, text in files.items():
                archive.writestr(member, text.encode("latin-1" if "ml-1m/" in member else "utf-8"))
        content = made.getvalue()
        (tmp_path / f"{name}.zip").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], size=len(content), sha256=digest))
        return content

    return put


@pytest.fixture(scope="session")
def films() -> Dataset:
    """Return five films, two of one title, with three ratings."""
    items = pd.DataFrame(
        {
            "item_id": [1, 2, 3, 4, 5],
            "title": ["The Matrix", "Heat", "Heat", "Amélie", "Se7en"],
            "year": pd.array([1999, 1995, 1986, 2001, None], dtype="Int64"),
        }
    )
    ratings = pd.DataFrame({"user_id": [7, 7, 8], "item_id": [1, 2, 3], "rating": [0.5, 5.0, 3.0], "timestamp": 1})
    return build_dataset("films", ratings, items)
