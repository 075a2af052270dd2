"""The pages in homes of any name and in unusable homes: they work, or explain in one sentence what to set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pages.ui.messages import disk_error_message
from tests.app.conftest import Open, names, settle


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"caf\xe9", b"run?a=1", b"per%20cent", b"\xff\xfe<b>"])
def test_every_page_works_in_a_home_of_any_name(
    open_app: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    monkeypatch.setenv("RECENGINE_HOME", str(home))
    app = open_app()
    assert len(names(app, "top")) == 10
    for page in ("home.py", "train.py", "live.py", "compare.py", "data.py", "film.py"):
        app.switch_page(page)
        settle(app)
        assert not app.error
    assert (home / "ratings.db").is_file()
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_without_a_home_every_page_names_the_variable_to_set(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECENGINE_HOME", "~no-such-user/x")
    for page in ("viewers.py", "home.py", "data.py"):
        app = open_app(page)
        errors = [error.value.replace("\\", "") for error in app.error]
        assert len(errors) == 1, errors
        assert errors[0].startswith(
            "RECENGINE_HOME '~no-such-user/x' is in the home directory of a user who has none; "
        )
        assert errors[0].endswith("set RECENGINE_HOME to a folder that can be written.")
        assert not app.exception


def test_a_home_that_is_a_file_is_named(fresh_home: Path) -> None:
    fresh_home.write_text("not a folder")
    for below in ("jobs", "models/x"):
        with pytest.raises(OSError, match=r"File exists|Not a directory") as caught:
            (fresh_home / below).mkdir(parents=True, exist_ok=True)
        assert disk_error_message(caught.value).startswith(f"RECENGINE_HOME '{fresh_home}' cannot be written (")


def test_a_browser_without_cookies_is_warned_on_rate_alone(open_app: Open) -> None:
    captions = [caption.value for caption in open_app("home.py").caption]
    assert any("keeps no cookies" in text for text in captions)
    assert not any("keeps no cookies" in caption.value for caption in open_app().caption)
