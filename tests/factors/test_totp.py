"""Authenticator apps: enrolling, signing in, and what is refused."""

import datetime as dt
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.utils import timezone

from accounts.conf import Limit
from accounts.models import Authenticator, PendingSignIn, RefreshToken
from accounts.tokens import access_tokens
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.factors.conftest import add_app, second_step

COMPLETE = "/api/auth/signin/second-factor"


def claims_of(response):
    return access_tokens.verify(response.json()["accessToken"], at=timezone.now())


def test_a_password_alone_opens_no_session_once_an_app_is_added(with_app):
    sessions = RefreshToken.objects.count()
    response = Api().sign_in(with_app.user.username)
    body = response.json()

    assert (response.status_code, body["code"]) == (403, "second_factor_required")
    assert (body["factors"], body["expiresIn"]) == (["totp", "recovery_code"], 300)
    assert not {"passkey", "accessToken", "refreshToken"} & set(body)
    assert not response.cookies
    assert RefreshToken.objects.count() == sessions


def test_the_code_completes_the_sign_in_as_two_factors(with_app):
    response = second_step(Api(), with_app.user.username, code=with_app.app.code())

    assert response.status_code == 200
    assert set(response.json()) == {
        "id", "username", "email", "fullname", "roles", "accessToken", "refreshToken", "tokenType", "expiresIn",
        "refreshExpiresIn",
    }  # fmt: skip
    claims = claims_of(response)
    assert (claims.level, claims.methods) == (2, ("pwd", "otp", "mfa"))
    assert not PendingSignIn.objects.exists()


def test_the_level_survives_a_refresh(with_app):
    signed_in = second_step(Api(), with_app.user.username, code=with_app.app.code()).json()
    claims = claims_of(Api().refresh(signed_in["refreshToken"]))
    assert (claims.level, claims.methods) == (2, ("pwd", "otp", "mfa"))


def test_a_user_without_a_factor_signs_in_at_level_one(signed_in):
    assert (signed_in.claims.level, signed_in.claims.methods) == (1, ("pwd",))


def test_a_code_works_once(with_app, assert_refused):
    code = with_app.app.code()
    assert second_step(Api(), with_app.user.username, code=code).status_code == 200
    assert_refused(second_step(Api(), with_app.user.username, code=code), 403, "invalid_code")


def test_the_code_that_confirmed_the_app_signs_nobody_in(signed_in, assert_refused):
    app = add_app(signed_in)
    user = RefreshToken.objects.get().owner
    assert_refused(second_step(Api(), user.username, code=app.code()), 403, "invalid_code")


def test_an_older_code_is_refused_after_a_newer_one(with_app, clock, assert_refused):
    older = with_app.app.code()
    clock.advance(seconds=30)
    assert second_step(Api(), with_app.user.username, code=with_app.app.code()).status_code == 200
    assert_refused(second_step(Api(), with_app.user.username, code=older), 403, "invalid_code")


@pytest.mark.parametrize(("steps", "status"), [(-1, 200), (0, 200), (1, 200), (-2, 403), (2, 403)])
def test_the_clock_of_the_phone_may_be_off_by_one_step(with_app, clock, steps, status):
    clock.advance(minutes=5)
    code = with_app.app.code(steps=steps)
    assert second_step(Api(), with_app.user.username, code=code).status_code == status


@pytest.mark.parametrize("change", [lambda code: f"{code[:3]} {code[3:]}", lambda code: f" {code}\n"])
def test_a_code_may_be_typed_with_blanks(with_app, change):
    assert second_step(Api(), with_app.user.username, code=change(with_app.app.code())).status_code == 200


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "0" * 10_000])
def test_what_is_no_code_is_a_wrong_code(with_app, code, assert_refused):
    assert_refused(second_step(Api(), with_app.user.username, code=code), 403, "invalid_code")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"code": "123456", "recoveryCode": "a"},
        {"passkey": {}, "code": "1"},
        {"code": 123456},
        {"passkey": "x"},
    ],
)
def test_exactly_one_factor_of_the_right_type_is_presented(with_app, fields, assert_refused):
    assert_refused(second_step(Api(), with_app.user.username, **fields), 400, "invalid_request")


def test_an_auth_session_works_once(with_app, clock, assert_refused):
    api = Api()
    auth_session = api.sign_in(with_app.user.username).json()["authSession"]
    assert api.post(COMPLETE, {"authSession": auth_session, "code": with_app.app.code()}).status_code == 200
    clock.advance(seconds=30)
    again = api.post(COMPLETE, {"authSession": auth_session, "code": with_app.app.code()})
    assert_refused(again, 403, "auth_session_invalid")


def test_an_auth_session_expires(with_app, clock, assert_refused):
    api = Api()
    auth_session = api.sign_in(with_app.user.username).json()["authSession"]
    clock.advance(seconds=301)
    response = api.post(COMPLETE, {"authSession": auth_session, "code": with_app.app.code()})
    assert_refused(response, 403, "auth_session_invalid")


def test_an_auth_session_allows_ten_attempts(with_app, override_auth, assert_refused):
    override_auth(account_limit=None)
    api = Api()
    auth_session = api.sign_in(with_app.user.username).json()["authSession"]
    for _ in range(10):
        wrong = api.post(COMPLETE, {"authSession": auth_session, "code": "000000"})
        assert_refused(wrong, 403, "invalid_code")
    response = api.post(COMPLETE, {"authSession": auth_session, "code": with_app.app.code()})
    assert_refused(response, 403, "auth_session_invalid")


def test_an_auth_session_ends_with_a_password_change_and_a_deactivation(with_app, assert_refused):
    api = Api()
    for change in ("password", "is_active"):
        auth_session = api.sign_in(with_app.user.username).json()["authSession"]
        user = with_app.user
        user.refresh_from_db()
        if change == "password":
            user.set_password(PASSWORD)
        else:
            user.is_active = False
        user.save()
        response = api.post(COMPLETE, {"authSession": auth_session, "code": with_app.app.code()})
        assert_refused(response, 403, "auth_session_invalid")


@pytest.mark.parametrize("auth_session", ["", "authsess_x", "ü" * 100])
def test_an_invented_auth_session_is_refused(auth_session, assert_refused):
    assert_refused(Api().post(COMPLETE, {"authSession": auth_session, "code": "1"}), 403, "auth_session_invalid")


def test_wrong_codes_count_like_wrong_passwords_and_no_path_resets_the_other(
    with_app, override_auth, assert_refused
):
    override_auth(account_limit=Limit(4, 900))
    name = with_app.user.username
    assert_refused(Api().sign_in(name, "wrong"), 401, "invalid_credentials")
    for _ in range(3):
        # Each right password before leaves the wrong codes counted.
        assert_refused(second_step(Api(), name, code="000000"), 403, "invalid_code")
    assert_refused(Api().sign_in(name), 429, "throttled")
    clock_code = with_app.app.code()
    assert_refused(
        with_app.post("/api/auth/reauthenticate", {"code": clock_code}, with_app.access_token), 429, "throttled"
    )


def test_a_password_alone_does_not_make_a_network_known(with_app):
    before = with_app.user.known_origins.count()
    Api(REMOTE_ADDR="203.0.113.9").sign_in(with_app.user.username)
    assert with_app.user.known_origins.count() == before


def test_the_uri_and_the_qr_code_are_what_authenticator_apps_read(signed_in):
    begun = signed_in.post("/api/auth/factors/totp", {"name": "Phone"}, signed_in.access_token).json()
    uri = urlsplit(begun["uri"])

    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == f"/localhost:{RefreshToken.objects.get().owner.username}"
    assert parse_qs(uri.query) == {
        "secret": [begun["secret"]], "issuer": ["localhost"], "algorithm": ["SHA1"], "digits": ["6"], "period": ["30"]
    }  # fmt: skip
    assert begun["qrCode"].startswith("data:image/svg+xml")


def test_the_codes_are_those_of_rfc_6238():
    totp = TOTP(b"12345678901234567890", 6, SHA1(), 30)
    assert [totp.generate(moment) for moment in (59, 1111111109)] == [b"287082", b"081804"]


def test_an_unconfirmed_app_is_no_factor_and_is_replaced_by_the_next(signed_in, assert_refused):
    first = signed_in.post("/api/auth/factors/totp", {}, signed_in.access_token).json()
    name = RefreshToken.objects.get().owner.username
    assert Api().sign_in(name).status_code == 200
    assert signed_in.get("/api/auth/factors", signed_in.access_token).json() == {
        "factors": [],
        "recoveryCodesLeft": 0,
    }

    signed_in.post("/api/auth/factors/totp", {}, signed_in.access_token)
    confirmation = {"id": first["id"], "code": "123456"}
    response = signed_in.post("/api/auth/factors/totp/confirm", confirmation, signed_in.access_token)
    assert_refused(response, 404, "not_found")


def test_several_apps_work_side_by_side(with_app):
    second = add_app(with_app, "Tablet")
    assert second_step(Api(), with_app.user.username, code=with_app.app.code()).status_code == 200
    assert second_step(Api(), with_app.user.username, code=second.code(steps=1)).status_code == 200
    listed = with_app.get("/api/auth/factors", with_app.access_token).json()["factors"]
    assert [factor["name"] for factor in listed] == ["Phone", "Tablet"]


def test_the_secret_is_stored_encrypted_and_for_its_row_only(with_app, assert_refused):
    other: SignedIn = SignedIn(make_user().username)
    other_app = add_app(other)
    rows = {row.owner_id: row for row in Authenticator.objects.all()}
    mine = rows.pop(with_app.user.pk)
    (theirs,) = rows.values()

    assert len(bytes(mine.encrypted_secret)) == 12 + 20 + 16
    # Copied into another account, a secret that the attacker knows opens nothing.
    mine.encrypted_secret = bytes(theirs.encrypted_secret)
    mine.save()
    response = second_step(Api(), with_app.user.username, code=other_app.code(steps=1))
    assert_refused(response, 403, "invalid_code")


def test_after_a_change_of_secret_key_the_secret_is_encrypted_anew_at_its_next_use(
    with_app, settings, assert_refused
):
    name = with_app.user.username
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next secret key, which is long enough for the service"
    assert second_step(Api(), name, code=with_app.app.code()).status_code == 200

    settings.SECRET_KEY_FALLBACKS = []
    assert second_step(Api(), name, code=with_app.app.code(steps=1)).status_code == 200
    settings.SECRET_KEY = "a key under which nothing was stored, also long enough"
    response = second_step(Api(), name, code=with_app.app.code(steps=1))
    assert_refused(response, 403, "invalid_code")


def test_a_used_code_is_refused_in_its_whole_window(with_app, clock, assert_refused):
    code = with_app.app.code(steps=1)
    assert second_step(Api(), with_app.user.username, code=code).status_code == 200
    for _ in range(2):
        clock.advance(seconds=30)
        assert_refused(second_step(Api(), with_app.user.username, code=code), 403, "invalid_code")


def test_use_cookies_and_remember_of_the_first_step_hold_for_the_second(with_app):
    api = Api()
    first = api.post(
        "/api/auth/signin",
        {"username": with_app.user.username, "password": PASSWORD, "useCookies": True, "remember": False},
        Origin="http://testserver",
    )
    assert not first.cookies
    second = api.post(
        COMPLETE,
        {"authSession": first.json()["authSession"], "code": with_app.app.code()},
        Origin="http://testserver",
    )
    assert second.status_code == 200
    assert {"__Host-access", "__Secure-refresh"} <= set(second.cookies)
    assert "refreshToken" not in second.json()
    assert RefreshToken.objects.order_by("-pk")[0].remember is False


def test_a_foreign_page_cannot_complete_a_sign_in_with_cookies(with_app, assert_refused):
    api = Api()
    first = api.post(
        "/api/auth/signin",
        {"username": with_app.user.username, "password": PASSWORD, "useCookies": True},
        Origin="http://testserver",
    )
    body = {"authSession": first.json()["authSession"], "code": with_app.app.code()}
    assert_refused(api.post(COMPLETE, body, Origin="https://evil.example"), 403, "csrf_failed")
    assert api.post(COMPLETE, body, Origin="http://testserver").status_code == 200


def test_enrolling_is_an_event_that_the_owner_is_mailed(with_app, mailoutbox):
    assert with_app.activity()[0]["event"] == "factor:added"
    assert mailoutbox[-1].to == [with_app.user.email]


def test_names_are_validated_and_trimmed(signed_in, assert_refused):
    for name in ("x" * 61, "a\nb", "", "  ", "a\u202eb"):
        response = signed_in.post("/api/auth/factors/totp", {"name": name}, signed_in.access_token)
        assert_refused(response, 400, "invalid_request")


def test_times_in_the_list_are_those_of_the_last_use(with_app, clock):
    clock.advance(minutes=1)
    second_step(Api(), with_app.user.username, code=with_app.app.code())
    (factor,) = with_app.get("/api/auth/factors", with_app.access_token).json()["factors"]
    assert set(factor) == {"id", "type", "name", "createdAt", "lastUsedAt", "synced"}
    assert dt.datetime.fromisoformat(factor["lastUsedAt"]) == timezone.now()


def test_a_right_password_without_a_second_factor_is_in_the_history(with_app):
    Api(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0").sign_in(
        with_app.user.username
    )
    entry = with_app.activity()[0]
    assert (entry["event"], entry["device"]) == ("sign_in:second_factor_requested", "Firefox on Linux")
