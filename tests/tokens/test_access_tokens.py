"""Access tokens: their header and claims, and the reasons for which one is refused."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from accounts.keys.key_ring import key_ring
from accounts.models import User
from tests.conftest import SignedIn
from tests.factories import make_user

URL = "/api/test/user"


def decode_segment(token, index):
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def claims_of(token):
    return decode_segment(token, 1)


def sign(claims, *, key=None, algorithm="ES256", **header):
    signing = key_ring().signing
    headers = {"typ": "at+jwt", "kid": signing.kid, **header}
    return jwt.encode(claims, key or signing.private_key, algorithm=algorithm, headers=headers)


def test_the_header_names_algorithm_key_and_type(signed_in):
    assert decode_segment(signed_in.access_token, 0) == {
        "alg": "ES256",
        "kid": key_ring().signing.kid,
        "typ": "at+jwt",
    }


def test_the_claims_match_the_contract(clock):
    user = make_user(roles=("user", "admin"))
    signed_in = SignedIn(user.username)
    now = int(datetime.now(UTC).timestamp())
    claims = claims_of(signed_in.access_token)

    assert len(claims.pop("jti")) >= 20
    assert claims.pop("sid") == str(user.sessions.get().uuid)
    assert claims == {
        "iss": "http://localhost:8000",
        "aud": "authproject",
        "client_id": "first-party",
        "sub": str(user.pk),
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "ver": 0,
        "roles": ["admin", "user"],
        "auth_time": now,
        "acr": "1",
        "amr": ["pwd"],
    }


def test_every_token_has_its_own_jti(signed_in):
    refreshed = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]

    assert claims_of(refreshed)["jti"] != claims_of(signed_in.access_token)["jti"]


def test_profile_claims_are_included_only_when_configured(override_auth):
    user = make_user("alice", fullname="Alice A.")
    override_auth(profile_claims=("username", "fullname"))

    claims = claims_of(SignedIn(user.username).access_token)

    assert (claims["username"], claims["fullname"], "email" in claims) == ("alice", "Alice A.", False)


@pytest.mark.parametrize("is_verified", [False, True])
def test_an_email_claim_says_whether_the_address_is_verified_also_after_a_refresh(override_auth, is_verified):
    user = make_user("alice")
    User.objects.filter(pk=user.pk).update(email_verified_at=timezone.now() if is_verified else None)
    override_auth(profile_claims=("email", "username"))
    alice = SignedIn(user.username)

    for token in (alice.access_token, alice.refresh(alice.refresh_token).json()["accessToken"]):
        claims = claims_of(token)
        assert (claims["email"], claims["username"]) == (user.email, "alice")
        assert claims["email_verified"] is is_verified
        assert "email_verified_at" not in claims


def test_a_correctly_signed_token_is_accepted(signed_in, api):
    """Guards the tests below: they change this token in one place, which must be the only reason for the refusal."""
    assert api.get(URL, sign(claims_of(signed_in.access_token))).status_code == 200


def test_exp_has_no_leeway(signed_in, clock, assert_refused):
    clock.advance(seconds=899)
    assert signed_in.content().status_code == 200

    clock.advance(seconds=1)
    response = signed_in.content()

    assert_refused(response, 401, "token_expired")
    assert response.json()["message"] == "Unauthorized! Access Token was expired!"
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_nbf_and_iat_have_five_seconds_of_leeway(signed_in, clock, assert_refused, claim):
    claims = claims_of(signed_in.access_token)

    assert signed_in.get(URL, sign({**claims, claim: claims["iat"] + 5})).status_code == 200
    assert_refused(signed_in.get(URL, sign({**claims, claim: claims["iat"] + 6})), 401, "token_invalid")


@pytest.mark.parametrize(
    "claim", ["iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "sid", "ver", "roles", "auth_time"]
)
def test_every_claim_is_required(signed_in, assert_refused, claim):
    claims = claims_of(signed_in.access_token)
    del claims[claim]

    assert_refused(signed_in.get(URL, sign(claims)), 401, "token_invalid")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "another"),
        ("iss", ["authproject"]),
        ("aud", "another"),
        ("aud", ["authproject"]),
        ("aud", ["authproject", 5]),
        ("aud", []),
        ("client_id", 5),
        ("sub", 1),
        ("sub", "01"),
        ("sub", "x"),
        ("sub", ""),
        ("iat", "1"),
        ("iat", 1.5),
        ("iat", True),
        ("nbf", None),
        ("exp", "9999999999"),
        ("exp", 9999999999.5),
        ("jti", 5),
        ("sid", "x"),
        ("sid", 7),
        ("ver", "0"),
        ("ver", False),
        ("roles", "admin"),
        ("roles", [1]),
        ("roles_omitted", False),
        ("roles_omitted", True),  # the token has roles
        ("auth_time", "0"),
    ],
)
def test_a_claim_with_a_wrong_type_or_value_is_refused(signed_in, assert_refused, claim, value):
    claims = {**claims_of(signed_in.access_token), claim: value}
    token = jwt.PyJWS().encode(
        json.dumps(claims).encode(),
        key_ring().signing.private_key,
        algorithm="ES256",
        headers={"typ": "at+jwt", "kid": key_ring().signing.kid},
    )

    assert_refused(signed_in.get(URL, token), 401, "token_invalid")


@pytest.mark.parametrize("format_sid", [str.upper, lambda sid: sid.replace("-", ""), lambda sid: "{" + sid + "}"])
def test_a_session_id_in_another_format_is_refused(signed_in, assert_refused, format_sid):
    claims = claims_of(signed_in.access_token)

    assert_refused(signed_in.get(URL, sign({**claims, "sid": format_sid(claims["sid"])})), 401, "token_invalid")


def test_a_token_with_another_user_for_this_session_is_refused(signed_in, assert_refused):
    other = make_user()
    claims = {**claims_of(signed_in.access_token), "sub": str(other.pk)}

    assert_refused(signed_in.get(URL, sign(claims)), 401, "token_revoked")


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
        {"typ": None},
        {"crit": ["exp"]},
        {"crit": []},
        {"kid": "another"},
        {"jku": "https://evil.example/jwks.json"},
        {"jwk": {"kty": "EC"}},
        {"x5u": "https://evil.example"},
    ],
)
def test_a_header_that_differs_from_the_issued_one_is_refused(signed_in, assert_refused, header):
    token = sign(claims_of(signed_in.access_token), **header)

    assert_refused(signed_in.get(URL, token), 401, "token_invalid")


@pytest.mark.parametrize("kid", [5, None, [], {}, ["a"], True])
def test_a_kid_that_is_not_a_string_is_refused(signed_in, assert_refused, kid):
    header = _encode_segment({"alg": "ES256", "kid": kid, "typ": "at+jwt"})

    assert_refused(signed_in.get(URL, _replace_segment(signed_in.access_token, 0, header)), 401, "token_invalid")


def test_only_the_algorithm_of_the_key_is_accepted(signed_in, assert_refused):
    claims = claims_of(signed_in.access_token)
    ring = key_ring()
    public = ring.signing.public_key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = (
        _encode_segment({"alg": "none", "kid": ring.signing.kid, "typ": "at+jwt"})
        + "."
        + _encode_segment(claims)
        + "."
    )
    hs256_by_public_key = _hs256({"alg": "HS256", "kid": ring.signing.kid, "typ": "at+jwt"}, claims, pem)
    by_another_key = sign(claims, key=ec.generate_private_key(ec.SECP256R1()))

    for token in (unsigned, hs256_by_public_key, by_another_key):
        assert_refused(signed_in.get(URL, token), 401, "token_invalid")


def test_only_the_canonical_encoding_of_a_signature_is_accepted(signed_in, assert_refused):
    token = signed_in.access_token
    head, payload, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last character of 64 encoded bytes has four unused bits.
    start = alphabet.index(signature[-1]) // 16 * 16
    equivalents = [alphabet[i] for i in range(start, start + 16) if alphabet[i] != signature[-1]]

    for last in equivalents:
        assert_refused(signed_in.get(URL, f"{head}.{payload}.{signature[:-1]}{last}"), 401, "token_invalid")
    assert signed_in.get(URL, token).status_code == 200


@pytest.mark.parametrize(
    "altered",
    [
        lambda token: token + "=",
        lambda token: token + "==",
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + "\u00e9",
        lambda token: token.replace(".", ". "),
        lambda token: token.replace(".", "..", 1),
        lambda token: token.rsplit(".", 1)[0],
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: token + "A" * 9000,
        lambda token: "e30." + token.split(".", 1)[1],
        lambda token: "W10." + token.split(".", 1)[1],
        lambda token: "bnVsbA." + token.split(".", 1)[1],
        lambda token: "[" * 400 + "." + token.split(".", 1)[1],
        lambda token: base64.urlsafe_b64encode(b"[" * 5001).decode() + "." + token.split(".", 1)[1],
        lambda token: "_" + token[1:],
        lambda token: "null",
        lambda token: "undefined",
    ],
)
def test_an_altered_token_is_refused(signed_in, assert_refused, altered):
    assert_refused(signed_in.get(URL, altered(signed_in.access_token)), 401, "token_invalid")


def test_an_access_token_with_a_changed_character_is_refused(signed_in):
    token = signed_in.access_token
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert signed_in.get(URL, changed).status_code == 401


def test_a_refresh_token_is_refused_as_an_access_token(signed_in, assert_refused):
    assert_refused(signed_in.get(URL, signed_in.refresh_token), 401, "token_invalid")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_every_algorithm_signs_and_verifies(override_auth, tmp_path, algorithm):
    override_auth(algorithm=algorithm, keys_dir=tmp_path)
    signed_in = SignedIn(make_user().username)

    assert decode_segment(signed_in.access_token, 0)["alg"] == algorithm
    assert signed_in.content().status_code == 200


def _encode_segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _replace_segment(token, index, segment):
    parts = token.split(".")
    parts[index] = segment
    return ".".join(parts)


def _hs256(header, claims, secret):
    signing_input = f"{_encode_segment(header)}.{_encode_segment(claims)}"
    signature = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
