"""The documentation: every Python block runs, every command line parses, every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from recengine.cli.parser import build_parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FRAGMENTS = ("def recommend(user_id", "def learn(ratings)", "class TestCoLiked")
"""Beginnings of blocks that are parts of a file, not programs."""


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def programs(page: Path) -> list[str]:
    return [code for code in blocks(page, "python") if not any(begin in code for begin in FRAGMENTS)]


@pytest.mark.parametrize("page", [page for page in PAGES if programs(page)], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in programs(page):
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_that_the_command_line_knows(page: Path) -> None:
    parser = build_parser()
    for code in blocks(page, "console", "sh"):
        for line in code.replace("\\\n", " ").splitlines():
            if "recengine " not in line or "..." in line or line.count("'") % 2:  # the last: a text of several lines
                continue
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, "&&"]:
                if word not in ("&&", "|", ";"):
                    words.append(word)
                    continue
                words = words[2:] if words[:2] == ["python", "-m"] else words
                if words[:1] == ["recengine"]:
                    parser.parse_args(words[1:])
                words = []


def test_the_page_of_the_command_line_names_every_command() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    (commands,) = (action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    firsts = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert set(commands) <= {quoted.split()[0] for first in firsts for quoted in re.findall("`(.*?)`", first)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_json_of_the_pages_is_json() -> None:
    for page in PAGES:
        for code in blocks(page, "json"):
            json.loads(code)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_no_other_machine(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "quick-start" / "index.html").read_text(encoding="utf-8")
    fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', page)
    assert fetched == []
