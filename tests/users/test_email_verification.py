"""Verification of e-mail addresses, and what sign-up and sign-in make of it."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.conf import Limit
from accounts.errors import MailTokenInvalid
from accounts.models import User, UserQuerySet
from accounts.users import mail_tokens
from accounts.users.mail_tokens import Purpose
from accounts.users.registration import DECOY_DOMAIN
from accounts.values.clients import NO_CLIENT
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user

URL = "/api/auth/email/verify"
OTHER = "the attacker's own"


def verify(api, token):
    return api.post(URL, {"token": token})


def resend(api, email="alice@example.com"):
    return api.post(f"{URL}/resend", {"email": email})


@pytest.fixture
def token(clock, api, mailed_token):
    api.sign_up("alice")
    return mailed_token()


@pytest.fixture
def strict(auth, clock):
    auth(unverified_signin=False)


@pytest.fixture
def hiding(auth, clock):
    auth(unverified_signin=False, hide_known_email=True)


def test_a_sign_up_is_mailed_a_link_that_verifies(api, mailoutbox, mailed_token, clock):
    api.sign_up("alice")

    [mail] = mailoutbox
    assert (mail.to, mail.subject) == (["alice@example.com"], "Verify your e-mail address")
    assert "http://localhost:8000/verify-email#token=" in mail.body
    assert verify(api, mailed_token()).status_code == 204
    assert User.objects.get().is_email_verified


def test_a_second_use_changes_nothing(api, token, clock):
    verify(api, token)
    first = User.objects.get().email_verified_at
    clock.advance(minutes=1)

    assert verify(api, token).status_code == 204
    assert User.objects.get().email_verified_at == first


def test_a_token_is_good_for_a_short_time(api, token, clock, assert_refused):
    clock.advance(seconds=601)

    assert_refused(verify(api, token), 400, "invalid_request")
    assert not User.objects.get().is_email_verified


def test_a_token_for_another_address_is_none(api, token, assert_refused):
    signed_in = SignedIn("alice")
    signed_in.patch("/api/auth/me", {"email": "new@example.com"}, signed_in.access_token)

    assert_refused(verify(api, token), 400, "invalid_request")
    assert not User.objects.get().is_email_verified


def test_a_token_that_resets_a_password_verifies_nothing(api, token, assert_refused):
    assert_refused(
        verify(api, mail_tokens.issue(Purpose.RESET_PASSWORD, User.objects.get())), 400, "invalid_request"
    )


@pytest.mark.parametrize("nonsense", ["", "x", "\ud800", 5, None])
def test_nonsense_is_no_token(api, nonsense, assert_refused):
    assert_refused(verify(api, nonsense), 400, "invalid_request")


def test_another_link_is_mailed_on_demand(api, token, mailoutbox, mailed_token):
    assert resend(api).status_code == 202

    assert len(mailoutbox) == 2
    assert verify(api, mailed_token()).status_code == 204


def test_nothing_is_mailed_where_nothing_is_to_be_verified(api, token, mailoutbox):
    verify(api, token)
    known, unknown = resend(api), resend(api, "nobody@example.com")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
    assert len(mailoutbox) == 1


def test_by_default_an_unverified_user_signs_in(api, clock):
    api.sign_up("alice")

    assert api.sign_in("alice").status_code == 200


def test_by_setting_an_unverified_user_does_not(strict, api, mailed_token, assert_refused):
    api.sign_up("alice")
    assert_refused(api.sign_in("alice"), 403, "email_unverified")

    verify(api, mailed_token())

    assert api.sign_in("alice").status_code == 200


def test_only_who_knows_the_password_is_told_that(strict, api, assert_refused):
    api.sign_up("alice")

    assert_refused(api.sign_in("alice", "wrong password"), 401, "invalid_credentials")


def test_a_reset_by_mail_verifies_too(strict, api, mailed_token):
    api.sign_up("alice")
    api.post("/api/auth/password/reset", {"email": "alice@example.com"})
    api.post("/api/auth/password/reset/confirm", {"token": mailed_token(), "newPassword": "another good one"})

    assert api.sign_in("alice", "another good one").status_code == 200


def test_an_unverified_administrator_is_told_so_on_the_admin_s_page(strict, client):
    make_administrator()
    answer = client.post("/admin/login/", {"username": "root", "password": PASSWORD})

    assert answer.status_code == 200
    assert b"not verified" in answer.content


def test_a_superuser_made_on_the_command_line_is_verified(strict, client, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", interactive=False, username="root", email="root@example.com", verbosity=0)

    assert client.post("/admin/login/", {"username": "root", "password": PASSWORD}).status_code == 302


def test_sign_ups_never_verified_are_purged_after_a_week(strict, api, clock, mailed_token):
    api.sign_up("alice")
    api.sign_up("bob")
    verify(api, mailed_token())
    clock.advance(days=6, hours=23)
    call_command("purge_expired_tokens", stdout=None)
    assert User.objects.count() == 2

    clock.advance(hours=1)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().username == "bob"


def test_who_signed_up_while_it_was_not_asked_for_is_not_purged(api, clock, auth):
    api.sign_up("alice")
    auth(unverified_signin=False)
    clock.advance(days=400)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().username == "alice"


def test_who_has_signed_in_since_is_not_purged(api, clock, auth):
    auth(unverified_signin=False)
    api.sign_up("alice")
    auth(unverified_signin=True)
    assert api.sign_in("alice").status_code == 200
    clock.advance(days=8)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.exists()


def test_who_was_given_a_role_is_not_purged(strict, api, clock):
    api.sign_up("alice")
    call_command("grantrole", "alice", "admin", stdout=None)
    clock.advance(days=8)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.exists()


def test_who_verifies_during_the_purge_is_not_purged(strict, api, clock, monkeypatch):
    """Between the reading of a batch and its deletion."""
    api.sign_up("alice")
    clock.advance(days=8)
    select_for_update = UserQuerySet.select_for_update

    def verify_first(self, *arguments, **options):
        User.objects.get_queryset().verify_email(at=timezone.now())
        return select_for_update(self, *arguments, **options)

    monkeypatch.setattr(UserQuerySet, "select_for_update", verify_first)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().is_email_verified


def test_who_changes_the_address_is_not_purged(strict, api, clock, mailed_token):
    api.sign_up("alice")
    verify(api, mailed_token())
    signed_in = SignedIn("alice")
    signed_in.patch("/api/auth/me", {"email": "new@example.com"}, signed_in.access_token)
    clock.advance(days=8)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().email == "new@example.com"


class TestHiding:
    """AUTH_HIDE_KNOWN_EMAIL."""

    @pytest.fixture(autouse=True)
    def _owner(self, hiding):
        make_user("owner", email="owner@example.com", email_verified_at="2020-01-01T00:00:00Z")

    def test_a_sign_up_under_a_known_address_is_answered_like_any_other(self, api):
        known = api.sign_up("mallory", email="Owner@example.com")
        fresh = api.sign_up("malvina", email="fresh@example.com")

        assert (known.status_code, fresh.status_code) == (201, 201)
        answers = [known.json(), fresh.json()]
        assert answers[1].pop("id") == answers[0].pop("id") + 1
        assert answers[0] == {**answers[1], "username": "mallory", "email": "Owner@example.com"}

    def test_its_time_is_the_same(self, api, django_assert_num_queries):
        with django_assert_num_queries(_queries(lambda: api.sign_up("carol", email="carol@example.com"))):
            api.sign_up("mallory", email="owner@example.com")

    def test_the_owner_is_told_and_nobody_else(self, api, mailoutbox):
        api.sign_up("mallory", email="OWNER@example.com")

        assert [(mail.to, mail.subject) for mail in mailoutbox] == [
            (["owner@example.com"], "You have an account already")
        ]

    def test_no_sign_in_reset_or_second_sign_up_tells(self, api, assert_refused, mailoutbox):
        api.sign_up("mallory", email="owner@example.com")
        api.sign_up("malvina", email="fresh@example.com")

        for username, email in (("mallory", "owner@example.com"), ("malvina", "fresh@example.com")):
            assert_refused(api.sign_in(username), 403, "email_unverified")
            assert_refused(api.sign_in(username, "wrong password"), 401, "invalid_credentials")
            assert_refused(api.sign_up(username, email="x@example.com"), 400, "username_taken")
            assert api.sign_up(f"{username}2", email=email).status_code == 201
            assert resend(api, email).status_code == 202

    @pytest.mark.parametrize("email", ["owner@example.com", "fresh@example.com", "unknown@example.com"])
    def test_no_sign_in_by_the_address_tells(self, api, assert_refused, auth, email):
        """The password is the attacker's own: right for a fresh account, wrong for the owner's."""
        auth(account_limit=Limit(3, 900))
        api.sign_up("mallory", email="owner@example.com", password=OTHER)
        api.sign_up("malvina", email="fresh@example.com", password=OTHER)

        for _ in range(3):
            assert_refused(api.sign_in(email, OTHER), 401, "invalid_credentials")
        assert_refused(api.sign_in(email, OTHER), 429, "throttled")

    def test_once_verified_the_address_signs_in(self, api, mailed_token):
        api.sign_up("malvina", email="fresh@example.com")
        verify(api, mailed_token())

        assert api.sign_in("fresh@example.com").status_code == 200

    def test_the_owner_s_account_stays_as_it_is(self, api):
        before = User.objects.values().get(username="owner")
        api.sign_up("mallory", email="owner@example.com")

        assert User.objects.values().get(username="owner") == before
        assert SignedIn("owner").content().status_code == 200

    def test_a_decoy_has_nobody_s_address_and_goes_with_the_sign_ups_never_verified(self, api, clock):
        api.sign_up("mallory", email="owner@example.com")
        assert User.objects.get(username="mallory").email.endswith(f"@{DECOY_DOMAIN}")

        clock.advance(days=7)
        call_command("purge_expired_tokens", stdout=None)

        assert User.objects.get().username == "owner"

    def test_a_taken_username_is_told_all_the_same(self, api, assert_refused):
        assert_refused(api.sign_up("owner", email="other@example.com"), 400, "username_taken")


def _queries(act):
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    with CaptureQueriesContext(connection) as queries:
        assert act().status_code == 201
    return len(queries)


def test_without_hiding_a_known_address_is_told(api, assert_refused):
    make_user("owner")

    assert_refused(api.sign_up("mallory", email="OWNER@example.com"), 400, "email_taken")


def test_sign_ups_are_limited_per_address_they_would_mail(auth, assert_refused):
    auth(account_limit=Limit(2, 900))
    for number in range(2):
        Api().sign_up(f"user{number}", email="victim@example.com")

    assert_refused(Api().sign_up("user3", email="VICTIM@example.com"), 429, "throttled")


@pytest.mark.parametrize("purpose", Purpose)
def test_the_server_key_alone_makes_no_token(purpose):
    """Who has it, and not the database, lacks the stamp."""
    user = make_user()
    guessed = User(pk=user.pk, email_key=user.email_key, security_stamp=user.security_stamp ^ 1)

    with pytest.raises(MailTokenInvalid):
        mail_tokens.find_user(purpose, mail_tokens.issue(purpose, guessed), NO_CLIENT)
    assert mail_tokens.find_user(purpose, mail_tokens.issue(purpose, user), NO_CLIENT) == user
