"""The client of a request: its address and user agent as they are stored, whatever a header contains."""

import ipaddress
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.values.clients import USER_AGENT_LENGTH, Client

ADDRESSES = [
    ("192.0.2.1", "192.0.2.1"),
    ("2001:DB8::0:1", "2001:db8::1"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("fe80::1%eth0", "fe80::1"),
    ("192.0.2", None),
    ("192.0.2.01", None),
    ("0x7f.0.0.1", None),
    ("192.0.2.1\0", None),
    ("١.0.2.1", None),
    ("\udcff", None),
    ("unix:", None),
    ("", None),
]


def address_of(text):
    return Client.from_environ({"REMOTE_ADDR": text}).address


@pytest.mark.parametrize(("text", "stored"), ADDRESSES)
def test_an_address_is_stored_in_its_canonical_form(text, stored):
    assert address_of(text) == stored


@pytest.mark.parametrize(
    ("address", "network", "wider"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.0.0/16"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8::/32"),
        (None, "unknown", "unknown"),
    ],
)
def test_the_network_of_an_address_is_that_of_one_household(address, network, wider):
    client = Client(address, "")
    assert (client.network, client.wider_network) == (network, wider)


@given(st.ip_addresses())
def test_the_wider_network_is_that_of_the_standard_library(address):
    prefix = 16 if address.version == 4 else 32
    expected = ipaddress.ip_network((str(address), prefix), strict=False)
    assert Client(str(address), "").wider_network == str(expected)


def test_a_client_without_a_known_address_has_none():
    assert Client.from_environ({}) == Client(None, "")


@given(st.lists(st.from_regex(r"[0-9]{0,4}", fullmatch=True), min_size=3, max_size=5).map(".".join))
def test_the_ipv4_addresses_are_those_of_the_standard_library(text):
    try:
        expected = str(ipaddress.ip_address(text))
    except ValueError:
        expected = None
    assert address_of(text) == expected


@given(st.text())
def test_a_user_agent_is_stored_without_control_characters(text):
    stored = Client.from_environ({"HTTP_USER_AGENT": text}).user_agent
    assert stored == "".join(char for char in text if unicodedata.category(char)[0] != "C")[:USER_AGENT_LENGTH]
