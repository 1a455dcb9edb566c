"""Verify email addresses: POST /api/auth/email/verify and …/resend, AUTH_UNVERIFIED_SIGNIN, AUTH_HIDE_KNOWN_EMAIL."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.conf import Limit
from accounts.errors import MailTokenInvalid
from accounts.models import User, UserQuerySet
from accounts.users import mail_tokens
from accounts.users.mail_tokens import Purpose
from accounts.values.clients import NO_CLIENT
from accounts.values.identifiers import DECOY_DOMAIN
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user

URL = "/api/auth/email/verify"
ATTACKERS_PASSWORD = "the attacker's own"


def verify(api, token):
    return api.post(URL, {"token": token})


def resend(api, email="alice@example.com"):
    return api.post(f"{URL}/resend", {"email": email})


@pytest.fixture
def token(clock, api, mailed_token):
    api.sign_up("alice")
    return mailed_token()


@pytest.fixture
def verification_required(override_auth, clock):
    override_auth(unverified_signin=False)


@pytest.fixture
def known_email_hidden(override_auth, clock):
    override_auth(unverified_signin=False, hide_known_email=True)


def test_a_sign_up_sends_a_link_that_verifies_the_address(api, mailoutbox, mailed_token, clock):
    api.sign_up("alice")

    [mail] = mailoutbox
    assert (mail.to, mail.subject) == (["alice@example.com"], "Verify your email address")
    assert "http://localhost:8000/verify-email#token=" in mail.body
    assert verify(api, mailed_token()).status_code == 204
    assert User.objects.get().is_email_verified


def test_a_second_use_of_a_token_changes_nothing(api, token, clock):
    verify(api, token)
    first = User.objects.get().email_verified_at
    clock.advance(minutes=1)

    assert verify(api, token).status_code == 204
    assert User.objects.get().email_verified_at == first


def test_a_token_expires_after_ten_minutes(api, token, clock, assert_refused):
    clock.advance(seconds=601)

    assert_refused(verify(api, token), 400, "invalid_request")
    assert not User.objects.get().is_email_verified


def test_a_token_does_not_verify_a_changed_address(api, token, assert_refused):
    signed_in = SignedIn("alice")
    signed_in.patch("/api/auth/me", {"email": "new@example.com"}, signed_in.access_token)

    assert_refused(verify(api, token), 400, "invalid_request")
    assert not User.objects.get().is_email_verified


def test_a_reset_token_does_not_verify_an_address(api, token, assert_refused):
    assert_refused(
        verify(api, mail_tokens.issue(Purpose.RESET_PASSWORD, User.objects.get())), 400, "invalid_request"
    )


@pytest.mark.parametrize("malformed", ["", "x", "\ud800", 5, None])
def test_a_malformed_token_is_rejected(api, malformed, assert_refused):
    assert_refused(verify(api, malformed), 400, "invalid_request")


def test_another_link_is_sent_on_request(api, token, mailoutbox, mailed_token):
    assert resend(api).status_code == 202

    assert len(mailoutbox) == 2
    assert verify(api, mailed_token()).status_code == 204


def test_no_link_is_sent_to_a_verified_or_unknown_address(api, token, mailoutbox):
    verify(api, token)
    known, unknown = resend(api), resend(api, "nobody@example.com")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
    assert len(mailoutbox) == 1


def test_by_default_an_unverified_user_can_sign_in(api, clock):
    api.sign_up("alice")

    assert api.sign_in("alice").status_code == 200


def test_an_unverified_user_cannot_sign_in_where_verification_is_required(
    verification_required, api, mailed_token, assert_refused
):
    api.sign_up("alice")
    assert_refused(api.sign_in("alice"), 403, "email_unverified")

    verify(api, mailed_token())

    assert api.sign_in("alice").status_code == 200


def test_a_wrong_password_does_not_reveal_that_the_address_is_unverified(
    verification_required, api, assert_refused
):
    api.sign_up("alice")

    assert_refused(api.sign_in("alice", "wrong password"), 401, "invalid_credentials")


def test_a_password_reset_verifies_the_address(verification_required, api, mailed_token):
    api.sign_up("alice")
    api.post("/api/auth/password/reset", {"email": "alice@example.com"})
    api.post("/api/auth/password/reset/confirm", {"token": mailed_token(), "newPassword": "another good one"})

    assert api.sign_in("alice", "another good one").status_code == 200


def test_the_admin_sign_in_page_says_that_the_address_is_not_verified(verification_required, client):
    make_administrator()
    response = client.post("/admin/login/", {"username": "root", "password": PASSWORD})

    assert response.status_code == 200
    assert b"not verified" in response.content


def test_createsuperuser_marks_the_address_as_verified(verification_required, client, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", interactive=False, username="root", email="root@example.com", verbosity=0)

    assert client.post("/admin/login/", {"username": "root", "password": PASSWORD}).status_code == 302


def test_unverified_sign_ups_are_purged_after_a_week(verification_required, api, clock, mailed_token):
    api.sign_up("alice")
    api.sign_up("bob")
    verify(api, mailed_token())
    clock.advance(days=6, hours=23)
    call_command("purge_expired_tokens", stdout=None)
    assert User.objects.count() == 2

    clock.advance(hours=1)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().username == "bob"


def test_a_sign_up_from_before_verification_was_required_is_not_purged(api, clock, override_auth):
    api.sign_up("alice")
    override_auth(unverified_signin=False)
    clock.advance(days=400)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().username == "alice"


def test_an_unverified_user_who_has_signed_in_is_not_purged(api, clock, override_auth):
    override_auth(unverified_signin=False)
    api.sign_up("alice")
    override_auth(unverified_signin=True)
    assert api.sign_in("alice").status_code == 200
    clock.advance(days=8)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.exists()


def test_an_unverified_user_with_a_granted_role_is_not_purged(verification_required, api, clock):
    api.sign_up("alice")
    call_command("grantrole", "alice", "admin", stdout=None)
    clock.advance(days=8)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.exists()


def test_a_user_who_verifies_during_the_purge_is_not_purged(verification_required, api, clock, monkeypatch):
    """The verification comes after the purge has selected a batch and before it deletes that batch."""
    api.sign_up("alice")
    clock.advance(days=8)
    select_for_update = UserQuerySet.select_for_update

    def verify_first(self, *arguments, **options):
        User.objects.get_queryset().verify_email(at=timezone.now())
        return select_for_update(self, *arguments, **options)

    monkeypatch.setattr(UserQuerySet, "select_for_update", verify_first)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().is_email_verified


def test_a_user_who_changes_their_address_is_not_purged(verification_required, api, clock, mailed_token):
    api.sign_up("alice")
    verify(api, mailed_token())
    signed_in = SignedIn("alice")
    signed_in.patch("/api/auth/me", {"email": "new@example.com"}, signed_in.access_token)
    clock.advance(days=8)
    call_command("purge_expired_tokens", stdout=None)

    assert User.objects.get().email == "new@example.com"


class TestHideKnownEmail:
    """With AUTH_HIDE_KNOWN_EMAIL, nothing reveals whether an address has an account."""

    @pytest.fixture(autouse=True)
    def _owner(self, known_email_hidden):
        make_user("owner", email="owner@example.com", email_verified_at="2020-01-01T00:00:00Z")

    def test_a_sign_up_with_a_known_address_gets_the_same_response(self, api):
        known = api.sign_up("mallory", email="Owner@example.com")
        fresh = api.sign_up("malvina", email="fresh@example.com")

        assert (known.status_code, fresh.status_code) == (201, 201)
        responses = [known.json(), fresh.json()]
        assert responses[1].pop("id") == responses[0].pop("id") + 1
        assert responses[0] == {**responses[1], "username": "mallory", "email": "Owner@example.com"}

    def test_a_sign_up_with_a_known_address_makes_as_many_queries(self, api, django_assert_num_queries):
        with django_assert_num_queries(_count_queries(lambda: api.sign_up("carol", email="carol@example.com"))):
            api.sign_up("mallory", email="owner@example.com")

    def test_only_the_owner_is_notified(self, api, mailoutbox):
        api.sign_up("mallory", email="OWNER@example.com")

        assert [(mail.to, mail.subject) for mail in mailoutbox] == [
            (["owner@example.com"], "You already have an account")
        ]

    def test_sign_in_resend_and_second_sign_up_do_not_reveal_the_account(self, api, assert_refused, mailoutbox):
        api.sign_up("mallory", email="owner@example.com")
        api.sign_up("malvina", email="fresh@example.com")

        for username, email in (("mallory", "owner@example.com"), ("malvina", "fresh@example.com")):
            assert_refused(api.sign_in(username), 403, "email_unverified")
            assert_refused(api.sign_in(username, "wrong password"), 401, "invalid_credentials")
            assert_refused(api.sign_up(username, email="x@example.com"), 400, "username_taken")
            assert api.sign_up(f"{username}2", email=email).status_code == 201
            assert resend(api, email).status_code == 202

    @pytest.mark.parametrize("email", ["owner@example.com", "fresh@example.com", "unknown@example.com"])
    def test_a_sign_in_by_email_does_not_reveal_the_account(self, api, assert_refused, override_auth, email):
        """The attacker's password is right for an account they created and wrong for the account of the owner."""
        override_auth(account_limit=Limit(3, 900))
        api.sign_up("mallory", email="owner@example.com", password=ATTACKERS_PASSWORD)
        api.sign_up("malvina", email="fresh@example.com", password=ATTACKERS_PASSWORD)

        for _ in range(3):
            assert_refused(api.sign_in(email, ATTACKERS_PASSWORD), 401, "invalid_credentials")
        assert_refused(api.sign_in(email, ATTACKERS_PASSWORD), 429, "throttled")

    def test_a_user_can_sign_in_by_a_verified_address(self, api, mailed_token):
        api.sign_up("malvina", email="fresh@example.com")
        verify(api, mailed_token())

        assert api.sign_in("fresh@example.com").status_code == 200

    def test_the_account_of_the_owner_does_not_change(self, api):
        before = User.objects.values().get(username="owner")
        api.sign_up("mallory", email="owner@example.com")

        assert User.objects.values().get(username="owner") == before
        assert SignedIn("owner").content().status_code == 200

    def test_a_decoy_has_an_undeliverable_address_and_is_purged(self, api, clock):
        api.sign_up("mallory", email="owner@example.com")
        assert User.objects.get(username="mallory").email.endswith(f"@{DECOY_DOMAIN}")

        clock.advance(days=7)
        call_command("purge_expired_tokens", stdout=None)

        assert User.objects.get().username == "owner"

    def test_a_taken_username_is_still_reported(self, api, assert_refused):
        assert_refused(api.sign_up("owner", email="other@example.com"), 400, "username_taken")


def _count_queries(request):
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    with CaptureQueriesContext(connection) as queries:
        assert request().status_code == 201
    return len(queries)


def test_by_default_a_known_address_is_reported(api, assert_refused):
    make_user("owner")

    assert_refused(api.sign_up("mallory", email="OWNER@example.com"), 400, "email_taken")


def test_sign_ups_are_limited_per_recipient(override_auth, assert_refused):
    override_auth(account_limit=Limit(2, 900))
    for number in range(2):
        Api().sign_up(f"user{number}", email="victim@example.com")

    assert_refused(Api().sign_up("user3", email="VICTIM@example.com"), 429, "throttled")


@pytest.mark.parametrize("purpose", Purpose)
def test_the_secret_key_alone_cannot_forge_a_token(purpose):
    """An attacker with SECRET_KEY but no access to the database does not know the security stamp."""
    user = make_user()
    guessed = User(pk=user.pk, email_key=user.email_key, security_stamp=user.security_stamp ^ 1)

    with pytest.raises(MailTokenInvalid):
        mail_tokens.find_user(purpose, mail_tokens.issue(purpose, guessed), NO_CLIENT)
    assert mail_tokens.find_user(purpose, mail_tokens.issue(purpose, user), NO_CLIENT) == user
