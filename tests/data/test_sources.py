"""Names, paths, the mirror and the cache: where a data set is looked for, and the message when it is not there."""

import functools
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.readers.archive import Files, read
from recengine.data.source import DatasetSource
from recengine.data.sources import SOURCES, fetch, is_present, load_dataset, load_upload
from recengine.errors import BadInput
from tests.data.conftest import CSV, Publish
from tests.support.archives import zipped


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Serve the folder `tmp_path` on this machine and return its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, fresh_home: Path) -> Path:
    """Take the mirror and the network away; return the home."""
    monkeypatch.delenv("RECENGINE_MIRROR", raising=False)
    for name, source in SOURCES.items():
        if source.addresses:
            address = f"http://127.0.0.1:9/{name}.zip"
            monkeypatch.setitem(SOURCES, name, replace(source, addresses=(address,)))
    return fresh_home


def test_a_mirror_folder_is_read_in_place(publish: Publish, tmp_path: Path) -> None:
    publish("ml-20m", CSV)
    assert is_present("ml-20m")
    assert fetch("ml-20m") == tmp_path / "ml-20m.zip"
    assert not (tmp_path / "home").exists()


def test_a_mirror_address_fills_the_cache_once(
    publish: Publish, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = publish("ml-20m", CSV)
    monkeypatch.setenv("RECENGINE_MIRROR", served + "/")
    assert not is_present("ml-20m")
    seen: list[tuple[int, int]] = []
    data = load_dataset("ml-20m", on_progress=lambda done, total: seen.append((done, total)))
    assert len(data.ratings) == 2
    assert seen == [(len(content), len(content))]
    monkeypatch.setenv("RECENGINE_MIRROR", "http://127.0.0.1:9")
    assert is_present("ml-20m")
    assert fetch("ml-20m") == tmp_path / "home" / "data" / "ml-20m.zip"
    assert load_dataset("ml-20m").fingerprint == data.fingerprint


def test_a_spoiled_cache_is_refused_and_mended_by_fetching(
    publish: Publish, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = publish("ml-20m", CSV)
    monkeypatch.setenv("RECENGINE_MIRROR", served)
    cached = fetch("ml-20m")
    cached.write_bytes(content[:100])
    with pytest.raises(BadInput, match="recengine datasets fetch ml-20m"):
        load_dataset("ml-20m")
    assert fetch("ml-20m").read_bytes() == content


def test_a_truncated_zip_that_is_known_by_its_members_is_mended_too(
    served: str, monkeypatch: pytest.MonkeyPatch, offline: Path
) -> None:
    (offline / "data").mkdir(parents=True)
    (offline / "data" / "ml-100k.zip").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(BadInput, match=r"is not a whole zip file.*datasets fetch ml-100k"):
        load_dataset("ml-100k")
    source = SOURCES["ml-100k"]
    monkeypatch.setitem(SOURCES, "ml-100k", replace(source, addresses=(f"{served}/empty/ml-100k.zip",)))
    with pytest.raises(BadInput, match=r"ml-100k\.zip could not be fetched .*answers 404"):  # but it was tried
        fetch("ml-100k")


def test_an_unpacked_movielens_is_pointed_to_its_zip(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t2\t3\t4\n")
    with pytest.raises(BadInput, match=r"laid out like MovieLens 100K.*download that zip"):
        load_dataset(tmp_path)


def test_offline_the_remedy_is_one_sentence(offline: Path) -> None:
    with pytest.raises(BadInput) as refused:
        load_dataset("ml-32m")
    message = str(refused.value)
    assert "ml-32m.zip could not be fetched (127.0.0.1:9: no connection); set RECENGINE_MIRROR" in message
    assert str(offline / "data") in message
    assert "upload it in the app" in message
    assert list((offline / "data").iterdir()) == []


def test_a_mirror_that_is_no_folder_is_named(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECENGINE_MIRROR", "/no/such/folder")
    with pytest.raises(BadInput, match="RECENGINE_MIRROR '/no/such/folder' is not a folder"):
        load_dataset("ml-1m")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ml-1mm", "'ml-1mm' is unknown (did you mean 'ml-1m'?); choose one of sample, ml-latest-small"),
        ("netflix", "'netflix' is unknown; choose one of"),
        ("no/such.csv", "'no/such.csv' is not a file or folder"),
        ("", "is unknown"),
        ("~nobody-of-that-name/x", "is not a file or folder"),
        ("x" * 5000, "is unknown"),
        ("nul\0", "is unknown"),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(name: str, words: str, offline: Path) -> None:
    with pytest.raises(BadInput) as refused:
        load_dataset(name)
    assert words in str(refused.value)


def test_a_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(CSV["movies.csv"])
    with pytest.raises(BadInput, match=r"holds no ratings\.csv; expected"):
        load_dataset(tmp_path)


def test_the_sample_is_always_there(offline: Path) -> None:
    assert is_present("sample")
    assert fetch("sample").is_dir()
    data = load_dataset("sample")
    assert data.simulated
    source = SOURCES["sample"]
    for count, real in (
        (source.n_ratings, len(data.ratings)),
        (source.n_users, data.n_users),
        (source.n_items, data.n_items),
    ):
        assert abs(count - real) <= 0.1 * real  # stated before it is built, so roughly


def test_a_data_set_is_a_reader_and_a_place_in_the_registry(
    served: str, tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed to add one: where its zip is, how a genuine one is known, and who reads it."""
    monkeypatch.delenv("RECENGINE_MIRROR", raising=False)
    content = zipped({"ratings.csv": "a,x,5\nb,y,1\n"})
    (tmp_path / "pairs.zip").write_bytes(content)

    def reader(source: DatasetSource, files: Files | None, /) -> Dataset:
        assert files is not None
        rows = [line.split(",") for line in read(files, "ratings.csv").decode().splitlines()]
        frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating"]).astype({"rating": float})
        return build_dataset(source.name, frame, licence=source.licence)

    source = DatasetSource(
        "pairs",
        "Two pairs",
        2,
        2,
        2,
        "CC0",
        "Nobody, 2026",
        reader,
        addresses=(f"{served}/pairs.zip",),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setitem(SOURCES, "pairs", source)
    assert not is_present("pairs")
    assert load_dataset("pairs").user_ids.tolist() == ["a", "b"]
    assert is_present("pairs")
    assert load_upload("other.zip", content).name == "pairs"  # a genuine copy, whatever its name


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="modes of folders are POSIX's")
def test_a_folder_that_may_not_be_read_is_one_sentence() -> None:
    code = "import os, sys\nfrom recengine.cli import main\n"
    code += "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"  # root may read everything
    code += "for folder in sys.argv[1:]: print(main(['train', 'popularity', '--dataset', folder]))"
    with TemporaryDirectory() as parent:  # not below pytest's folder, which its owner alone may open
        home = Path(parent, "home")
        home.mkdir()
        Path(parent).chmod(0o755)
        home.chmod(0o777)
        folders = {mode: Path(parent, f"{mode:o}") for mode in (0o000, 0o444, 0o111)}
        for mode, closed in folders.items():
            closed.mkdir()
            (closed / "ratings.csv").write_text("userId,movieId,rating\n1,2,3\n")
            closed.chmod(mode)
        ran = subprocess.run(
            [sys.executable, "-c", code, *map(str, folders.values())],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "RECENGINE_HOME": str(home)},
        )
        for closed in folders.values():
            closed.chmod(0o755)
    assert ran.stdout.split() == ["2"] * 3, ran.stderr
    lines = ran.stderr.splitlines()
    assert ["is a folder that may not be read" in line for line in lines] == [True] * 3, ran.stderr
