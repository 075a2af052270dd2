"""A PostgreSQL server for the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

INSTALLED = Path("/usr/lib/postgresql")
NewDatabase = Callable[[], str]


def _programs() -> Path | None:
    """Return the folder of the newest PostgreSQL, which Debian keeps off the path."""
    executable = shutil.which("initdb")
    versions = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(executable).parent if executable else versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def new_database() -> Iterator[NewDatabase]:
    """Start a server that only this run can reach; return a function that makes a database and returns its address.

    It never runs as root, which it refuses to.
    """
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: install the package postgresql")
    psycopg = pytest.importorskip("psycopg", reason="no driver of PostgreSQL here: install psycopg[binary]")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    who = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    start = [programs / "initdb", "-D", folder / "data", "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(start, check=True, capture_output=True, cwd=folder, **who)
    settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "max_connections=60"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", *(part for text in settings for part in ("-c", text))],
        stderr=(folder / "log").open("wb"),
        cwd=folder,
        **who,
    )
    address = f"postgresql://tests@/{{}}?host={folder}"
    for _ in range(300):
        assert server.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(address.format("postgres")).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)

    def new() -> str:
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return address.format(name)

    yield new
    server.send_signal(signal.SIGINT)  # ends what is connected
    server.wait(30)
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the log be in an empty SQLite file, and then in an empty PostgreSQL database; return its address."""
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path))
    if request.param == "sqlite":
        monkeypatch.delenv("DATABASE_URL", raising=False)
        return f"sqlite:///{tmp_path / 'ratings.db'}"
    url = request.getfixturevalue("new_database")()
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def connect(url: str) -> sa.Engine:
    """Return an engine that knows nothing of the log."""
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
