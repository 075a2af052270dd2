"""The identity of a visitor: a cookie, or an account (issuer and subject), which can take over the cookie's ratings."""

from __future__ import annotations

import pytest
import streamlit as st
from streamlit.runtime.secrets import secrets_singleton

from pages.hosting import identity, visitor
from pages.ui import visitor_ratings
from recengine.serving.event_log import EventLog, rated
from tests.app.conftest import Open, press


class SignedIn:
    """Stands in for `st.user`, since a real one needs an identity provider on the network."""

    def __init__(self, **claims: object) -> None:
        self.claims = claims

    def to_dict(self) -> dict[str, object]:
        return self.claims

    def get(self, name: str, default: object = None) -> object:
        return self.claims.get(name, default)


ANN = SignedIn(is_logged_in=True, iss="https://id.example", sub="17", name="Ann *A*", email="ann@example.org")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure an identity provider in the secrets."""
    secrets = {"auth": {"client_id": "app", "redirect_uri": "http://localhost:8501/oauth2callback"}}
    monkeypatch.setattr(visitor, "has_provider", lambda: True)
    monkeypatch.setattr(secrets_singleton, "load_if_toml_exists", lambda: True)
    monkeypatch.setattr(secrets_singleton, "_secrets", secrets)


def labels(app) -> list[str]:
    return [button.label for button in app.button]


def test_without_a_provider_nothing_is_offered(open_app: Open) -> None:
    assert "Sign in" not in labels(open_app("data.py"))


@pytest.mark.usefixtures("provider")
def test_with_a_provider_a_visitor_can_sign_in_and_has_the_cookie_s_identity_until_then(open_app: Open) -> None:
    app = open_app("home.py")
    assert "Sign in" in labels(app)
    assert app.session_state["visitor"]


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"is_logged_in": False, "iss": "https://id.example", "sub": "17"},
        {"is_logged_in": True, "sub": "17"},
        {"is_logged_in": True, "iss": "https://id.example"},
        {"is_logged_in": True, "iss": 1, "sub": None, "email": "ann@example.org"},
    ],
)
@pytest.mark.usefixtures("provider")
def test_half_a_claim_does_not_sign_in(claims: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "user", SignedIn(**claims))
    assert visitor.account_id() is None


@pytest.mark.usefixtures("provider", "fresh_home")
def test_an_account_keeps_separate_ratings_and_takes_over_the_browser_s_only_when_asked(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app("home.py")
    stranger, log = app.session_state["visitor"], EventLog()
    log.append(stranger, "sample", [rated("839", 5.0), rated("460", 4.0)])
    monkeypatch.setattr(st, "user", ANN)
    app.run()
    account = identity.account("https://id.example", "17")
    assert visitor.visitor_id() == account
    assert log.events(account) == []
    assert "Signed in as Ann \\*A\\*" in "".join(caption.value for caption in app.caption)
    press(app, "Add what you rated (2) before signing in")
    assert [row.item_id for row in log.standing(account, "sample")] == ["839", "460"]
    assert log.events(stranger) == []
    assert not any(label.startswith("Add what") for label in labels(app))
    visitor_ratings.claim()  # a second press adds nothing
    assert len(log.events(account)) == 2


def test_the_same_subject_of_another_issuer_is_another_account() -> None:
    assert identity.account("https://a.example", "17") != identity.account("https://b.example", "17")
