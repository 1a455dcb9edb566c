"""Tokens that are almost right: none of them passes, does harm, or is a fault."""

import contextlib
import json
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from itertools import count

import jwt
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.errors import RefreshTokenUnknown, TokenExpired, TokenInvalid
from accounts.keys.key_ring import key_ring
from accounts.models import RefreshToken
from accounts.tokens import refresh_tokens
from accounts.tokens.access_tokens import verify
from accounts.tokens.claims import AccessClaims
from tests.conftest import SignedIn
from tests.strategies import ALPHABET, altered, altered_bytes

PREFIX = refresh_tokens.PREFIX
SIGNOUT = "/api/auth/signout"

many_examples = hypothesis_settings(max_examples=400)


@pytest.fixture
def unharmed(signed_in, events):
    """Check that a session, refreshed once before, is none the worse for what was tried on it."""
    token = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
    before = RefreshToken.objects.values().get()

    def check():
        assert RefreshToken.objects.values().get() == before
        assert not {line["event"] for line in events()} & {"session:reuse_detected", "session:ended"}
        assert signed_in.refresh(token).status_code == 200

    return token, check


def is_refused(signed_in, text):
    refreshed, signed_out = signed_in.refresh(text), signed_in.post(SIGNOUT, {"refreshToken": text})
    if re.search("[\0\ud800-\udfff]", text):
        # What no JSON text holds is no value of any field.
        assert {answer.json()["code"] for answer in (refreshed, signed_out)} == {"invalid_request"}
    else:
        assert (refreshed.status_code, refreshed.json()["code"]) == (403, "refresh_token_unknown")
        assert signed_out.status_code == 204


def test_a_refresh_token_with_a_character_astray_is_unknown_and_ends_nothing(signed_in, unharmed):
    token, check = unharmed
    everything = altered(token) | altered(signed_in.refresh_token)

    @many_examples
    @given(everything.filter(lambda text: text and text not in {token, signed_in.refresh_token}))
    def every_one_is_refused(text):
        is_refused(signed_in, text)

    every_one_is_refused()
    check()


def test_a_refresh_token_with_a_bit_astray_is_unknown_and_ends_nothing(signed_in, unharmed):
    token, check = unharmed

    @many_examples
    @given(altered_bytes(token.removeprefix(PREFIX)) | altered_bytes(signed_in.refresh_token.removeprefix(PREFIX)))
    def every_one_is_refused(body):
        is_refused(signed_in, PREFIX + body)

    every_one_is_refused()
    check()


def test_no_text_that_was_not_issued_is_a_refresh_token(signed_in, unharmed):
    token, check = unharmed
    shaped = st.text(ALPHABET, min_size=80, max_size=80).map(PREFIX.__add__)
    # Two good tokens, cut and joined.
    joined = st.integers(len(PREFIX) + 1, len(token) - 1).map(
        lambda cut: token[:cut] + signed_in.refresh_token[cut:]
    )

    @given(
        (shaped | joined | st.text(min_size=1)).filter(lambda text: text not in {token, signed_in.refresh_token})
    )
    @example(PREFIX)
    @example(PREFIX + "A" * 80)
    @example(PREFIX + "=" * 80)
    @example(token + "\n")
    @example("\ufeff" + token)
    @example(token.upper())
    def every_one_is_refused(text):
        is_refused(signed_in, text)

    every_one_is_refused()
    check()


def test_a_checksum_that_is_right_makes_no_invented_secret_good(signed_in, unharmed):
    token, check = unharmed
    session = RefreshToken.objects.get()
    genuine = refresh_tokens.parse(token)
    generations = st.integers(0, 3) | st.integers(0, 2**32 - 1)
    secrets = st.binary(min_size=32, max_size=32) | st.sampled_from(
        [genuine.secret, bytes(session.secret_digest), refresh_tokens.parse(signed_in.refresh_token).secret]
    )

    @given(generations, secrets)
    def every_one_is_refused(generation, secret):
        forged = refresh_tokens.encode(refresh_tokens.RefreshSecret(session.uuid, generation, secret))
        if forged not in {token, signed_in.refresh_token}:
            is_refused(signed_in, forged)

    every_one_is_refused()
    check()


@pytest.mark.parametrize("generation", [0, 2, 99_999])
def test_a_current_secret_under_another_generation_is_unknown(signed_in, unharmed, generation):
    token, check = unharmed

    is_refused(signed_in, refresh_tokens.encode(refresh_tokens.parse(token)._replace(generation=generation)))
    check()


@given(st.uuids(), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_a_refresh_token_is_read_as_it_was_spelled(session_id, generation, secret):
    token = refresh_tokens.RefreshSecret(session_id, generation, secret)

    assert refresh_tokens.parse(refresh_tokens.encode(token)) == token
    assert secret.hex() not in repr(token)


@pytest.mark.parametrize(("char", "twin"), [("-", "+"), ("_", "/")])
def test_the_other_base64_is_no_second_spelling(char, twin):
    bodies = (
        refresh_tokens.encode(refresh_tokens.first_generation(RefreshToken().uuid)).removeprefix(PREFIX)
        for _ in count()
    )
    body = next(body for body in bodies if char in body)

    refresh_tokens.parse(PREFIX + body)
    with pytest.raises(RefreshTokenUnknown):
        refresh_tokens.parse(PREFIX + body.replace(char, twin))


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_chain_leads_from_each_generation_to_each_later_one_alone(start, length):
    first = refresh_tokens.first_generation(RefreshToken().uuid)
    chain = [first]
    for _ in range(start + length):
        chain.append(refresh_tokens.successor(chain[-1]))
    ancestor, current = chain[start], chain[-1]

    assert refresh_tokens.descendant(ancestor, generation=current.generation, digest=current.digest) == current
    for other in (refresh_tokens.successor(current), ancestor._replace(secret=bytes(32))):
        assert refresh_tokens.descendant(other, generation=current.generation, digest=current.digest) is None


def is_no_access_token(text):
    with pytest.raises(TokenInvalid):
        verify(text, at=datetime.now(UTC))


def test_an_access_token_with_a_character_astray_is_invalid(signed_in):
    token = signed_in.access_token

    @many_examples
    @given(altered(token))
    def every_one_is_refused(text):
        is_no_access_token(text)

    every_one_is_refused()
    assert signed_in.content().status_code == 200


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_access_token_with_a_bit_astray_is_invalid(signed_in, index):
    parts = signed_in.access_token.split(".")

    @given(altered_bytes(parts[index]))
    def every_one_is_refused(part):
        is_no_access_token(".".join([*parts[:index], part, *parts[index + 1 :]]))

    every_one_is_refused()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_last_character_of_a_part_has_no_twin(signed_in, index):
    """Where a part's length leaves bits of its last character without meaning, other characters mean the same."""
    parts = signed_in.access_token.split(".")
    for last in ALPHABET.replace(parts[index][-1], ""):
        is_no_access_token(".".join([*parts[:index], parts[index][:-1] + last, *parts[index + 1 :]]))


def test_what_the_api_refuses_of_an_access_token_it_calls_invalid(signed_in):
    plain = st.sampled_from(ALPHABET + "=+/.~")
    token = signed_in.access_token

    @given(st.integers(0, len(token) - 1), plain, st.sampled_from(["Authorization", "x-access-token"]))
    def every_one_is_refused(place, char, header):
        for text in (token[:place] + char + token[place + 1 :], token[:place] + char + token[place:]):
            if text != token:
                value = f"Bearer {text}" if header == "Authorization" else text
                answer = signed_in.get("/api/test/user", **{header: value})
                assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")

    every_one_is_refused()


@given(st.text() | st.text(ALPHABET + "."))
def test_no_text_is_an_access_token(text):
    is_no_access_token(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3),
    max_leaves=5,
)


def spelled(value):
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(JSON | st.fixed_dictionaries({"alg": JSON, "kid": JSON, "typ": JSON}))
def test_no_header_of_another_s_making_is_a_fault(header):
    is_no_access_token(f"{spelled(header)}.{spelled({})}.{spelled('')}")


def test_whatever_a_right_key_signs_is_understood_or_invalid(signed_in):
    key = key_ring().signing
    claims = jwt.decode(signed_in.access_token, options={"verify_signature": False})

    @many_examples
    @given(st.sampled_from(sorted(claims)), JSON | st.integers(10**18, 10**40))
    @example("exp", 10**400)
    @example("exp", 10**15)
    @example("sub", "9" * 19)
    @example("aud", [{}])
    def it_is(name, value):
        text = jwt.PyJWS().encode(
            json.dumps({**claims, name: value}).encode(),
            key.private_key,
            algorithm=key.algorithm,
            headers={"typ": "at+jwt", "kid": key.kid},
        )
        with contextlib.suppress(TokenInvalid, TokenExpired):
            assert isinstance(verify(text, at=datetime.now(UTC)), AccessClaims)
        assert signed_in.get("/api/test/user", text).status_code in (200, 401)

    it_is()


def test_a_token_of_one_session_says_nothing_about_another(signed_in, events):
    other = SignedIn(RefreshToken.objects.get().owner.username)
    ours, theirs = (refresh_tokens.parse(one.refresh_token) for one in (signed_in, other))

    with pytest.raises(RefreshTokenUnknown):
        refresh_tokens.parse(refresh_tokens.encode(ours).replace(PREFIX, PREFIX.upper()))
    is_refused(signed_in, refresh_tokens.encode(theirs._replace(session_id=ours.session_id)))

    assert RefreshToken.objects.filter(ended_at=None).count() == 2
