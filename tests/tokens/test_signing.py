"""Signing: the header, payload and signature of the tokens that this service issues, with each algorithm."""

import json
from base64 import urlsafe_b64decode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet, OctKey

from accounts.conf import ALGORITHMS
from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from accounts.keys.rotation import PUBLISH_LEAD_TIME
from accounts.tokens import signing

CLAIMS = {"iss": "http://localhost:8000", "sub": "1", "roles": ["user"], "name": 'Ä "\u2028😀', "exp": 4102444800}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def own_keys(clock, override_auth, tmp_path):
    override_auth(keys_dir=tmp_path / "keys")


@pytest.fixture(params=ALGORITHMS)
def key(request, override_auth, tmp_path):
    """Return the key that signs, one of each algorithm."""
    override_auth(keys_dir=tmp_path / "keys", algorithm=request.param)
    return key_ring().signing


def decode_segment(segment):
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def header_of(token):
    return json.loads(decode_segment(token.split(".")[0]))


def test_a_token_has_the_same_header_and_payload_as_one_of_pyjwt(key):
    headers = {"typ": "at+jwt", "kid": key.kid}
    expected = jwt.encode(CLAIMS, key.private_key, algorithm=key.algorithm, headers=headers)

    assert signing.sign(CLAIMS, "at+jwt").split(".")[:2] == expected.split(".")[:2]


def test_pyjwt_verifies_a_token(key):
    token = signing.sign(CLAIMS, "at+jwt")

    assert jwt.decode(token, key.public_key, algorithms=[key.algorithm]) == CLAIMS
    assert signing.read(token, "at+jwt") == CLAIMS


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # in favor of the name Ed25519 (RFC 9864)
def test_joserfc_verifies_a_token(key):
    keys = KeySet.import_key_set(key_ring().jwks()) if key.jwk else OctKey.import_key(key.private_key)
    registry = jws.JWSRegistry(algorithms=[key.algorithm])

    verified = jws.deserialize_compact(signing.sign(CLAIMS, "at+jwt"), keys, registry=registry)

    assert json.loads(verified.payload) == CLAIMS
    assert verified.headers() == {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "logout+jwt"])
def test_each_type_of_token_has_its_own_header(own_keys, typ):
    signing.sign({}, "at+jwt")

    assert header_of(signing.sign({}, typ)) == {"alg": "ES256", "kid": key_ring().signing.kid, "typ": typ}


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_after_a_rotation_header_and_signature_are_those_of_the_next_key(own_keys, clock, algorithm):
    before = signing.sign(CLAIMS, "at+jwt")
    key_rotation.rotate(algorithm)
    clock.advance(seconds=2 * PUBLISH_LEAD_TIME)

    after = signing.sign(CLAIMS, "at+jwt")

    key = key_ring().signing
    assert key.kid != header_of(before)["kid"]
    assert header_of(after) == {"alg": algorithm, "kid": key.kid, "typ": "at+jwt"}
    assert jwt.decode(after, key.public_key, algorithms=[algorithm]) == CLAIMS


@given(st.dictionaries(st.text(), JSON))
def test_the_payload_is_the_json_of_the_claims_without_whitespace(claims):
    payload = signing.sign(claims, "at+jwt").split(".")[1]

    assert decode_segment(payload) == json.dumps(claims, separators=(",", ":")).encode()
    assert "=" not in payload
