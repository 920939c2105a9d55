"""Where webhooks may be sent."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.webhooks.receiver_url import check_receiver_url, is_allowed

PRIVATE = [ipaddress.ip_network("10.1.0.0/16")]

NOT_PUBLIC = [
    "127.0.0.1", "10.0.0.7", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:7",
    "2002:7f00:1::", "2002:a9fe:a9fe::",
    "fec0::1", "::ffff:0:7f00:1", "64:ff9b:1:7f00:0:100:808:808", "2606:4700::5efe:a00:7", "2606:4700::200:5efe:7f00:1",
    "3fff::1", "5f00::1", "1::1", "192.0.0.9", "192.88.99.1",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_refused_in_every_disguise(text: str) -> None:
    assert not is_allowed(ipaddress.ip_address(text), [], secure=True)
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(BadInput, match="must be public"):
        check_receiver_url(f"https://{host}/hooks", [], "url")


@pytest.mark.parametrize("text", ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_allowed_over_tls_only(text: str) -> None:
    assert is_allowed(ipaddress.ip_address(text), [], secure=True)
    assert not is_allowed(ipaddress.ip_address(text), PRIVATE, secure=False)


def test_a_private_network_of_the_operator_is_allowed_also_without_tls() -> None:
    for secure in (True, False):
        assert is_allowed(ipaddress.ip_address("10.1.2.3"), PRIVATE, secure=secure)
        assert not is_allowed(ipaddress.ip_address("10.2.2.3"), PRIVATE, secure=secure)
    assert check_receiver_url("http://10.1.2.3:8080/x", PRIVATE, "url") == "http://10.1.2.3:8080/x"


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_and_its_ipv6_forms_are_decided_alike(address: ipaddress.IPv4Address) -> None:
    forms = [
        ipaddress.IPv6Address(f"::ffff:{address}"),
        ipaddress.IPv6Address((0x0064FF9B << 96) | int(address)),
        ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80)),
    ]
    decided = is_allowed(address, [], secure=True)
    assert [is_allowed(form, [], secure=True) for form in forms] == [decided] * 3


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/", "ftp://app.example.com/", "//app.example.com/", "https://", "https:///path", "hooks",
        "https://user:secret@app.example.com/", "https://app.example.com/#part", "https://app.example.com/a b",
        "https://app.example.com/a|b", "https://app.example.com/\n", "https://äpp.example.com/", "https://[::1/",
        "https://app.example.com:99999/", "https://app.example.com/" + "x" * 2_048, "",
    ],
)  # fmt: skip
def test_what_is_no_receiver_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(BadInput, match="url"):
        check_receiver_url(url, [], "url")


def test_a_usual_url_is_taken_as_it_is() -> None:
    for url in ("https://app.example.com/hooks?run=7", "https://hooks.example.com:8443/a%20b"):
        assert check_receiver_url(url, [], "url") == url


@given(st.text(max_size=60))
def test_no_text_ends_in_another_error(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/x"):
        try:
            check_receiver_url(url, PRIVATE, "url")
        except BadInput:
            continue
