"""Property tests with almost valid tokens: each is refused, changes nothing, and causes no server error."""

import contextlib
import json
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

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
def refreshed_session(signed_in, events):
    """Return a refresh token of a session that was refreshed once, and a function that checks that it is unchanged."""
    token = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
    before = RefreshToken.objects.values().get()

    def check():
        assert RefreshToken.objects.values().get() == before
        assert not {line["event"] for line in events()} & {"session:reuse_detected", "session:ended"}
        assert signed_in.refresh(token).status_code == 200

    return token, check


def assert_unknown(signed_in, text):
    refreshed, signed_out = signed_in.refresh(text), signed_in.post(SIGNOUT, {"refreshToken": text})
    if re.search("[\0\ud800-\udfff]", text):
        # These characters are refused in every field, before the token is parsed.
        assert {response.json()["code"] for response in (refreshed, signed_out)} == {"invalid_request"}
    else:
        assert (refreshed.status_code, refreshed.json()["code"]) == (403, "refresh_token_unknown")
        assert signed_out.status_code == 204


def test_a_refresh_token_with_an_altered_character_is_unknown_and_ends_no_session(signed_in, refreshed_session):
    token, check = refreshed_session
    everything = altered(token) | altered(signed_in.refresh_token)

    @many_examples
    @given(everything.filter(lambda text: text and text not in {token, signed_in.refresh_token}))
    def each_is_refused(text):
        assert_unknown(signed_in, text)

    each_is_refused()
    check()


def test_a_refresh_token_with_an_altered_byte_is_unknown_and_ends_no_session(signed_in, refreshed_session):
    token, check = refreshed_session

    @many_examples
    @given(altered_bytes(token.removeprefix(PREFIX)) | altered_bytes(signed_in.refresh_token.removeprefix(PREFIX)))
    def each_is_refused(body):
        assert_unknown(signed_in, PREFIX + body)

    each_is_refused()
    check()


def test_a_string_that_was_never_issued_is_refused_as_a_refresh_token(signed_in, refreshed_session):
    token, check = refreshed_session
    shaped = st.text(ALPHABET, min_size=80, max_size=80).map(PREFIX.__add__)
    # The start of one valid token joined with the end of another.
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
    def each_is_refused(text):
        assert_unknown(signed_in, text)

    each_is_refused()
    check()


def test_an_invented_secret_with_a_valid_checksum_is_refused(signed_in, refreshed_session):
    token, check = refreshed_session
    session = RefreshToken.objects.get()
    genuine = refresh_tokens.parse(token)
    generations = st.integers(0, 3) | st.integers(0, 2**32 - 1)
    secrets = st.binary(min_size=32, max_size=32) | st.sampled_from(
        [genuine.secret, bytes(session.secret_digest), refresh_tokens.parse(signed_in.refresh_token).secret]
    )

    @given(generations, secrets)
    def each_is_refused(generation, secret):
        forged = refresh_tokens.encode(refresh_tokens.RefreshSecret(session.uuid, generation, secret))
        if forged not in {token, signed_in.refresh_token}:
            assert_unknown(signed_in, forged)

    each_is_refused()
    check()


@pytest.mark.parametrize("generation", [0, 2, 99_999])
def test_the_current_secret_with_another_generation_is_unknown(signed_in, refreshed_session, generation):
    token, check = refreshed_session

    assert_unknown(signed_in, refresh_tokens.encode(refresh_tokens.parse(token)._replace(generation=generation)))
    check()


@given(st.uuids(), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_parsing_an_encoded_refresh_token_returns_the_original(session_id, generation, secret):
    token = refresh_tokens.RefreshSecret(session_id, generation, secret)

    assert refresh_tokens.parse(refresh_tokens.encode(token)) == token
    assert secret.hex() not in repr(token)


def test_the_tokens_of_earlier_releases_are_parsed_and_have_the_same_successors(settings):
    settings.SECRET_KEY = "k" * 50
    token = "authrt_AZZ7Xo1BdGWCOJxV0nuqrwAAAAdzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc6vC3bSQ3_8V"

    parsed = refresh_tokens.parse(token)

    assert parsed == (UUID("01967b5e-8d41-7465-8238-9c55d27baaaf"), 7, b"s" * 32, None)
    assert refresh_tokens.encode(refresh_tokens.successor(parsed)) == (
        "authrt_AZZ7Xo1BdGWCOJxV0nuqrwAAAAjYXLFIpyicWPZmFGygUp6Two3VUd0lOTpR_8SJSq9v-h4Q3yW8-8wh"
    )


@pytest.mark.parametrize(("char", "twin"), [("-", "+"), ("_", "/")])
def test_the_standard_base64_alphabet_is_refused(char, twin):
    bodies = (
        refresh_tokens.encode(refresh_tokens.first_generation(RefreshToken().uuid)).removeprefix(PREFIX)
        for _ in count()
    )
    body = next(body for body in bodies if char in body)

    refresh_tokens.parse(PREFIX + body)
    with pytest.raises(RefreshTokenUnknown):
        refresh_tokens.parse(PREFIX + body.replace(char, twin))


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_chain_leads_from_each_generation_only_to_later_ones(start, length):
    first = refresh_tokens.first_generation(RefreshToken().uuid)
    chain = [first]
    for _ in range(start + length):
        chain.append(refresh_tokens.successor(chain[-1]))
    ancestor, current = chain[start], chain[-1]

    assert refresh_tokens.descendant(ancestor, generation=current.generation, digest=current.digest) == current
    for other in (refresh_tokens.successor(current), ancestor._replace(secret=bytes(32))):
        assert refresh_tokens.descendant(other, generation=current.generation, digest=current.digest) is None


def assert_invalid(text):
    with pytest.raises(TokenInvalid):
        verify(text, at=datetime.now(UTC))


def test_an_access_token_with_an_altered_character_is_invalid(signed_in):
    token = signed_in.access_token

    @many_examples
    @given(altered(token))
    def each_is_refused(text):
        assert_invalid(text)

    each_is_refused()
    assert signed_in.content().status_code == 200


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_access_token_with_an_altered_byte_is_invalid(signed_in, index):
    parts = signed_in.access_token.split(".")

    @given(altered_bytes(parts[index]))
    def each_is_refused(part):
        assert_invalid(".".join([*parts[:index], part, *parts[index + 1 :]]))

    each_is_refused()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_last_character_of_a_segment_has_one_accepted_value(signed_in, index):
    """If the length leaves unused bits in the last character, other characters would decode to the same bytes."""
    parts = signed_in.access_token.split(".")
    for last in ALPHABET.replace(parts[index][-1], ""):
        assert_invalid(".".join([*parts[:index], parts[index][:-1] + last, *parts[index + 1 :]]))


def test_the_api_refuses_an_altered_access_token_as_invalid(signed_in):
    plain = st.sampled_from(ALPHABET + "=+/.~")
    token = signed_in.access_token

    @given(st.integers(0, len(token) - 1), plain, st.sampled_from(["Authorization", "x-access-token"]))
    def each_is_refused(place, char, header):
        for text in (token[:place] + char + token[place + 1 :], token[:place] + char + token[place:]):
            if text != token:
                value = f"Bearer {text}" if header == "Authorization" else text
                response = signed_in.get("/api/test/user", **{header: value})
                assert (response.status_code, response.json()["code"]) == (401, "token_invalid")

    each_is_refused()


@given(st.text() | st.text(ALPHABET + "."))
def test_an_arbitrary_string_is_refused_as_an_access_token(text):
    assert_invalid(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3),
    max_leaves=5,
)


def encode_segment(value):
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(JSON | st.fixed_dictionaries({"alg": JSON, "kid": JSON, "typ": JSON}))
def test_an_arbitrary_header_is_refused_without_an_error(header):
    assert_invalid(f"{encode_segment(header)}.{encode_segment({})}.{encode_segment('')}")


def test_any_claim_signed_with_the_key_is_parsed_or_refused(signed_in):
    key = key_ring().signing
    claims = jwt.decode(signed_in.access_token, options={"verify_signature": False})

    @many_examples
    @given(st.sampled_from(sorted(claims)), JSON | st.integers(10**18, 10**40))
    @example("exp", 10**400)
    @example("exp", 10**15)
    @example("sub", "9" * 19)
    @example("aud", [{}])
    def each_is_parsed_or_refused(name, value):
        text = jwt.PyJWS().encode(
            json.dumps({**claims, name: value}).encode(),
            key.private_key,
            algorithm=key.algorithm,
            headers={"typ": "at+jwt", "kid": key.kid},
        )
        with contextlib.suppress(TokenInvalid, TokenExpired):
            assert isinstance(verify(text, at=datetime.now(UTC)), AccessClaims)
        assert signed_in.get("/api/test/user", text).status_code in (200, 401)

    each_is_parsed_or_refused()


def test_the_secret_of_one_session_is_refused_for_another(signed_in, events):
    other = SignedIn(RefreshToken.objects.get().owner.username)
    ours, theirs = (refresh_tokens.parse(one.refresh_token) for one in (signed_in, other))

    with pytest.raises(RefreshTokenUnknown):
        refresh_tokens.parse(refresh_tokens.encode(ours).replace(PREFIX, PREFIX.upper()))
    assert_unknown(signed_in, refresh_tokens.encode(theirs._replace(session_id=ours.session_id)))

    assert RefreshToken.objects.filter(ended_at=None).count() == 2
