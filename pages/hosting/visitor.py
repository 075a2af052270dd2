"""The visitor of this session: their identity, their address, and the limits on their requests."""

from __future__ import annotations

import os
import re
import uuid
from ipaddress import ip_address, ip_network

import streamlit as st

from pages.hosting import identity
from pages.hosting.limits import Buckets
from pages.hosting.logs import log_event
from recengine.errors import BadInput
from recengine.settings import hosted


def visitor_id() -> str:
    """Return the id of the account that has signed in, or else of this browser's cookie, the same in every tab.

    Nothing in the address can name another visitor.
    """
    return account_id() or browser_id()


def browser_id() -> str:
    """Return the visitor of the signed cookie; a browser that keeps no cookies is a new one in each session."""
    if "visitor" not in st.session_state:
        known = identity.visitor_of(st.context.cookies)
        st.session_state["visitor"] = known or uuid.uuid4().hex
        st.session_state["visitor returns"] = known is not None
        log_event("a visit began")
    return st.session_state["visitor"]


def is_remembered() -> bool:
    """Return whether this visitor can be recognised later, by an account or a cookie that the browser sent back."""
    return account_id() is not None or (bool(browser_id()) and st.session_state["visitor returns"])


@st.cache_resource(show_spinner=False)
def has_provider() -> bool:
    """Return whether the secrets, as they were when the app started, name an identity provider."""
    return bool(st.secrets.load_if_toml_exists() and "auth" in st.secrets)


def account_id() -> str | None:
    """Return the visitor who has signed in with an identity provider, by issuer and subject; None without a sign-in."""
    if not has_provider():
        return None
    claims = st.user.to_dict()
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not claims.get("is_logged_in") or not isinstance(issuer, str) or not isinstance(subject, str):
        return None
    return identity.account(issuer, subject)


@st.cache_resource(show_spinner=False)
def _buckets() -> Buckets:
    return Buckets()


def check_limit(kind: str, count: int = 1) -> None:
    """Count what this visitor asks for. Raises BadInput, only in a hosted app, beyond their limit."""
    if hosted():
        try:
            _buckets().take(kind, visitor_id(), client_address(), count=count)
        except BadInput:
            log_event("a limit was reached", count=count)
            raise


def client_address() -> str:
    """Return the address by which the visitor is limited, or "" where it is unknown."""
    if (
        os.environ.get("FORWARDED_ALLOW_IPS", "").strip() == "*"
    ):  # the server then believes what the visitor has written
        return forwarded_address(", ".join(st.context.headers.get_all("x-forwarded-for")))
    return counted_address(str(st.context.ip_address))


def forwarded_address(header: str) -> str:
    """Return the last public address of a list to which each proxy has added the address that called it."""
    return next(filter(None, map(counted_address, reversed(header.split(",")))), "")


def counted_address(text: str) -> str:
    """Return the address that is counted: "" for a private one, which is a proxy's, and the whole network for IPv6.

    Whoever has one IPv6 address has at least all of its /64.
    """
    bare = re.sub(r"^\[(.*)\](:\d+)?$|^([^:]*):\d+$", r"\1\3", text.strip()).partition("%")[0]
    try:
        address = ip_address(bare)
    except ValueError:  # there is none
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_global:
        return ""
    return str(address) if address.version == 4 else str(ip_network(f"{address}/64", strict=False))
