"""The environment: switches in any spelling, and homes that are unset, of another user, or closed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine import settings
from recengine.errors import BadInput

WORDS = {
    False: ["", " ", "0", "no", "No", "NO", "off", "Off", "false", "False", "FALSE", " false\n", "\toff "],
    True: ["1", "yes", "Yes", "YES", "on", "ON", "true", "True", "TRUE", " 1 ", "tRuE"],
}


@pytest.mark.parametrize(("word", "on"), [(word, on) for on, words in WORDS.items() for word in words])
def test_a_switch_is_on_or_off_in_any_spelling(monkeypatch: pytest.MonkeyPatch, word: str, on: bool) -> None:
    for name, read in (("RECENGINE_HOSTED", settings.hosted), ("RECENGINE_DEBUG", settings.debug)):
        monkeypatch.delenv(name, raising=False)
        assert not read()
        monkeypatch.setenv(name, word)
        assert read() is on


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_a_switch_never_guesses(word: str) -> None:
    known = {text.strip().lower() for words in WORDS.values() for text in words}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECENGINE_HOSTED", word)
        if word.strip().lower() in known:
            settings.hosted()
        else:
            with pytest.raises(BadInput, match=r"^RECENGINE_HOSTED .* is neither on nor off; expected 1, true"):
                settings.hosted()


@pytest.mark.parametrize(
    "name", ["run?a=1", "per%20cent", "a#b", "file:x", "ümläut 片", " ", "~tilde", "-dash", ":memory:"]
)
def test_a_home_is_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path / name))
    assert settings.home() == tmp_path / name
    if name[0] != "~":
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RECENGINE_HOME", name)
        assert settings.home() == tmp_path / name


@pytest.mark.parametrize(
    ("home", "problem"),
    [(None, "is unset, and HOME as well"), ("", "is unset"), ("~no-such-user/x", "of a user who has none")],
)
def test_without_a_home_directory_the_variable_to_set_is_named(
    monkeypatch: pytest.MonkeyPatch, home: str | None, problem: str
) -> None:
    def unknown_user(*_: object) -> None:
        raise KeyError("a container's random user has no entry")

    monkeypatch.setattr("pwd.getpwuid", unknown_user)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("RECENGINE_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("RECENGINE_HOME", home)
    with pytest.raises(BadInput) as caught:
        settings.home()
    assert problem in str(caught.value)
    assert str(caught.value).endswith("; set RECENGINE_HOME to a folder that can be written")


def test_only_errors_below_the_home_are_errors_of_the_home(fresh_home: Path, tmp_path: Path) -> None:
    def message(number: int, path: Path | None) -> str:
        return str(settings.home_error(OSError(number, os.strerror(number), path and str(path))) or "")

    inside = fresh_home / "models" / "x"
    for number in (errno.EACCES, errno.EROFS, errno.ENOTDIR):
        assert message(number, inside) == message(number, fresh_home) != ""
        assert message(number, tmp_path) != ""  # it cannot be made there
        assert message(number, tmp_path / "other") == message(number, None) == ""
    assert message(errno.ENOSPC, inside) == ""
    assert message(errno.EACCES, inside).startswith(
        f"RECENGINE_HOME '{fresh_home}' cannot be written (Permission denied)"
    )
