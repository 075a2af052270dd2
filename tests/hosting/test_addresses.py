"""The address of a visitor: the one that a trusted proxy has added, never one that the visitor has written."""

import pytest

from pages.hosting.visitor import counted_address, forwarded_address

A, B, C = "8.8.8.8", "1.1.1.1", "9.9.9.9"


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (A, A),
        (f"{B}, {A}", A),  # the visitor has written the first one
        (f"{B},{C},, {A} ", A),
        (f"{B}, {A}, 10.0.0.7, 192.168.1.1", A),  # two proxies of one network
        (f"{A}, nonsense", A),
        (f"{B}, {A}:4711", A),
        ("2001:4860:4860::8888", "2001:4860:4860::/64"),
        (f"{B}, [2001:4860:4860:0:1::2]:443", "2001:4860:4860::/64"),
        ("10.0.0.7, 127.0.0.1", ""),
        ("", ""),
        ("unknown, _hidden", ""),
    ],
)
def test_the_last_public_address_is_the_visitor_s(header: str, address: str) -> None:
    assert forwarded_address(header) == address
    assert forwarded_address(f"{C}, 2a00::1, {header}" if address else header) == address


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        (A, A),
        (f"{A}:80", A),
        (f"::ffff:{A}", A),
        (f"[::ffff:{A}]:80", A),
        ("2001:4860:4860::1", "2001:4860:4860::/64"),
        ("2001:4860:4860:0:ffff::1", "2001:4860:4860::/64"),
        ("[2001:4860:4860:0:ffff::1]", "2001:4860:4860::/64"),
        ("2001:4860:4861::1", "2001:4860:4861::/64"),
        ("fe80::1%eth0", ""),
        ("::1", ""),
        ("100.64.3.4", ""),
        ("None", ""),
        ("8.8.8", ""),
    ],
)
def test_an_address_of_ipv6_is_its_network_and_a_private_one_is_none(text: str, counted: str) -> None:
    assert counted_address(text) == counted
