"""The app does not start with a variable that makes no sense, and explains it in one sentence without secrets."""

from __future__ import annotations

import os

import pytest

import app


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RECENGINE_HOSTED", "maybe", "is neither on nor off; expected 1, true, yes, on, or 0, false, no, off"),
        ("RECENGINE_HOSTED", "2", "is neither on nor off"),
        ("RECENGINE_HOME", "~no-such-user/home", "set RECENGINE_HOME to a folder that can be written"),
        ("DATABASE_URL", "postgre://ann:hunter2@db/x", "names a database of the kind 'postgre'"),
        ("DATABASE_URL", "ann:hunter2@db/x", "is not the address of a database"),
        ("DATABASE_URL", "postgres://ann:hun@ter2@db/x", "has more than one @"),
        ("RECENGINE_DATASET", os.fsdecode(b"/data/d\xe9"), "is not UTF-8, in which pages write it; rename the folder"),
    ],
)
def test_the_start_ends_with_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        app.check_environment()
    sentence = str(caught.value)
    assert sentence.startswith(f"recengine: {name} ")
    assert words in sentence
    assert "\n" not in sentence
    assert "hunter2" not in sentence
    assert "ter2" not in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECENGINE_HOSTED", "Off"),
        ("RECENGINE_HOSTED", ""),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", " postgresql://ann:%40@db/x \n"),
        ("RECENGINE_DATASET", "/data/片"),
        ("RECENGINE_HOME", os.fsdecode(b"/data/d\xe9")),
    ],
)
def test_the_app_starts_with_variables_that_make_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    app.check_environment()
