"""Which addresses an application may register."""

import pytest
from django.core.exceptions import ValidationError

from accounts.sso.addresses import parse_lines, validate_backchannel_uri, validate_redirect_uri


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example.com",
        "https://shop.example.com/",
        "https://shop.example.com/callback?tenant=1&x=",
        "https://shop.example.com:8443/callback",
        "https://xn--bcher-kva.example/a%2Fb/.well-known/..a",
        "https://192.0.2.7/callback",
        "https://[2001:db8::1]:8443/callback",
        "https://shop/callback",
        "http://localhost:3000/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:5000/callback",
    ],
)
def test_a_normalized_address_is_accepted(address):
    validate_redirect_uri(address)
    validate_backchannel_uri(address)


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("http://shop.example.com/callback", "use https"),
        ("http://127.0.0.1.example.com/callback", "use https"),
        ("http://localhost.example.com/callback", "use https"),
        ("http://192.168.0.1/callback", "use https"),
        ("shop.example.com/callback", "use https"),
        ("//shop.example.com/callback", "use https"),
        ("javascript:alert(1)", "use https"),
        ("com.example.shop:/callback", "use https"),
        ("https:/shop.example.com", "use https"),
        ("HTTPS://shop.example.com/", "use https"),
        ("https://Shop.example.com/", "lower case"),
        ("https://shop.example.com:443/", "default"),
        ("http://localhost:80/", "default"),
        ("https://shop.example.com:/", "default"),
        ("https://shop.example.com:08443/", "default"),
        ("https://shop.example.com:0/", "default"),
        ("https://shop.example.com:65536/", "no address"),
        ("https://shop.example.com./", "lower case"),
        ("https://-shop.example.com/", "lower case"),
        ("https://127.1/", "lower case"),
        ("https://0x7f.0.0.1/", "lower case"),
        ("https://0x7f000001/", "lower case"),
        ("https://2130706433/", "lower case"),
        ("https://[2001:DB8::1]/", "lower case"),
        ("https://[fe80::1%25eth0]/", "lower case"),
        ("https://[v1.fe]/", "lower case"),
        ("https://[::1/", "no address"),
        ("https:///callback", "lower case"),
        ("https://shop.example.com/#", "fragment"),
        ("https://shop.example.com/#x", "fragment"),
        ("https://user@shop.example.com/", "user name"),
        ("https://shop.example.com@evil.example/", "user name"),
        ("https://:@shop.example.com/", "user name"),
        ("https://*.example.com/", "exactly"),
        ("https://shop.example.com/*", "exactly"),
        ("https://shop.example.com/a/../callback", "segments"),
        ("https://shop.example.com/a/..", "segments"),
        ("https://shop.example.com/./callback", "segments"),
        ("https://shop.example.com/%2e%2e/callback", "segments"),
        ("https://shop.example.com/%2E%2E/callback", "segments"),
        ("https://shop.example.com/%41", "segments"),
        ("https://shop.example.com/%7E", "segments"),
        ("https://shop.example.com/a%2fb", "segments"),
        ("https://shop.example.com/100%", "segments"),
        ("https://shop.example.com\\@evil.example/", "encode"),
        ("https://shop.example.com/a b", "encode"),
        ("https://shop.example.com/\n", "encode"),
        ("https://bücher.example/", "encode"),
        ("https://shop.example.com/ü", "encode"),
        ("https://shop.example.com/\0", "encode"),
        ("", "encode"),
        ("https://shop.example.com/" + "x" * 500, "500"),
    ],
)
def test_another_address_is_refused_with_what_is_allowed(address, advice):
    for validate in (validate_redirect_uri, validate_backchannel_uri):
        with pytest.raises(ValidationError) as refused:
            validate(address)
        [message] = refused.value.messages
        assert advice in message


@pytest.mark.parametrize("name", ["code", "state", "iss", "error"])
def test_a_redirect_address_has_no_parameter_that_the_sign_in_adds(name):
    with pytest.raises(ValidationError, match="leave out the parameters"):
        validate_redirect_uri(f"https://shop.example.com/callback?a=1&{name}=x")


def test_each_line_is_an_address_once():
    assert parse_lines(" https://a.example/ \r\n\n\nhttps://b.example/\nhttps://a.example/") == [
        "https://a.example/",
        "https://b.example/",
    ]
