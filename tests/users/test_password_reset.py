"""POST /api/auth/password/reset and …/confirm: reset a forgotten password by email."""

import pytest
from django.core.management import call_command

from accounts.conf import Limit
from accounts.history import mail
from accounts.limits import attempts
from accounts.models import User
from accounts.users import mail_tokens, passwords
from accounts.users.mail_tokens import Purpose
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import make_user

URL = "/api/auth/password/reset"
NEW_PASSWORD = "another good one"


@pytest.fixture
def alice(clock):
    return make_user("alice")


@pytest.fixture
def token(api, alice, mailed_token):
    request_reset(api)
    return mailed_token()


def request_reset(api, email="alice@example.com"):
    return api.post(URL, {"email": email})


def confirm(api, token, new=NEW_PASSWORD):
    return api.post(f"{URL}/confirm", {"token": token, "newPassword": new})


def test_a_mailed_link_sets_a_new_password(api, token, assert_refused):
    assert confirm(api, token).status_code == 204

    assert api.sign_in("alice", NEW_PASSWORD).status_code == 200
    assert_refused(api.sign_in("alice"), 401, "invalid_credentials")


def test_a_reset_revokes_every_session(api, token, assert_refused):
    sessions = [SignedIn("alice") for _ in range(2)]

    confirm(api, token)

    for session in sessions:
        assert_refused(session.content(), 401, "token_revoked")
        assert_refused(session.refresh(session.refresh_token), 403, "refresh_token_revoked")


@pytest.mark.parametrize("public_url", ["", "https://auth.example.com", "https://example.com/auth/"])
def test_the_link_starts_with_the_public_url_and_never_with_the_host_header(
    api, alice, override_auth, mailoutbox, settings, public_url
):
    override_auth(public_url=public_url)
    settings.ALLOWED_HOSTS = ["*"]
    api.post(URL, {"email": "alice@example.com"}, Host="evil.example", **{"X-Forwarded-Host": "evil.example"})

    base = public_url.rstrip("/") or f"http://localhost:{settings.PORT}"
    assert f"\n{base}/reset-password#token=" in mailoutbox[0].body
    assert "evil" not in str(mailoutbox[0].message())


def test_the_email_goes_to_the_stored_address(api, alice, mailoutbox):
    """Two addresses with the same key may be different mailboxes, and the typed one may belong to an attacker."""
    assert request_reset(api, "ALICE@EXAMPLE.COM").status_code == 202

    assert mailoutbox[0].to == ["alice@example.com"]


@pytest.mark.parametrize("variant", ["ＡＬＩＣＥ@example.com", "\u00a0alice＠example．com ", "Alice@Example.com"])
def test_the_address_matches_in_any_case_and_unicode_form(api, alice, mailoutbox, variant):
    assert request_reset(api, variant).status_code == 202
    assert api.post("/api/auth/email/verify/resend", {"email": variant}).status_code == 202

    assert [message.to for message in mailoutbox] == [["alice@example.com"]] * 2


def test_the_response_is_the_same_for_an_unknown_address(api, alice, mailoutbox):
    known, unknown = request_reset(api), request_reset(api, "nobody@example.com")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
    assert known.headers == unknown.headers
    assert len(mailoutbox) == 1


def test_an_unknown_address_costs_as_many_queries_before_the_response(
    api, alice, monkeypatch, django_assert_num_queries
):
    jobs = []
    monkeypatch.setattr(
        "accounts.history.background.BackgroundQueue.after_commit", lambda self, job, *arguments: jobs.append(job)
    )

    for address in ("alice@example.com", "nobody@example.com"):
        with django_assert_num_queries(3):
            request_reset(api, address)
    assert len(jobs) == 2


def test_an_email_is_rendered_even_for_an_unknown_address(api, alice, monkeypatch, mailoutbox):
    rendered = []
    render = mail._render
    monkeypatch.setattr(
        mail, "_render", lambda *arguments, **context: rendered.append(1) or render(*arguments, **context)
    )
    for address in ("alice@example.com", "nobody@example.com"):
        request_reset(api, address)

    assert (len(rendered), len(mailoutbox)) == (2, 1)


def test_a_deactivated_user_gets_no_email(api, alice, mailoutbox):
    call_command("deactivateuser", "alice")

    assert request_reset(api).status_code == 202
    assert mailoutbox == []


def test_a_token_works_only_once(api, token, assert_refused):
    confirm(api, token)

    assert_refused(confirm(api, token, "yet another one"), 400, "invalid_request")
    assert api.sign_in("alice", NEW_PASSWORD).status_code == 200


def test_a_token_expires_after_ten_minutes(api, token, clock, assert_refused):
    clock.advance(seconds=601)

    response = confirm(api, token)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["token"]


def test_a_token_works_until_its_last_second(api, token, clock):
    clock.advance(seconds=600)

    assert confirm(api, token).status_code == 204


def test_a_password_change_invalidates_every_reset_token(api, token, alice, assert_refused):
    passwords.set_password(alice, "a third good one", NO_CLIENT)

    assert_refused(confirm(api, token), 400, "invalid_request")


def test_an_email_change_invalidates_every_reset_token(api, token, assert_refused):
    signed_in = SignedIn("alice")
    signed_in.patch("/api/auth/me", {"email": "new@example.com"}, signed_in.access_token)

    assert_refused(confirm(api, token), 400, "invalid_request")


def test_a_deactivation_invalidates_every_reset_token_for_good(api, token, assert_refused):
    call_command("deactivateuser", "alice")
    call_command("activateuser", "alice")

    assert_refused(confirm(api, token), 400, "invalid_request")


def test_a_user_deactivated_directly_in_the_database_cannot_reset(api, token, assert_refused):
    User.objects.update(is_active=False)

    assert_refused(confirm(api, token), 400, "invalid_request")


def test_a_weak_password_is_rejected_and_the_token_stays_valid(api, token, assert_refused):
    response = confirm(api, token, "short")

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["newPassword"]
    assert response.json()["message"].startswith("newPassword: ")
    assert confirm(api, token).status_code == 204


def test_a_reset_verifies_the_email_address(api, token):
    confirm(api, token)

    assert User.objects.get().is_email_verified


def test_a_verification_token_cannot_reset_a_password(api, alice, assert_refused):
    assert_refused(confirm(api, mail_tokens.issue(Purpose.VERIFY_EMAIL, alice)), 400, "invalid_request")


@pytest.mark.parametrize(("is_fallback", "status"), [(True, 204), (False, 400)])
def test_a_token_works_under_another_secret_key_only_if_its_own_is_a_fallback(
    api, token, settings, is_fallback, status
):
    fallbacks = [settings.SECRET_KEY] if is_fallback else []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, fallbacks

    assert confirm(api, token).status_code == status


def test_a_token_cannot_reset_the_password_of_another_user(api, alice, token, assert_refused):
    bob = make_user("bob")
    forged = mail_tokens._signer(Purpose.RESET_PASSWORD).sign_object([bob.pk, mail_tokens._proof(alice)])

    assert_refused(confirm(api, forged), 400, "invalid_request")


def test_an_altered_token_is_rejected(api, token, assert_refused):
    for position in range(0, len(token), 7):
        altered = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert_refused(confirm(api, altered), 400, "invalid_request")


@pytest.mark.parametrize("malformed", ["", "x", ":", "::", "a:b:c", "\ud800", "\x00", "é" * 40, "x" * 60000, "."])
def test_a_malformed_token_is_rejected(api, alice, malformed, assert_refused):
    assert_refused(confirm(api, malformed), 400, "invalid_request")


@pytest.mark.parametrize(
    "email", ["", "x", "@", "a@b@c", "\ud800@x.example", "x\x00@x.example", 5, None, ["x"], "a" * 300]
)
def test_an_invalid_email_address_is_rejected(api, email, assert_refused):
    response = request_reset(api, email)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["email"]


def test_the_limit_on_emails_to_one_recipient_does_not_show_in_the_response(api, alice, override_auth, mailoutbox):
    override_auth(account_limit=Limit(3, 900))
    for address in ("Alice@example.com", "nobody@example.com"):
        assert {request_reset(api, address).status_code for _ in range(5)} == {202}
    assert len(mailoutbox) == 3


def test_strangers_who_exhaust_the_limit_do_not_block_the_owner(api, override_auth, mailoutbox):
    override_auth(account_limit=Limit(3, 900))
    make_user("alice")
    api.sign_in("alice")
    stranger = type(api)(REMOTE_ADDR="198.51.100.9")
    assert {request_reset(stranger).status_code for _ in range(5)} == {202}
    assert len(mailoutbox) == 3

    request_reset(api)

    assert len(mailoutbox) == 4


def test_reset_requests_are_limited_per_ip_address(api, override_auth, assert_refused):
    override_auth(address_limit=Limit(3, 900))
    for number in range(3):
        request_reset(api, f"user{number}@example.com")

    assert_refused(request_reset(api, "another@example.com"), 429, "throttled")


def test_wrong_tokens_are_limited_per_ip_address(api, token, override_auth, assert_refused):
    override_auth(address_limit=Limit(3, 900))
    for _ in range(3):
        confirm(api, "wrong")

    assert_refused(confirm(api, token), 429, "throttled")


def test_a_user_without_a_password_can_set_one_with_a_reset(api, mailed_token, clock):
    user = make_user("alice")
    passwords.set_password(user, None, NO_CLIENT)

    request_reset(api)

    assert confirm(api, mailed_token()).status_code == 204
    assert api.sign_in("alice", NEW_PASSWORD).status_code == 200


def test_no_part_of_a_token_is_stored(api, token):
    from django.apps import apps  # noqa: PLC0415

    rows = [row for model in apps.get_models() for row in model.objects.values()]

    assert attempts.keyed_digest("x")
    assert token[:20] not in str(rows)


def test_the_page_masks_the_password_and_lets_password_managers_fill_it_in(client):
    page = client.get("/reset-password").content.decode()

    assert '<input type="password" name="newPassword" autocomplete="new-password"' in page
    assert "onpaste" not in page
