"""The address of the database: a mistyped one is refused in a sentence without secrets."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.errors import BadInput
from recengine.serving.database import database_url, engine, safe_wal
from recengine.serving.event_log import EventLog, rated

SECRET = "hunter2Zx"
MISTYPED = {
    "not the address": [SECRET, f"postgres//ann:{SECRET}@db/x", f"ann:{SECRET}@db/x", f"postgresql:/ann:{SECRET}@db/x"],
    "of the kind": [f"postgre://ann:{SECRET}@db/x", f"mysql://ann:{SECRET}@db/x", f"mysql+pymysql://a:{SECRET}@db/x"],
    "unknown kind": [f"'postgresql://ann:{SECRET}@db/x'", f"DATABASE_URL=postgresql://ann:{SECRET}@db/x"],
    "port": [
        f"postgresql://ann:{SECRET}@db:54x2/x",
        f"postgresql://ann:{SECRET}@[::1/x",
        f"postgres://ann:x@db:{SECRET}",
    ],
    "more than one @": [f"postgresql://ann:pass@{SECRET}@db/x", f"postgres://ann:a@b@{SECRET}@db:5432/x"],
    "driver": [f"postgresql+asyncpgg://a:{SECRET}@db/x", f"postgresql+{SECRET}://a@db/x", f"sqlite+x:///{SECRET}"],
    "in memory": ["sqlite://", "sqlite:///", "sqlite:///:memory:"],
    "path of a file": [f"sqlite:////srv/run?a={SECRET}/ratings.db", f"sqlite://{SECRET}/ratings.db"],
}


@pytest.mark.parametrize(("words", "text"), [(words, text) for words, texts in MISTYPED.items() for text in texts])
def test_a_mistyped_address_is_refused_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, fresh_home: Path, words: str, text: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", text)
    with pytest.raises(BadInput) as caught:
        EventLog()
    assert str(caught.value).startswith("DATABASE_URL ")
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "a traceback would show the address"


@given(st.text(max_size=30), st.sampled_from(["", "postgresql://ann:", "postgres://", "sqlite:///", "x://", "://"]))
def test_any_text_is_an_address_or_one_sentence(text: str, start: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            engine(database_url(start + text)).dispose()
        except BadInput as error:
            sentence = str(error)
        else:
            return
    assert sentence.startswith("DATABASE_URL ")
    assert "\n" not in sentence


def test_spellings_of_postgresql_and_white_space_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (
        "postgres://ann@db/x",
        "postgresql://ann@db/x",
        "POSTGRES://ann@db/x",
        "Postgresql+Psycopg://ann@db/x",
    ):
        assert str(database_url(text)) == "postgresql+psycopg://ann@db/x"
    url = database_url(f"postgresql://ann:a%40b%3F%2F{SECRET}@db:5433/x?sslmode=require")
    assert (url.password, url.host, url.port) == (f"a@b?/{SECRET}", "db", 5433)


def test_white_space_around_the_address_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f" sqlite:///{tmp_path / 'here.db'}\n")
    monkeypatch.delenv("HOME", raising=False)  # an address needs no home
    EventLog().append("ann", "sample", [rated("1", 5.0)])
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == ["here.db"]


@pytest.mark.parametrize("name", ["run?a=1", "per%20cent", "a#b", "file:x", "a:b@c", "%3F"])
def test_the_address_of_a_home_is_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for home in (tmp_path / name, tmp_path / f"{name}2"):
        monkeypatch.setenv("RECENGINE_HOME", str(home))
        log = EventLog()
        assert log.ratings("sample") == []
        assert log.append("ann", "sample", [rated("1", 5.0)]) == 1
        log.close()
        assert (home / "ratings.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}2"]


@pytest.mark.parametrize(
    "server", ["127.0.0.1:9", "no-such-host.invalid", "/?host=/no/such/folder", "/?sslmode=requir", "/?passfle=x"]
)
def test_a_server_that_does_not_answer_is_one_sentence(fresh_home: Path, server: str) -> None:
    pytest.importorskip("psycopg", reason="no driver of PostgreSQL here: install psycopg[binary]")
    with pytest.raises(BadInput) as caught:
        EventLog(f"postgresql://ann:{SECRET}@{server}" + ("" if "?" in server else "/x"))
    remedy = "check the user, password, host and name in DATABASE_URL, or try again in a moment"
    assert str(caught.value) == f"ratings cannot be kept just now; {remedy}"


@pytest.mark.postgres
def test_a_wrong_name_or_user_is_one_sentence(fresh_home: Path, new_database) -> None:
    good = new_database()
    EventLog(good).close()
    for bad in (good.replace("/t", "/none", 1), good.replace("tests@", f"stranger:{SECRET}@")):
        with pytest.raises(BadInput, match="check the user, password, host and name in DATABASE_URL"):
            EventLog(bad)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, fresh_home: Path) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadInput, match=r'driver, psycopg, is missing; pip install "psycopg\[binary\]"'):
        EventLog("postgres://ann@db/x")


def test_a_write_ahead_log_is_used_only_where_it_is_safe() -> None:
    for version, safe in {(3, 51, 2): False, (3, 51, 3): True, (3, 50, 6): False, (3, 50, 7): True}.items():
        assert safe_wal(version) == safe
    for version, safe in {(3, 40, 1): False, (3, 44, 6): True, (3, 44, 5): False, (3, 60, 0): True}.items():
        assert safe_wal(version) == safe
