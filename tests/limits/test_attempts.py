"""Limits on failed guesses: per account, per address, in the API and in the admin alike."""

import pytest
from django.core.management import call_command
from django.test import Client as Browser

from accounts.conf import Limit
from accounts.models import GuessCount, KnownOrigin
from accounts.models.origins import MAX_ORIGINS_PER_KIND
from authproject.wsgi import build_application
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user

HOME, STRANGER = "192.0.2.1", "198.51.100.9"


def guess(username, password="wrong password", address=STRANGER):
    body = {"username": username, "password": password}
    return Api().http.post("/api/auth/signin", body, "application/json", REMOTE_ADDR=address)


def sign_up(username, address):
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    assert Api().http.post("/api/auth/signup", body, "application/json", REMOTE_ADDR=address).status_code == 201


@pytest.fixture(autouse=True)
def _still(clock):
    """Keep the time from moving."""


def test_ten_failed_guesses_on_one_account_are_allowed(assert_refused):
    make_user("alice")

    for _ in range(10):
        assert_refused(guess("alice"), 401, "invalid_credentials")
    answer = guess("alice")

    assert_refused(answer, 429, "throttled")
    assert answer["Retry-After"] == "900"


def test_the_right_password_does_not_pass_while_the_limit_is_reached(assert_refused):
    make_user("alice")
    for _ in range(10):
        guess("alice")

    assert_refused(guess("alice", PASSWORD), 429, "throttled")


def test_guesses_by_username_and_by_address_count_together(assert_refused):
    make_user("alice")
    for _ in range(5):
        guess("alice")
        guess("ALICE@example.com")

    assert_refused(guess(" Alice "), 429, "throttled")


def test_guesses_from_many_addresses_count_together(assert_refused):
    make_user("alice")
    for number in range(10):
        guess("alice", address=f"198.51.100.{number}")

    assert_refused(guess("alice", address="203.0.113.1"), 429, "throttled")


def test_the_window_ends_whatever_was_tried_meanwhile(clock, assert_refused):
    make_user("alice")
    for _ in range(10):
        guess("alice")
    clock.advance(minutes=14)
    answer = guess("alice", PASSWORD)
    assert_refused(answer, 429, "throttled")
    assert answer["Retry-After"] == "60"

    clock.advance(minutes=1)

    assert guess("alice", PASSWORD).status_code == 200


def test_an_unknown_account_is_limited_just_the_same(assert_refused):
    answers = [guess("nobody") for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert answers[10].json()["message"] == "Too many attempts. Try again in 900 seconds."


def test_a_stranger_does_not_lock_the_owner_out():
    make_user("alice")
    assert guess("alice", PASSWORD, HOME).status_code == 200
    for _ in range(12):
        guess("alice")

    assert guess("alice", PASSWORD, HOME).status_code == 200
    assert guess("alice", PASSWORD, "192.0.2.2").status_code == 429


def test_from_the_owners_own_network_guesses_are_limited_too(assert_refused):
    make_user("alice")
    guess("alice", PASSWORD, HOME)
    for _ in range(10):
        guess("alice")

    for _ in range(10):
        assert_refused(guess("alice", address=HOME), 401, "invalid_credentials")
    assert_refused(guess("alice", PASSWORD, HOME), 429, "throttled")


def test_who_has_only_signed_up_is_not_locked_out_by_a_stranger():
    sign_up("alice", HOME)
    for _ in range(12):
        guess("alice")

    assert guess("alice", PASSWORD, HOME).status_code == 200


def test_from_where_the_owner_signed_up_ten_guesses_are_allowed_no_more(assert_refused):
    sign_up("alice", HOME)
    for _ in range(10):
        assert_refused(guess("alice", address=HOME), 401, "invalid_credentials")

    assert_refused(guess("alice", PASSWORD, HOME), 429, "throttled")


def test_a_network_is_known_after_its_sessions_are_purged(clock):
    make_user("alice")
    guess("alice", PASSWORD, HOME)
    clock.advance(days=40)
    call_command("purge_expired_tokens")
    for _ in range(12):
        guess("alice")

    assert guess("alice", PASSWORD, HOME).status_code == 200


def test_a_session_that_is_open_goes_on_while_its_account_is_locked():
    signed_in = SignedIn(make_user("alice").username)
    for _ in range(12):
        guess("alice")

    assert signed_in.content().status_code == 200
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


def test_sign_ins_that_succeed_are_not_counted():
    make_user("alice")

    assert {guess("alice", PASSWORD).status_code for _ in range(25)} == {200}
    assert set(GuessCount.objects.values_list("count", flat=True)) == {0}


def test_one_address_is_limited_over_all_accounts(auth, assert_refused):
    auth(address_limit=Limit(5, 900))
    for number in range(5):
        assert_refused(guess(f"user-{number}"), 401, "invalid_credentials")

    make_user("alice")
    assert_refused(guess("alice", PASSWORD), 429, "throttled")
    assert guess("alice", PASSWORD, HOME).status_code == 200


def test_a_good_sign_in_of_ones_own_does_not_clear_the_address(auth, assert_refused):
    auth(address_limit=Limit(5, 900))
    make_user("mallory")
    for number in range(5):
        guess(f"victim-{number}")
        if number < 4:
            assert guess("mallory", PASSWORD).status_code == 200

    assert_refused(guess("victim-6"), 429, "throttled")


def test_sign_ups_count_against_the_address(auth, assert_refused):
    auth(address_limit=Limit(3, 900))
    api = Api()
    for number in range(3):
        assert api.sign_up(f"user-{number}").status_code == 201

    answer = api.sign_up("user-4")
    assert_refused(answer, 429, "throttled")
    assert int(answer["Retry-After"]) == 900


def test_a_sign_up_that_asks_for_a_taken_name_counts_too(auth, assert_refused):
    auth(address_limit=Limit(3, 900))
    make_user("alice")
    api = Api()
    for number in range(3):
        assert_refused(api.sign_up("alice", email=f"{number}@example.com"), 400, "username_taken")

    assert_refused(api.sign_up("alice", email="4@example.com"), 429, "throttled")


def test_attempts_on_a_locked_account_do_not_count_against_the_address(auth, assert_refused):
    auth(address_limit=Limit(12, 900))
    make_user("alice")
    for _ in range(10):
        guess("alice")
    for _ in range(5):
        assert_refused(guess("alice"), 429, "throttled")

    assert_refused(guess("bob"), 401, "invalid_credentials")


def test_ipv6_addresses_of_one_network_count_as_one(auth, assert_refused):
    auth(address_limit=Limit(3, 900))
    for number in range(3):
        guess(f"user-{number}", address=f"2001:db8:1:2::{number + 1:x}")

    assert_refused(guess("x", address="2001:db8:1:2:ffff::1"), 429, "throttled")
    assert_refused(guess("x", address="2001:db8:1:3::1"), 401, "invalid_credentials")


def test_empty_limits_are_no_limits(auth):
    auth(account_limit=None, address_limit=None)

    assert {guess("nobody").status_code for _ in range(15)} == {401}
    assert not GuessCount.objects.exists()


def test_counters_hold_no_name_and_no_address():
    guess("nobody@example.com")

    kept = str(list(GuessCount.objects.values()))
    assert "nobody" not in kept
    assert STRANGER not in kept


class TestDjangoAdmin:
    """The site's own sign-in."""

    def sign_in(self, password, browser=None):
        form = {"username": "root", "password": password}
        return (browser or Browser()).post("/admin/login/", form, REMOTE_ADDR=STRANGER)

    def test_an_administrator_signs_in(self):
        make_administrator()

        assert self.sign_in(PASSWORD).status_code == 302

    def test_an_administrator_is_not_locked_out_by_a_stranger(self):
        make_administrator()
        assert self.sign_in(PASSWORD).status_code == 302
        for _ in range(12):
            guess("root", address="203.0.113.50")

        assert self.sign_in(PASSWORD).status_code == 302

    def test_it_counts_together_with_the_api(self):
        make_administrator()
        for _ in range(5):
            guess("root")
            assert self.sign_in("wrong password").status_code == 200

        assert b"Too many attempts" in self.sign_in(PASSWORD).content
        assert guess("root", PASSWORD).status_code == 429

    def test_old_passwords_are_not_guessed_without_limit_on_the_password_page(self):
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

    def test_a_password_too_long_to_be_one_is_not_hashed(self, monkeypatch):
        make_administrator()
        monkeypatch.setattr("accounts.models.users.check_password", None)

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
    ],
)
def test_forwarded_addresses_count_from_configured_proxies_alone(auth, monkeypatch, peer, forwarded, counted):
    auth(trusted_proxies=("10.0.0.0/8",))
    seen = []
    monkeypatch.setattr(
        "authproject.wsgi.get_wsgi_application", lambda: lambda environ, start: seen.append(environ) or []
    )
    build_application()(
        {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}, lambda *_: None
    )

    assert seen[0]["REMOTE_ADDR"] == counted


@pytest.mark.parametrize(("peer", "scheme"), [("10.0.0.1", "https"), ("198.51.100.9", "http")])
def test_the_forwarded_scheme_counts_from_configured_proxies_alone(auth, monkeypatch, peer, scheme):
    auth(trusted_proxies=("10.0.0.0/8",))
    seen = []
    monkeypatch.setattr("authproject.wsgi.get_wsgi_application", lambda: lambda environ, _: seen.append(environ))

    environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    build_application()({**environ, "HTTP_X_FORWARDED_PROTO": "https"}, None)

    assert seen[0]["wsgi.url_scheme"] == scheme


def test_refused_attempts_on_names_without_number_leave_nothing_behind(auth):
    auth(address_limit=Limit(3, 900))
    for number in range(10):
        Api().sign_in(f"nobody{number}", "wrong password")

    assert GuessCount.objects.count() == 1 + 3


class TestKnownOrigins:
    """What is known of a user's networks and devices."""

    def test_is_bounded(self, clock):
        make_user("alice")
        for number in range(MAX_ORIGINS_PER_KIND + 5):
            clock.advance(seconds=1)
            Api(HTTP_USER_AGENT=f"app{number}/1", REMOTE_ADDR=f"192.0.2.{number}").sign_in("alice")

        assert KnownOrigin.objects.filter(kind="device").count() == MAX_ORIGINS_PER_KIND
        assert KnownOrigin.objects.filter(kind="network").count() == MAX_ORIGINS_PER_KIND

    def test_keeps_the_newest(self, clock, mailoutbox):
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

    def test_is_renewed_by_use(self, clock, mailoutbox):
        make_user("alice")
        for _ in range(14):
            Api(HTTP_USER_AGENT="app/1").sign_in("alice")
            clock.advance(days=31)
            call_command("purge_expired_tokens", stdout=None)

        Api(HTTP_USER_AGENT="attacker/1").sign_in("alice")

        assert [mail.subject for mail in mailoutbox] == ["A sign-in from a new device"]
