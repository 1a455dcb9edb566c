"""The exchange of authorization codes: once, for one application, redirect URI and challenge."""

import datetime as dt

import jwt
import pytest
from django.utils import timezone
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from accounts.keys.key_ring import key_ring
from accounts.models import AuthorizationCode, EndReason, RefreshToken, SessionKind
from accounts.tokens import access_tokens
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.sso.flows import (
    BY_BOTH,
    CALLBACK,
    VERIFIER,
    Party,
    SingleSignOn,
    authorize,
    challenge_of,
    make_application,
    refused,
    sign_in_browser,
)


def child():
    return RefreshToken.objects.get(kind=SessionKind.TOKENS, parent__isnull=False)


def test_a_code_is_exchanged_for_tokens_of_a_new_session(signed_on):
    tokens, session = signed_on.tokens, child()
    claims = access_tokens.verify(tokens["access_token"], at=timezone.now())

    assert set(tokens) == {
        "access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "scope", "id_token",
    }  # fmt: skip
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 900, "openid profile email")
    assert (claims.client_id, claims.scope, claims.session_id) == ("shop", "openid profile email", session.pk)
    assert (session.application_id, session.parent_id) == ("shop", signed_on.browser.session.pk)
    assert (session.address, session.user_agent) == ("192.0.2.7", "Firefox")


def test_the_response_is_not_stored_and_may_be_read_by_every_origin(signed_on):
    response = signed_on.party.exchange("authcode_unknown")

    assert response["Cache-Control"] == "no-store"
    assert response["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response


def test_the_id_token_is_verified_by_another_library(signed_on):
    keys = KeySet.import_key_set(key_ring().jwks())
    token = joserfc_jwt.decode(signed_on.tokens["id_token"], keys, algorithms=["ES256"])
    claims = token.claims

    assert token.header["typ"] == "JWT"
    assert claims["iss"] == "http://localhost:8000"
    assert (claims["aud"], claims["sub"], claims["nonce"]) == ("shop", str(signed_on.user.pk), "the nonce")
    assert (claims["acr"], claims["amr"], claims["sid"]) == ("1", ["pwd"], str(child().pk))
    assert claims["auth_time"] == claims["iat"] == claims["exp"] - 900
    assert (claims["preferred_username"], claims["email"]) == ("alice", "alice@example.com")
    assert claims["email_verified"] is False
    # The known answer of OpenID Connect Core section 3.1.3.6: half of the SHA-256, in base64url.
    assert claims["at_hash"] == challenge_of(signed_on.tokens["access_token"])[:21] + claims["at_hash"][21:]
    assert len(claims["at_hash"]) == 22


def test_an_id_token_says_only_what_the_scope_asks_for(application):
    sign_on = SingleSignOn(scope="openid", nonce=None)
    claims = jwt.decode(sign_on.tokens["id_token"], options={"verify_signature": False})

    assert sign_on.tokens["scope"] == "openid"
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "auth_time", "acr", "amr", "sid", "at_hash"}


@pytest.mark.parametrize(("algorithm", "is_hashed"), [("RS256", True), ("EdDSA", False)])
def test_an_id_token_has_a_hash_where_the_standard_defines_it(
    application, override_auth, tmp_path, algorithm, is_hashed
):
    override_auth(algorithm=algorithm, keys_dir=tmp_path)
    claims = jwt.decode(SingleSignOn().tokens["id_token"], options={"verify_signature": False})

    assert ("at_hash" in claims) is is_hashed


def test_an_id_token_is_signed_and_never_encrypted(application, override_auth):
    override_auth(token_encryption=True)
    tokens = SingleSignOn().tokens

    assert tokens["access_token"].count(".") == 4
    assert jwt.get_unverified_header(tokens["id_token"])["typ"] == "JWT"


def test_a_code_is_good_once_and_its_second_use_ends_the_session(signed_on, events):
    assert refused(signed_on.party.exchange(signed_on.code))

    session = child()
    assert session.end_reason == EndReason.CODE_REUSED
    assert [line["event"] for line in events()] == ["authorization_code:reuse_detected", "session:ended"]
    assert Api().get("/api/test/user", signed_on.tokens["access_token"]).status_code == 401
    assert refused(signed_on.party.refresh(signed_on.tokens["refresh_token"]))


@pytest.mark.parametrize(
    "changes", [{"code_verifier": "x" * 43}, {"redirect_uri": "https://evil.example/"}, {"client_id": "other"}]
)
def test_every_second_use_ends_the_session_whoever_presents_the_code(signed_on, changes):
    make_application("other")
    Party("other").exchange(signed_on.code, **changes)

    assert child().end_reason == EndReason.CODE_REUSED


def test_a_second_use_is_recognized_long_after_the_code_expired(signed_on, clock):
    clock.advance(hours=12)
    signed_on.party.exchange(signed_on.code)

    assert child().end_reason == EndReason.CODE_REUSED


def test_a_code_is_good_for_sixty_seconds(application, clock):
    browser, _ = sign_in_browser(make_user())
    first, second = authorize(browser), authorize(browser)

    clock.advance(seconds=59)
    assert Party().exchange(first).status_code == 200
    clock.advance(seconds=1)
    assert refused(Party().exchange(second))


@pytest.mark.parametrize(
    "verifier",
    ["x" * 43, challenge_of(), VERIFIER + "x", VERIFIER[:-1], "\ud800".encode(errors="replace").decode()],
)
def test_a_stolen_code_is_useless_without_the_verifier_and_still_good_for_its_owner(application, verifier):
    browser, _ = sign_in_browser(make_user())
    code = authorize(browser)

    assert refused(Party().exchange(code, code_verifier=verifier))
    assert Party().exchange(code).status_code == 200


@pytest.mark.parametrize("verifier", ["x", "x" * 42, "x" * 129, "x" * 42 + "!", "x" * 42 + "ü"])
def test_a_verifier_that_could_be_guessed_is_refused_even_if_it_matches(application, verifier):
    browser, _ = sign_in_browser(make_user())

    assert refused(
        Party().exchange(authorize(browser, code_challenge=challenge_of(verifier)), code_verifier=verifier)
    )


@pytest.mark.parametrize("verifier", ["x" * 43, "x" * 128, "-._~" * 11])
def test_every_verifier_of_the_standard_is_accepted(application, verifier):
    browser, _ = sign_in_browser(make_user())
    code = authorize(browser, code_challenge=challenge_of(verifier))

    assert Party().exchange(code, code_verifier=verifier).status_code == 200


@pytest.mark.parametrize("name", ["code", "redirect_uri", "code_verifier", "grant_type"])
def test_every_parameter_of_an_exchange_is_required(application, name):
    browser, _ = sign_in_browser(make_user())

    for value in (None, ""):
        response = Party().exchange(authorize(browser), **{name: value})
        assert refused(response, "invalid_request")
        assert name in response.json()["error_description"]


def test_a_code_is_good_for_its_redirect_uri_only(application):
    application.redirect_uris = [CALLBACK, CALLBACK + "/2"]
    application.save()
    browser, _ = sign_in_browser(make_user())

    assert refused(Party().exchange(authorize(browser), redirect_uri=CALLBACK + "/2"))


def test_a_code_is_good_for_its_application_only(application):
    make_application("other")
    browser, _ = sign_in_browser(make_user())
    code = authorize(browser)

    assert refused(Party("other").exchange(code))
    assert Party().exchange(code).status_code == 200


@pytest.mark.parametrize("code", ["", "authcode_", "authcode_" + "x" * 43, "\x00", "ü", "x" * 5000])
def test_an_unknown_code_is_refused(application, code):
    response = Party().exchange(code)

    assert response.status_code == 400


def test_a_code_of_an_ended_sign_in_is_refused(application):
    browser, _ = sign_in_browser(make_user())
    code = authorize(browser)
    RefreshToken.objects.filter(pk=browser.session.pk).end(EndReason.REVOKED, at=timezone.now())

    assert refused(Party().exchange(code))


@pytest.mark.parametrize("change", ["password", "inactive", "deleted"])
def test_a_code_is_refused_once_the_account_has_changed(application, change):
    user = make_user()
    browser, _ = sign_in_browser(user)
    code = authorize(browser)
    if change == "password":
        user.set_password("another long password")
        user.save()
    elif change == "inactive":
        user.is_active = False
        user.save()
    else:
        user.delete()

    assert refused(Party().exchange(code))


def test_a_second_factor_that_was_added_after_the_sign_in_is_needed_for_a_new_session(application, enrolled):
    user = make_user()
    browser, _ = sign_in_browser(user)
    code = authorize(browser)
    enrolled(user)

    assert refused(Party().exchange(code))
    assert AuthorizationCode.objects.get().session_id is None


def test_the_session_has_the_level_and_the_time_of_the_browsers_sign_in(application, enrolled, clock):
    user = make_user("alice", roles=("user", "admin"))
    enrolled(user)
    browser, _ = sign_in_browser(user, BY_BOTH)
    clock.advance(minutes=7)
    tokens = Party().exchange(authorize(browser)).json()
    claims = access_tokens.verify(tokens["access_token"], at=timezone.now())

    assert (claims.level, claims.methods) == (2, ("pwd", "otp", "mfa"))
    assert claims.issued_at - claims.auth_time == 7 * 60
    assert claims.roles == ("admin", "user")


def test_a_role_that_needs_a_second_factor_is_not_in_an_applications_token_without_one(application, override_auth):
    override_auth(second_factor_roles=("admin",))
    user = make_user("alice", roles=("user", "admin"))
    browser, _ = sign_in_browser(user)
    tokens = Party().exchange(authorize(browser)).json()

    assert access_tokens.verify(tokens["access_token"], at=timezone.now()).roles == ("user",)
    refreshed = Party().refresh(tokens["refresh_token"]).json()
    assert access_tokens.verify(refreshed["access_token"], at=timezone.now()).roles == ("user",)


def test_the_session_never_outlives_the_browsers_sign_in(application, override_auth, clock):
    override_auth(session_lifetime=3600, refresh_token_lifetime=3600)
    browser, _ = sign_in_browser(make_user())
    clock.advance(seconds=3000)
    tokens = Party().exchange(authorize(browser)).json()

    assert tokens["refresh_expires_in"] == tokens["expires_in"] == 600
    session = child()
    assert session.session_expires_at == browser.session.session_expires_at


def test_a_code_is_refused_in_the_last_second_of_the_sign_in(application, override_auth, clock):
    override_auth(session_lifetime=3600)
    browser, _ = sign_in_browser(make_user())
    clock.advance(seconds=3599.5)

    assert refused(Party().exchange(authorize(browser)))
    assert not RefreshToken.objects.filter(parent__isnull=False).exists()


def test_sessions_of_applications_do_not_count_toward_the_maximum(application, override_auth):
    override_auth(max_sessions=2)
    sign_on = SingleSignOn()
    for _ in range(3):
        sign_on.sign_in()
    assert Party().refresh(sign_on.tokens["refresh_token"]).status_code == 200

    SignedIn("alice")
    assert Party().refresh(sign_on.tokens["refresh_token"]).status_code == 200
    SignedIn("alice")
    browser = RefreshToken.objects.get(pk=sign_on.browser.session.pk)
    assert browser.end_reason == EndReason.LIMIT_REACHED
    assert set(browser.children.values_list("end_reason", flat=True)) == {EndReason.LIMIT_REACHED}


def test_neither_a_code_nor_a_verifier_is_stored_or_logged(application, caplog):
    caplog.set_level(0)
    browser, cookie = sign_in_browser(make_user())
    code = authorize(browser)
    Party().exchange(code)
    Party().exchange(code, code_verifier="wrong" * 10)

    rows = repr(list(AuthorizationCode.objects.values())) + repr(list(RefreshToken.objects.values()))
    text = caplog.text + repr([vars(record) for record in caplog.records])
    for secret in (code, VERIFIER, cookie, "wrong" * 10):
        assert secret not in rows
        assert secret not in text


def test_a_code_expires_a_minute_after_it_was_issued(application, clock):
    browser, _ = sign_in_browser(make_user())
    authorize(browser)

    assert AuthorizationCode.objects.get().expires_at - timezone.now() == dt.timedelta(minutes=1)
