"""Test that a form is sent to a registered address only, and that no receiver can delay, exhaust or redirect it."""

import ipaddress
import socket
import ssl
import threading
import time

import pytest
import trustme

from accounts.sso import receivers
from accounts.sso.receivers import Failure, ReceiverFailed, is_public, post
from accounts.values.receiver_urls import ReceiverUrl
from tests.servers import wait_until
from tests.sso.receiving import raw_receiver, receiver

FORM = {"logout_token": "a.b.c"}


@pytest.fixture(autouse=True)
def _short_deadline(monkeypatch):
    monkeypatch.setattr(receivers, "DEADLINE", 0.5)


@pytest.fixture
def resolve(monkeypatch):
    """Return a function that lets every name resolve to some addresses, and counts the queries."""
    queries = []

    def install(*addresses):
        def getaddrinfo(host, port, **_):
            queries.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(receivers.socket, "getaddrinfo", getaddrinfo)
        return queries

    return install


@pytest.fixture
def connections(monkeypatch):
    """Return a list of the addresses that connections are opened to. None of them is reached."""
    opened = []

    def create_connection(address, _=None):
        opened.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(receivers.socket, "create_connection", create_connection)
    return opened


def failure_of(address):
    with pytest.raises(ReceiverFailed) as raised:
        post(address, FORM)
    return raised.value.failure


def test_the_form_reaches_the_receiver():
    with receiver() as running:
        assert post(running.url, FORM) == 200

        [request] = running.requests
        assert running.tokens == ["a.b.c"]
        assert request.headers["Host"] == f"127.0.0.1:{running.port}"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_the_query_of_the_address_is_sent():
    with receiver() as running:
        post(f"{running.url}?tenant=a%20b", FORM)

        assert running.requests[0].path == "/logout?tenant=a%20b"


def test_a_redirect_is_not_followed():
    with receiver() as running:
        running.status = 307

        assert post(running.url, FORM) == 307
        assert len(running.requests) == 1


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiver() as running:
        assert post(running.url, FORM) == 200


@pytest.mark.parametrize(
    "address",
    [
        "http://app.example/logout",
        "http://10.0.0.1/logout",
        "https://user@app.example/",
        "https://app.example/#x",
        "https://app.example/a b",
        "https://app.example/\r\nX: y",
        "https://app.example:0/",
        "https://app.example:99999/",
        "https://büro.example/",
        "https:///logout",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "http://localhost.evil.example/",
        "http://127.0.0.1@evil.example/",
        "",
    ],
)
def test_an_address_that_is_not_https_or_loopback_is_refused_without_a_name_query(address, resolve):
    queries = resolve("127.0.0.1")

    assert failure_of(address) == Failure.ADDRESS_INVALID
    assert queries == []


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254",
        "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
        "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_a_name_that_resolves_to_an_internal_address_is_refused(address, resolve, connections):
    resolve(address)

    assert failure_of("https://app.example/logout") == Failure.ADDRESS_REFUSED
    assert connections == []


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost.", "[::ffff:7f00:1]"]
)
def test_another_form_of_a_loopback_address_is_refused(host, connections):
    assert failure_of(f"https://{host}/") in {Failure.ADDRESS_REFUSED, Failure.NAME_UNKNOWN}
    assert connections == []


def test_localhost_that_resolves_elsewhere_is_refused(resolve, connections):
    resolve("93.184.216.34")

    assert failure_of("http://localhost:9000/") == Failure.ADDRESS_REFUSED
    assert connections == []


def test_a_public_address_is_connected_to_by_the_address_that_was_checked(resolve, connections):
    queries = resolve("10.0.0.1", "93.184.216.34")

    assert failure_of("https://app.example/logout") == Failure.CONNECTION
    assert connections == [("93.184.216.34", 443)]
    assert queries == ["app.example"]


def test_a_listed_network_is_allowed_and_its_neighbors_are_not(resolve, connections, override_auth):
    override_auth(internal_networks=("10.1.0.0/16", "fd00:1::/32"))
    for address in ("10.1.2.3", "fd00:1::5", "10.2.0.1", "fd00:2::5"):
        resolve(address)
        failure_of("https://app.example/")

    assert connections == [("10.1.2.3", 443), ("fd00:1::5", 443)]


def test_an_address_of_a_listed_network_needs_https(override_auth):
    override_auth(internal_networks=("10.0.0.0/8",))

    assert failure_of("http://10.0.0.1/") == Failure.ADDRESS_INVALID


def test_addresses_of_the_public_internet_are_public():
    for text in ("93.184.216.34", "8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1"):
        assert is_public(ipaddress.ip_address(text))


def test_an_unknown_name_is_reported_as_such():
    assert failure_of("https://app.invalid/") == Failure.NAME_UNKNOWN


def test_a_port_without_a_server_is_reported_as_a_failed_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    assert failure_of(url) == Failure.CONNECTION


def assert_ends_at_the_deadline(url):
    started_at = time.monotonic()
    try:
        outcome = post(url, FORM)
    except ReceiverFailed as failed:
        outcome = failed.failure
    assert time.monotonic() - started_at < 2
    return outcome


def test_a_receiver_that_hangs_fails_at_the_deadline():
    with raw_receiver(lambda _: time.sleep(5)) as url:
        assert assert_ends_at_the_deadline(url) == Failure.TIMEOUT


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n"])
def test_a_receiver_that_sends_one_byte_at_a_time_fails_at_the_deadline(start):
    def drip(connection):
        connection.sendall(start)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with raw_receiver(drip) as url:
        assert assert_ends_at_the_deadline(url) == Failure.TIMEOUT


def test_a_receiver_that_only_sends_interim_responses_fails_at_the_deadline():
    def repeat(connection):
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)

    with raw_receiver(repeat) as url:
        assert assert_ends_at_the_deadline(url) == Failure.TIMEOUT


def test_a_tls_handshake_that_never_ends_fails_at_the_deadline():
    with raw_receiver(lambda _: time.sleep(5)) as url:
        assert assert_ends_at_the_deadline(url.replace("http:", "https:")) == Failure.TIMEOUT


def test_an_endless_body_is_not_read():
    sent = []

    def flood(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sent.append(connection.send(b"fffff\r\n" + b"x" * 0xFFFFF))

    with raw_receiver(flood) as url:
        assert assert_ends_at_the_deadline(url) == 200
    assert sum(sent) < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x00\xff\x00",
        b"200 OK\r\n\r\n",
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"X" * 200_000,
        b"HTTP/1.1 200 OK\r\n" * 200,
    ],
)
def test_garbage_is_no_response(response):
    def respond(connection):
        connection.recv(65536)
        connection.sendall(response)

    with raw_receiver(respond) as url:
        assert failure_of(url) in {Failure.RESPONSE, Failure.CONNECTION}


def test_a_body_of_garbage_after_a_good_status_is_not_looked_at():
    def respond(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x00\xff\x00\xff\x00garbage")

    with raw_receiver(respond) as url:
        assert post(url, FORM) == 200


def test_no_thread_remains_after_an_exchange():
    with receiver() as running:
        post(running.url, FORM)

        wait_until(lambda: not any(isinstance(thread, threading.Timer) for thread in threading.enumerate()))


@pytest.fixture
def authority(monkeypatch):
    """Return a certificate authority that this process trusts for receivers."""
    trusted = trustme.CA()
    context = ssl.create_default_context()
    trusted.configure_trust(context)
    monkeypatch.setattr(receivers, "_tls_context", lambda: context)
    return trusted


def tls_of(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def at_loopback(monkeypatch):
    """Resolve every name to 127.0.0.1, and allow that address."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        receivers.socket, "getaddrinfo", lambda _, *rest, **options: real("127.0.0.1", *rest, **options)
    )
    monkeypatch.setattr(receivers, "is_public", lambda _: True)


def test_the_certificate_is_verified_for_the_registered_name(authority, at_loopback):
    with receiver(tls=tls_of(authority, "app.example")) as running:
        assert post(f"https://app.example:{running.port}/logout", FORM) == 200
        assert running.requests[0].headers["Host"] == f"app.example:{running.port}"

        assert failure_of(f"https://other.example:{running.port}/logout") == Failure.CERTIFICATE
    assert len(running.tokens) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(authority, at_loopback):
    with receiver(tls=tls_of(trustme.CA(), "app.example")) as running:
        assert failure_of(f"https://app.example:{running.port}/") == Failure.CERTIFICATE
        assert running.tokens == []


def test_the_parts_of_an_address_are_those_of_the_request():
    url = ReceiverUrl.parse("https://app.example:8443/a/b?c=d")

    assert url == ("https", "app.example", 8443, "app.example:8443", "/a/b?c=d", False)
    assert ReceiverUrl.parse("https://[2606:4700::1]").target == "/"
