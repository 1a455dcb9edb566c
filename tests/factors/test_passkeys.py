"""Passkeys: registering, signing in with and without a password, and what is refused."""

import pytest
from django.utils import timezone
from fido2.webauthn import AuthenticatorData

from accounts.factors import relying_party
from accounts.models import Passkey, RefreshToken
from accounts.tokens import access_tokens
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import add_passkey, second_step
from tests.webauthn import SoftwareAuthenticator

OPTIONS = "/api/auth/signin/passkey/options"
SIGN_IN = "/api/auth/signin/passkey"
FLAG = AuthenticatorData.FLAG


def claims_of(response):
    return access_tokens.verify(response.json()["accessToken"], at=timezone.now())


def sign_in(authenticator, **fields):
    options = Api().post(OPTIONS).json()
    return Api().post(SIGN_IN, {"credential": authenticator.get(options), **fields})


def test_the_options_are_those_of_webauthn_level_3(signed_in):
    options = signed_in.post("/api/auth/factors/passkeys/options", {}, signed_in.access_token).json()
    assert options["rp"] == {"id": "localhost", "name": "localhost"}
    assert set(options["user"]) == {"id", "name", "displayName"}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options.get("attestation", "none") == "none"
    assert [parameter["alg"] for parameter in options["pubKeyCredParams"]] == [-7, -8, -257]


def test_a_first_passkey_comes_with_recovery_codes_and_its_name(signed_in):
    response = add_passkey(signed_in, SoftwareAuthenticator(), name="Laptop")
    body = response.json()
    assert response.status_code == 201
    assert (body["type"], body["name"], body["synced"], len(body["recoveryCodes"])) == (
        "passkey",
        "Laptop",
        False,
        10,
    )


def test_a_passkey_signs_in_without_a_password_as_two_factors(with_passkey):
    response = sign_in(with_passkey.authenticator)
    assert response.status_code == 200
    claims = claims_of(response)
    assert (claims.level, claims.methods) == (2, ("hwk", "user", "mfa"))
    assert response.json()["username"] == with_passkey.user.username


def test_a_synced_passkey_is_a_software_key(signed_in):
    authenticator = SoftwareAuthenticator(is_synced=True)
    assert add_passkey(signed_in, authenticator).json()["synced"] is True
    assert claims_of(sign_in(authenticator)).methods == ("swk", "user", "mfa")
    assert claims_of(sign_in(authenticator)).level == 2  # its counter is always zero


def test_a_passkey_is_the_second_factor_after_a_password(with_passkey):
    response = second_step(
        Api(),
        with_passkey.user.username,
        passkey=lambda body: with_passkey.authenticator.get(body["passkey"]),
    )
    assert response.status_code == 200
    assert claims_of(response).methods == ("pwd", "hwk", "user", "mfa")


def test_the_passkey_options_of_a_sign_in_name_the_users_credentials(with_passkey):
    body = Api().sign_in(with_passkey.user.username).json()
    assert body["factors"] == ["passkey", "recovery_code"]
    assert [entry["type"] for entry in body["passkey"]["allowCredentials"]] == ["public-key"]


def test_the_passkey_of_another_user_is_no_second_factor(with_passkey, clock, assert_refused):
    other = SignedIn(make_user().username)
    stranger = SoftwareAuthenticator()
    add_passkey(other, stranger)
    response = second_step(Api(), with_passkey.user.username, passkey=lambda body: stranger.get(body["passkey"]))
    assert_refused(response, 403, "invalid_code")


def refusals(authenticator):
    authenticator.flags &= ~FLAG.UV
    yield "no user verification", "user_verification"
    authenticator.flags |= FLAG.UV
    authenticator.flags &= ~FLAG.UP
    yield "no user present", None
    authenticator.flags |= FLAG.UP
    for origin in (
        "https://evil.example",
        "http://localhost:8001",
        "http://localhost.evil.example:8000",
        "null",
        "",
    ):
        authenticator.origin = origin
        yield f"from {origin!r}", "origin"
    authenticator.origin = "http://localhost:8000"
    authenticator.cross_origin = True
    yield "in a frame of another origin", "origin"
    authenticator.cross_origin = False
    authenticator.other_client_data = {"topOrigin": "https://evil.example"}
    yield "in a frame of another origin that it names", "origin"
    authenticator.other_client_data = {}
    authenticator.flags |= FLAG.BE
    yield "synced, but registered as bound to its device", "backup_state"
    authenticator.flags ^= FLAG.BE | FLAG.BS
    yield "copied, but bound to its device", "backup_state"
    authenticator.flags &= ~FLAG.BS
    handle, authenticator.user_handle = authenticator.user_handle, b"another user"
    yield "another user handle", "unknown"
    authenticator.user_handle = handle
    credential_id, authenticator.credential_id = authenticator.credential_id, b"unknown"
    yield "unknown credential", "unknown"
    authenticator.credential_id = credential_id
    key, authenticator.key = authenticator.key, SoftwareAuthenticator().key
    yield "another key", "signature"
    authenticator.key = key


def test_forged_assertions_are_refused_and_recorded(with_passkey, events, override_auth):
    override_auth(address_limit=None)
    sessions = RefreshToken.objects.count()
    for name, reason in refusals(with_passkey.authenticator):
        response = sign_in(with_passkey.authenticator)
        assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials"), name
        event = events()[-2] if events()[-1]["event"] == "access:refused" else events()[-1]
        assert event["event"] == "sign_in:failed", name
        assert reason in (None, event["reason"]), (name, event["reason"])
    assert RefreshToken.objects.count() == sessions
    assert sign_in(with_passkey.authenticator).status_code == 200


def test_a_challenge_works_once(with_passkey, assert_refused):
    options = Api().post(OPTIONS).json()
    assert Api().post(SIGN_IN, {"credential": with_passkey.authenticator.get(options)}).status_code == 200
    response = Api().post(SIGN_IN, {"credential": with_passkey.authenticator.get(options)})
    assert_refused(response, 401, "invalid_credentials")


def test_a_challenge_expires(with_passkey, clock, assert_refused):
    options = Api().post(OPTIONS).json()
    clock.advance(minutes=5)
    response = Api().post(SIGN_IN, {"credential": with_passkey.authenticator.get(options)})
    assert_refused(response, 401, "invalid_credentials")


def test_a_challenge_works_only_for_its_purpose_and_its_session(with_passkey, assert_refused):
    authenticator, token = with_passkey.authenticator, with_passkey.access_token
    step_up = with_passkey.post("/api/auth/reauthenticate/passkey/options", {}, token).json()
    assert_refused(Api().post(SIGN_IN, {"credential": authenticator.get(step_up)}), 401, "invalid_credentials")

    anyone = Api().post(OPTIONS).json()
    response = with_passkey.post("/api/auth/reauthenticate", {"passkey": authenticator.get(anyone)}, token)
    assert_refused(response, 403, "invalid_code")
    pending = Api().sign_in(with_passkey.user.username).json()["passkey"]
    response = second_step(Api(), with_passkey.user.username, passkey=authenticator.get(pending))
    assert_refused(response, 403, "invalid_code")


def test_an_invented_challenge_is_refused(with_passkey, assert_refused):
    options = Api().post(OPTIONS).json() | {"challenge": "A" * 74}
    response = Api().post(SIGN_IN, {"credential": with_passkey.authenticator.get(options)})
    assert_refused(response, 401, "invalid_credentials")


def test_a_counter_that_goes_back_is_refused_and_the_owner_is_told(with_passkey, assert_refused, mailoutbox):
    assert sign_in(with_passkey.authenticator).status_code == 200
    with_passkey.authenticator.counter -= 1
    assert_refused(sign_in(with_passkey.authenticator), 401, "invalid_credentials")
    assert "factor:copy_suspected" in [entry["event"] for entry in with_passkey.activity()]


def test_a_counter_that_stays_is_refused(with_passkey, assert_refused):
    with_passkey.authenticator.counter = Passkey.objects.get().sign_count - 1
    assert_refused(sign_in(with_passkey.authenticator), 401, "invalid_credentials")


def test_a_deactivated_user_is_refused_like_an_unknown_passkey(with_passkey, assert_refused):
    with_passkey.user.is_active = False
    with_passkey.user.save()
    response = sign_in(with_passkey.authenticator)
    assert_refused(response, 401, "invalid_credentials")
    assert response.json() == sign_in(SoftwareAuthenticator()).json()


def test_an_unverified_address_is_refused_where_the_setting_says_so(with_passkey, override_auth, assert_refused):
    override_auth(unverified_signin=False)
    assert_refused(sign_in(with_passkey.authenticator), 403, "email_unverified")


def test_registrations_without_user_verification_or_from_elsewhere_are_refused(signed_in, assert_refused):
    careless = SoftwareAuthenticator()
    careless.flags &= ~FLAG.UV
    for authenticator in (careless, SoftwareAuthenticator("https://evil.example")):
        assert_refused(add_passkey(signed_in, authenticator), 400, "invalid_request")
    assert not Passkey.objects.exists()


def test_a_passkey_that_was_copied_but_cannot_be_is_refused(signed_in, assert_refused):
    authenticator = SoftwareAuthenticator()
    authenticator.flags |= FLAG.BS
    assert_refused(add_passkey(signed_in, authenticator), 400, "invalid_request")


def test_a_synced_passkey_stays_one(signed_in, assert_refused):
    authenticator = SoftwareAuthenticator(is_synced=True)
    add_passkey(signed_in, authenticator)
    authenticator.flags &= ~FLAG.BS
    assert sign_in(authenticator).status_code == 200
    authenticator.flags &= ~FLAG.BE
    assert_refused(sign_in(authenticator), 401, "invalid_credentials")


@pytest.mark.parametrize("length", [0, 15, 1024])
def test_credential_ids_have_16_to_1023_bytes(signed_in, length, assert_refused):
    authenticator = SoftwareAuthenticator()
    authenticator.credential_id = b"x" * length
    assert_refused(add_passkey(signed_in, authenticator), 400, "invalid_request")


def test_client_data_that_repeats_a_name_is_refused(with_passkey, monkeypatch, assert_refused):
    def client_data(kind, options):
        return (
            f'{{"type":"{kind}","challenge":"{options["challenge"]}","origin":"https://evil.example",'
            f'"origin":"http://localhost:8000"}}'.encode()
        )

    monkeypatch.setattr(with_passkey.authenticator, "_client_data", client_data)
    assert_refused(sign_in(with_passkey.authenticator), 401, "invalid_credentials")


def test_a_credential_is_registered_once(with_passkey, assert_refused):
    assert_refused(add_passkey(with_passkey, with_passkey.authenticator), 400, "invalid_request")


def test_the_user_handle_stays_the_same_and_names_nobody(with_passkey):
    other = SoftwareAuthenticator()
    add_passkey(with_passkey, other)
    assert other.user_handle == with_passkey.authenticator.user_handle
    assert with_passkey.user.username.encode() not in other.user_handle


@pytest.mark.parametrize(
    "credential",
    [{}, {"response": {}}, {"response": None}, {"response": {"clientDataJSON": 1}}, {"response": {"clientDataJSON": "é"}},
     {"response": {"clientDataJSON": "e30"}}, {"response": {"clientDataJSON": "bnVsbA"}}, {"response": []}],
)  # fmt: skip
def test_malformed_credentials_are_refused(signed_in, credential, assert_refused):
    assert_refused(Api().post(SIGN_IN, {"credential": credential}), 401, "invalid_credentials")
    response = signed_in.post("/api/auth/factors/passkeys", {"credential": credential}, signed_in.access_token)
    assert_refused(response, 400, "invalid_request")


def test_a_valid_challenge_with_malformed_data_is_refused(with_passkey, assert_refused):
    options = Api().post(OPTIONS).json()
    whole = with_passkey.authenticator.get(options)
    for part in ("authenticatorData", "signature", "userHandle"):
        for value in ("", "AA", None, 7, {}):
            credential = {**whole, "response": {**whole["response"], part: value}}
            response = Api().post(SIGN_IN, {"credential": credential})
            assert_refused(response, 401, "invalid_credentials")
    for part in ("id", "rawId", "type"):
        for value in ("AA", None, 7, {}):
            response = Api().post(SIGN_IN, {"credential": {**whole, part: value}})
            assert response.status_code in (200, 401)


def test_the_origins_are_public_url_and_those_within_it(override_auth, settings):
    override_auth(public_url="https://example.com")
    settings.CORS_ALLOWED_ORIGINS = [
        "https://app.example.com", "https://example.com:8443", "https://example.org", "https://notexample.com",
    ]  # fmt: skip
    assert relying_party.identifier() == "example.com"
    assert relying_party.origins() == (
        "https://example.com", "https://app.example.com", "https://example.com:8443",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("public_url", "identifier", "origin"),
    [
        ("https://Example.com", "example.com", "https://example.com"),
        ("https://example.com:443/", "example.com", "https://example.com"),
        ("http://localhost:80", "localhost", "http://localhost"),
        ("https://b\u00fccher.example", "xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_the_origin_is_written_as_browsers_write_it(override_auth, settings, public_url, identifier, origin):
    override_auth(public_url=public_url)
    settings.CORS_ALLOWED_ORIGINS = []
    assert (relying_party.identifier(), relying_party.origins()) == (identifier, (origin,))


def test_an_origin_without_tls_is_not_one_of_a_service_with_tls(override_auth, settings):
    override_auth(public_url="https://example.com")
    settings.CORS_ALLOWED_ORIGINS = ["http://app.example.com", "https://App.example.com:443"]
    assert relying_party.origins() == ("https://example.com", "https://app.example.com")
