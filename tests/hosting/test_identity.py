"""Visitors: each has a token that only the app can issue, and that cannot be changed."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.hosting import identity


def test_a_token_names_its_visitor_and_no_two_visitors_share_one(fresh_home: Path) -> None:
    tokens = [identity.issue() for _ in range(100)]
    assert [identity.read(token) for token in tokens] == [token[:32] for token in tokens]
    assert len({token[:32] for token in tokens}) == 100


def test_a_changed_token_is_refused(fresh_home: Path) -> None:
    token, other = identity.issue(), identity.issue()
    for position in range(len(token)):
        digit = "0" if token[position] != "0" else "1"
        assert identity.read(token[:position] + digit + token[position + 1 :]) is None
    assert identity.read(other[:32] + token[32:]) is None
    assert identity.read(token[:32]) is identity.read("") is identity.read(None) is None


@given(st.text(max_size=120))
def test_any_other_text_is_refused(text: str) -> None:
    assert identity.read(text) is None


def test_a_token_is_refused_under_another_secret(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = identity.issue()
    monkeypatch.setenv("RECENGINE_SECRET", "shared by replicas")
    assert identity.read(token) is None
    assert identity.read(identity.issue()) is not None


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(fresh_home: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda _: identity.issue(), range(16)))
    assert all(identity.read(token) for token in tokens)
    assert [path.name for path in fresh_home.iterdir()] == ["secret"]
    assert stat.S_IMODE((fresh_home / "secret").stat().st_mode) == 0o600


def test_an_account_is_its_issuer_and_subject() -> None:
    one = identity.account("https://a.example", "7")
    assert one == identity.account("https://a.example", "7")
    assert len({one, identity.account("https://b.example", "7"), identity.account("https://a.example", "8")}) == 3
    assert identity.account("ab", "c") != identity.account("a", "bc")


def test_two_apps_of_one_host_keep_their_visitors_apart_and_replicas_share_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jar: dict[str, str] = {}  # of one browser, which sends all cookies to every port of a host
    visitors: dict[str, str | None] = {}
    for secret in ("one", "other", "one"):
        monkeypatch.setenv("RECENGINE_SECRET", secret)
        if identity.visitor_of(jar) is None:
            jar[identity.cookie_name()] = identity.issue()
        assert visitors.setdefault(secret, identity.visitor_of(jar)) == identity.visitor_of(jar)
    assert len(jar) == 2
    assert None not in visitors.values()
    assert identity.visitor_of({identity.COOKIE: jar[identity.cookie_name()]}) == visitors["one"]
