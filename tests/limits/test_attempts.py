"""Limits on failed sign-ins per account and per IP address, in the API and in the admin."""

import os
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.test import Client as Browser
from django.utils.crypto import salted_hmac

from accounts.conf import Limit
from accounts.limits.attempts import keyed_digest
from accounts.models import GuessCount, KnownOrigin
from accounts.models.origins import MAX_ORIGINS_PER_KIND
from authproject.proxies import trust_proxies
from authproject.wsgi import build_application
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user
from tests.servers import ROOT

HOME, STRANGER = "192.0.2.1", "198.51.100.9"


def attempt_sign_in(username, password="wrong password", address=STRANGER):
    body = {"username": username, "password": password}
    return Api().http.post("/api/auth/signin", body, "application/json", REMOTE_ADDR=address)


def sign_up(username, address):
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    assert Api().http.post("/api/auth/signup", body, "application/json", REMOTE_ADDR=address).status_code == 201


@pytest.fixture(autouse=True)
def _frozen_clock(clock):
    """Freeze time, so that no window ends during a test."""


def test_a_digest_is_that_of_its_parts_and_server_key_whatever_was_digested_before(settings):
    """Stored counters and known devices are found by it, also those of earlier releases."""

    def expected(value, key):
        return salted_hmac("accounts.guessing", value, key, algorithm="sha256").hexdigest()[:32]

    settings.SECRET_KEY = "a" * 50
    assert keyed_digest("network", "é") == keyed_digest("network", "é") == expected("network\0é", "a" * 50)
    assert keyed_digest("network", "x", server_key="b" * 50) == expected("network\0x", "b" * 50)
    settings.SECRET_KEY = "n" * 50
    assert keyed_digest("network", "é") == expected("network\0é", "n" * 50)


def test_ten_failed_attempts_on_one_account_are_allowed(assert_refused):
    make_user("alice")

    for _ in range(10):
        assert_refused(attempt_sign_in("alice"), 401, "invalid_credentials")
    response = attempt_sign_in("alice")

    assert_refused(response, 429, "throttled")
    assert response["Retry-After"] == "900"


def test_the_right_password_is_throttled_once_the_limit_is_reached(assert_refused):
    make_user("alice")
    for _ in range(10):
        attempt_sign_in("alice")

    assert_refused(attempt_sign_in("alice", PASSWORD), 429, "throttled")


def test_attempts_by_username_and_by_email_count_together(assert_refused):
    make_user("alice")
    for _ in range(5):
        attempt_sign_in("alice")
        attempt_sign_in("ALICE@example.com")

    assert_refused(attempt_sign_in(" Alice "), 429, "throttled")


def test_attempts_from_many_ip_addresses_count_together(assert_refused):
    make_user("alice")
    for number in range(10):
        attempt_sign_in("alice", address=f"198.51.100.{number}")

    assert_refused(attempt_sign_in("alice", address="203.0.113.1"), 429, "throttled")


def test_throttled_attempts_do_not_extend_the_window(clock, assert_refused):
    make_user("alice")
    for _ in range(10):
        attempt_sign_in("alice")
    clock.advance(minutes=14)
    response = attempt_sign_in("alice", PASSWORD)
    assert_refused(response, 429, "throttled")
    assert response["Retry-After"] == "60"

    clock.advance(minutes=1)

    assert attempt_sign_in("alice", PASSWORD).status_code == 200


def test_an_unknown_account_is_limited_like_a_known_one(assert_refused):
    responses = [attempt_sign_in("nobody") for _ in range(11)]

    assert [response.status_code for response in responses] == [401] * 10 + [429]
    assert responses[10].json()["message"] == "Too many attempts. Try again in 900 seconds."


def test_a_stranger_does_not_lock_the_owner_out():
    make_user("alice")
    assert attempt_sign_in("alice", PASSWORD, HOME).status_code == 200
    for _ in range(12):
        attempt_sign_in("alice")

    assert attempt_sign_in("alice", PASSWORD, HOME).status_code == 200
    assert attempt_sign_in("alice", PASSWORD, "192.0.2.2").status_code == 429


def test_attempts_from_a_known_network_are_limited_too(assert_refused):
    make_user("alice")
    attempt_sign_in("alice", PASSWORD, HOME)
    for _ in range(10):
        attempt_sign_in("alice")

    for _ in range(10):
        assert_refused(attempt_sign_in("alice", address=HOME), 401, "invalid_credentials")
    assert_refused(attempt_sign_in("alice", PASSWORD, HOME), 429, "throttled")


def test_a_stranger_does_not_lock_out_a_user_who_has_only_signed_up():
    sign_up("alice", HOME)
    for _ in range(12):
        attempt_sign_in("alice")

    assert attempt_sign_in("alice", PASSWORD, HOME).status_code == 200


def test_attempts_from_the_network_of_the_sign_up_are_limited_too(assert_refused):
    sign_up("alice", HOME)
    for _ in range(10):
        assert_refused(attempt_sign_in("alice", address=HOME), 401, "invalid_credentials")

    assert_refused(attempt_sign_in("alice", PASSWORD, HOME), 429, "throttled")


def test_a_network_stays_known_after_its_sessions_are_purged(clock):
    make_user("alice")
    attempt_sign_in("alice", PASSWORD, HOME)
    clock.advance(days=40)
    call_command("purge_expired_tokens")
    for _ in range(12):
        attempt_sign_in("alice")

    assert attempt_sign_in("alice", PASSWORD, HOME).status_code == 200


def test_an_open_session_stays_valid_while_its_account_is_locked():
    signed_in = SignedIn(make_user("alice").username)
    for _ in range(12):
        attempt_sign_in("alice")

    assert signed_in.content().status_code == 200
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


def test_successful_sign_ins_are_not_counted():
    make_user("alice")

    assert {attempt_sign_in("alice", PASSWORD).status_code for _ in range(25)} == {200}
    assert set(GuessCount.objects.values_list("count", flat=True)) == {0}


def test_one_ip_address_is_limited_across_all_accounts(override_auth, assert_refused):
    override_auth(address_limit=Limit(5, 900))
    for number in range(5):
        assert_refused(attempt_sign_in(f"user-{number}"), 401, "invalid_credentials")

    make_user("alice")
    assert_refused(attempt_sign_in("alice", PASSWORD), 429, "throttled")
    assert attempt_sign_in("alice", PASSWORD, HOME).status_code == 200


def test_a_successful_sign_in_does_not_reset_the_count_of_its_ip_address(override_auth, assert_refused):
    override_auth(address_limit=Limit(5, 900))
    make_user("mallory")
    for number in range(5):
        attempt_sign_in(f"victim-{number}")
        if number < 4:
            assert attempt_sign_in("mallory", PASSWORD).status_code == 200

    assert_refused(attempt_sign_in("victim-6"), 429, "throttled")


def test_sign_ups_count_against_the_ip_address(override_auth, assert_refused):
    override_auth(address_limit=Limit(3, 900))
    api = Api()
    for number in range(3):
        assert api.sign_up(f"user-{number}").status_code == 201

    response = api.sign_up("user-4")
    assert_refused(response, 429, "throttled")
    assert int(response["Retry-After"]) == 900


def test_a_sign_up_with_a_taken_username_counts_too(override_auth, assert_refused):
    override_auth(address_limit=Limit(3, 900))
    make_user("alice")
    api = Api()
    for number in range(3):
        assert_refused(api.sign_up("alice", email=f"{number}@example.com"), 400, "username_taken")

    assert_refused(api.sign_up("alice", email="4@example.com"), 429, "throttled")


def test_attempts_on_a_locked_account_do_not_count_against_the_ip_address(override_auth, assert_refused):
    override_auth(address_limit=Limit(12, 900))
    make_user("alice")
    for _ in range(10):
        attempt_sign_in("alice")
    for _ in range(5):
        assert_refused(attempt_sign_in("alice"), 429, "throttled")

    assert_refused(attempt_sign_in("bob"), 401, "invalid_credentials")


def test_ipv6_addresses_of_one_network_count_as_one(override_auth, assert_refused):
    override_auth(address_limit=Limit(3, 900))
    for number in range(3):
        attempt_sign_in(f"user-{number}", address=f"2001:db8:1:2::{number + 1:x}")

    assert_refused(attempt_sign_in("x", address="2001:db8:1:2:ffff::1"), 429, "throttled")
    assert_refused(attempt_sign_in("x", address="2001:db8:1:3::1"), 401, "invalid_credentials")


def test_an_empty_limit_disables_counting(override_auth):
    override_auth(account_limit=None, address_limit=None)

    assert {attempt_sign_in("nobody").status_code for _ in range(15)} == {401}
    assert not GuessCount.objects.exists()


def test_counters_contain_no_username_and_no_ip_address():
    attempt_sign_in("nobody@example.com")

    stored = str(list(GuessCount.objects.values()))
    assert "nobody" not in stored
    assert STRANGER not in stored


class TestDjangoAdmin:
    """The sign-in and password pages of the Django admin."""

    def sign_in(self, password, browser=None):
        form = {"username": "root", "password": password}
        return (browser or Browser()).post("/admin/login/", form, REMOTE_ADDR=STRANGER)

    def test_an_administrator_can_sign_in(self):
        make_administrator()

        assert self.sign_in(PASSWORD).status_code == 302

    def test_a_stranger_does_not_lock_an_administrator_out(self):
        make_administrator()
        assert self.sign_in(PASSWORD).status_code == 302
        for _ in range(12):
            attempt_sign_in("root", address="203.0.113.50")

        assert self.sign_in(PASSWORD).status_code == 302

    def test_attempts_in_the_admin_and_in_the_api_count_together(self):
        make_administrator()
        for _ in range(5):
            attempt_sign_in("root")
            assert self.sign_in("wrong password").status_code == 200

        assert b"Too many attempts" in self.sign_in(PASSWORD).content
        assert attempt_sign_in("root", PASSWORD).status_code == 429

    def test_attempts_at_the_old_password_on_the_password_page_are_limited(self):
        browser = Browser()
        browser.force_login(make_administrator())
        new = {"new_password1": "another good one", "new_password2": "another good one"}
        for _ in range(10):
            page = browser.post("/admin/password_change/", {**new, "old_password": "wrong password"})
            assert b"Your old password was entered incorrectly." in page.content

        assert (
            b"Too many attempts"
            in browser.post("/admin/password_change/", {**new, "old_password": PASSWORD}).content
        )

    def test_a_password_over_the_maximum_length_is_not_hashed(self, monkeypatch):
        make_administrator()
        monkeypatch.setattr("accounts.models.users.verify", None)

        assert self.sign_in("x" * 100_000).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("198.51.100.9", "203.0.113.5", "198.51.100.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.5, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("unix:", "203.0.113.5", "unix:"),
        ("", "203.0.113.5", "unix:"),
    ],
)
def test_forwarded_addresses_are_trusted_only_from_configured_proxies(
    override_auth, monkeypatch, peer, forwarded, counted
):
    override_auth(trusted_proxies=("10.0.0.0/8",))
    seen = []
    monkeypatch.setattr(
        "authproject.wsgi.get_wsgi_application", lambda: lambda environ, start: seen.append(environ) or []
    )
    build_application()(
        {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}, lambda *_: None
    )

    assert seen[0]["REMOTE_ADDR"] == counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("", "203.0.113.5", "203.0.113.5"),
        ("unix:", "198.51.100.9, 203.0.113.5", "203.0.113.5"),
        ("unix:", "203.0.113.5, unix:", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5, unix:", "203.0.113.5"),
        ("198.51.100.9", "203.0.113.5", "198.51.100.9"),
    ],
)
def test_a_proxy_on_a_unix_socket_can_be_trusted(peer, forwarded, counted):
    seen = []
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}

    trust_proxies(lambda environ, _: seen.append(environ), ["10.0.0.0/8", "unix:"])(environ, lambda *_: None)

    assert seen[0]["REMOTE_ADDR"] == counted


@pytest.mark.parametrize(("peer", "scheme"), [("10.0.0.1", "https"), ("198.51.100.9", "http")])
def test_the_forwarded_scheme_is_trusted_only_from_configured_proxies(override_auth, monkeypatch, peer, scheme):
    override_auth(trusted_proxies=("10.0.0.0/8",))
    seen = []
    monkeypatch.setattr("authproject.wsgi.get_wsgi_application", lambda: lambda environ, _: seen.append(environ))

    environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    build_application()({**environ, "HTTP_X_FORWARDED_PROTO": "https"}, None)

    assert seen[0]["wsgi.url_scheme"] == scheme


def test_throttled_attempts_on_many_names_leave_no_counters_behind(override_auth):
    override_auth(address_limit=Limit(3, 900))
    for number in range(10):
        Api().sign_in(f"nobody{number}", "wrong password")

    assert GuessCount.objects.count() == 1 + 3


class TestKnownOrigins:
    """The networks and devices remembered for a user."""

    def test_the_number_of_known_origins_is_bounded(self, clock):
        make_user("alice")
        for number in range(MAX_ORIGINS_PER_KIND + 5):
            clock.advance(seconds=1)
            Api(HTTP_USER_AGENT=f"app{number}/1", REMOTE_ADDR=f"192.0.2.{number}").sign_in("alice")

        assert KnownOrigin.objects.filter(kind="device").count() == MAX_ORIGINS_PER_KIND
        assert KnownOrigin.objects.filter(kind="network").count() == MAX_ORIGINS_PER_KIND

    def test_the_newest_origins_stay_known(self, clock, mailoutbox):
        make_user("alice")
        for number in range(MAX_ORIGINS_PER_KIND + 5):
            clock.advance(seconds=1)
            Api(HTTP_USER_AGENT=f"app{number}/1").sign_in("alice")
        mailoutbox.clear()
        clock.advance(days=2)
        Api(HTTP_USER_AGENT=f"app{MAX_ORIGINS_PER_KIND}/1").sign_in("alice")
        assert mailoutbox == []

        Api(HTTP_USER_AGENT="app0/1").sign_in("alice")
        assert len(mailoutbox) == 1

    def test_a_device_stays_known_when_the_replaced_secret_key_is_a_fallback(self, settings, mailoutbox):
        make_user("alice")
        device = Api(HTTP_USER_AGENT="app/1")
        device.sign_in("alice")

        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
        device.sign_in("alice")
        settings.SECRET_KEY_FALLBACKS = []
        device.sign_in("alice")

        assert mailoutbox == []

    def test_a_network_stays_known_when_the_replaced_secret_key_is_a_fallback(self, settings, override_auth):
        override_auth(account_limit=Limit(2, 900))
        make_user("alice")
        Api(REMOTE_ADDR="192.0.2.1").sign_in("alice")
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]

        for _ in range(3):
            Api(REMOTE_ADDR="198.51.100.1").sign_in("alice", "wrong password")

        assert Api(REMOTE_ADDR="192.0.2.1").sign_in("alice").status_code == 200

    def test_a_sign_in_renews_a_known_origin(self, clock, mailoutbox):
        make_user("alice")
        for _ in range(14):
            Api(HTTP_USER_AGENT="app/1").sign_in("alice")
            clock.advance(days=31)
            call_command("purge_expired_tokens", stdout=None)

        Api(HTTP_USER_AGENT="attacker/1").sign_in("alice")

        assert [mail.subject for mail in mailoutbox] == ["New sign-in from an unknown device"]


@pytest.mark.parametrize(("url", "loaded"), [("", "False False"), ("redis://127.0.0.1:1/0", "True True")])
def test_the_libraries_of_the_cache_are_loaded_at_the_start_if_it_is_used(url, loaded):
    done = subprocess.run(
        [sys.executable, "-c", "import authproject.wsgi, sys; print(*[n in sys.modules for n in ('limits', 'redis')])"],
        cwd=ROOT,
        env={**os.environ, "CACHE_URL": url, "DJANGO_SETTINGS_MODULE": "authproject.settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )  # fmt: skip

    assert done.stdout == f"{loaded}\n"
