"""Descriptions of devices, and the networks that a client belongs to."""

import pytest

from accounts.values.clients import Client
from accounts.values.devices import UNKNOWN, describe, load_patterns

LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
    "Mobile Safari/537.36"
)
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36 Edg/126.0"


@pytest.mark.parametrize(
    ("user_agent", "description"),
    [
        (LINUX, "Firefox on Linux"),
        (IPHONE, "Safari on iOS"),
        (ANDROID, "Chrome on Android"),
        (MAC, "Edge on macOS"),
        ("curl/7.88.1", "curl"),
        ("python-requests/2.31.0", "Python Requests"),
        ("Dart/3.2 (dart:io)", "Dart"),
        ("", UNKNOWN),
        ("///", UNKNOWN),
        ("évil.com/1", "évil com"),
    ],
)
def test_a_user_agent_is_described_in_words(user_agent, description):
    assert describe(user_agent) == description


def test_the_patterns_of_hardware_models_take_no_memory():
    assert load_patterns().parse_user_agent(ANDROID).family == "Chrome Mobile"
    assert load_patterns().parse_device(ANDROID) is None


@pytest.mark.parametrize(
    "hostile", ["https://evil.example/x", "<b>bold</b>", "a" * 255, "Chrome.evil.com/1", "\u202eabc"]
)
def test_a_hostile_user_agent_gets_a_short_description_that_is_not_a_link(hostile):
    name = describe(hostile)

    assert len(name) <= 60
    assert not set(name) & set("./:<>\u202e")


def test_the_wider_network_contains_neighboring_networks():
    assert Client("192.0.2.7", "").wider_network == Client("192.0.99.1", "").wider_network
    assert Client("192.0.2.7", "").wider_network != Client("192.1.2.7", "").wider_network
    assert Client("2001:db8:1::1", "").wider_network == Client("2001:db8:2::1", "").wider_network
    assert Client("2001:db8:1::1", "").network != Client("2001:db8:2::1", "").network
    assert Client("192.0.2.7", "").network == "192.0.2.7"
    assert Client(None, "").wider_network == "unknown"
