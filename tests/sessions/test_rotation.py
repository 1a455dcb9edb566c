"""POST /api/auth/refreshtoken: rotation, grace, reuse, expiry."""

import base64
import secrets

import pytest
from django.utils import timezone

from accounts.models import EndReason, RefreshToken
from accounts.sessions import compare_and_swap
from accounts.tokens import refresh_tokens
from tests.conftest import SignedIn
from tests.factories import make_user

URL = "/api/auth/refreshtoken"


def test_a_refresh_returns_a_new_token_pair(signed_in):
    response = signed_in.refresh(signed_in.refresh_token)
    body = response.json()

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert set(body) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "refreshExpiresIn"}
    assert body["refreshToken"] != signed_in.refresh_token
    assert (body["tokenType"], body["expiresIn"]) == ("Bearer", 900)
    assert signed_in.get("/api/test/user", body["accessToken"]).content == b"User Content."


@pytest.mark.parametrize("path", [URL, URL + "/", "/api/auth/refreshToken", "/api/auth/refreshToken/"])
def test_every_form_of_the_path_works_without_a_redirect(signed_in, path):
    assert signed_in.post(path, {"refreshToken": signed_in.refresh_token}).status_code == 200


def test_an_access_token_sent_along_with_a_refresh_is_ignored(signed_in, clock):
    clock.advance(hours=1)

    response = signed_in.post(
        URL, {"refreshToken": signed_in.refresh_token}, **{"x-access-token": signed_in.access_token}
    )

    assert response.status_code == 200


def test_a_session_refreshed_a_thousand_times_is_one_row(signed_in):
    token = signed_in.refresh_token
    for _ in range(1000):
        token = signed_in.refresh(token).json()["refreshToken"]

    assert RefreshToken.objects.get().generation == 1000


def test_the_number_of_refreshes_of_a_session_is_limited(signed_in, monkeypatch, assert_refused):
    monkeypatch.setattr("accounts.sessions.rotation.MAX_GENERATIONS", 2)
    token = signed_in.refresh_token
    for _ in range(2):
        token = signed_in.refresh(token).json()["refreshToken"]

    assert_refused(signed_in.refresh(token), 403, "refresh_token_expired")


def test_within_grace_the_previous_generation_gets_the_same_successor(signed_in, clock):
    first = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
    clock.advance(seconds=9)

    responses = [signed_in.refresh(signed_in.refresh_token) for _ in range(3)]

    assert [response.json()["refreshToken"] for response in responses] == [first] * 3
    assert RefreshToken.objects.get().generation == 1
    assert signed_in.get("/api/test/user", responses[0].json()["accessToken"]).status_code == 200


def test_grace_ends_when_the_successor_is_used(signed_in, assert_refused):
    second = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
    signed_in.refresh(second)

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")


def test_grace_ends_after_the_configured_time(signed_in, clock, assert_refused):
    signed_in.refresh(signed_in.refresh_token)
    clock.advance(seconds=10)

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")


def test_without_grace_every_spent_token_counts_as_reuse(signed_in, override_auth, clock, assert_refused):
    override_auth(refresh_token_grace=0)
    signed_in.refresh(signed_in.refresh_token)

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")


def test_a_reused_refresh_token_revokes_the_session(signed_in, clock, assert_refused):
    pair = signed_in.refresh(signed_in.refresh_token).json()
    clock.advance(minutes=1)

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_revoked")
    assert_refused(signed_in.refresh(pair["refreshToken"]), 403, "refresh_token_revoked")
    assert_refused(signed_in.get("/api/test/user", pair["accessToken"]), 401, "token_revoked")
    assert RefreshToken.objects.get().end_reason == EndReason.REUSED


@pytest.mark.parametrize("age", [2, 3, 50, 999])
def test_reuse_of_a_spent_token_of_any_age_is_detected(signed_in, clock, assert_refused, age):
    stolen, token = signed_in.refresh_token, signed_in.refresh_token
    for _ in range(age):
        token = signed_in.refresh(token).json()["refreshToken"]

    assert_refused(signed_in.refresh(stolen), 403, "refresh_token_reused")
    assert_refused(signed_in.refresh(token), 403, "refresh_token_revoked")


def test_reuse_ends_one_session_and_no_other(signed_in, clock):
    other = SignedIn(RefreshToken.objects.get().owner.username)
    signed_in.refresh(signed_in.refresh_token)
    clock.advance(minutes=1)

    signed_in.refresh(signed_in.refresh_token)

    assert other.content().status_code == 200
    assert other.refresh(other.refresh_token).status_code == 200


@pytest.fixture
def before_update(monkeypatch):
    """Return a function that runs an action just before the UPDATE of the next refresh."""

    def run_before_update(action):
        advance = compare_and_swap.advance

        def run_action_first(*args, **options):
            monkeypatch.setattr(compare_and_swap, "advance", advance)
            action()
            return advance(*args, **options)

        monkeypatch.setattr(compare_and_swap, "advance", run_action_first)

    return run_before_update


@pytest.fixture
def unmatched_updates(monkeypatch):
    """Return a function that makes the next UPDATEs match no row, as during a concurrent password change."""

    def match_no_row(times):
        advance, calls = compare_and_swap.advance, []

        def fail_at_first(*args, **options):
            calls.append(args)
            return advance(*args, **options) if len(calls) > times else None

        monkeypatch.setattr(compare_and_swap, "advance", fail_at_first)

    return match_no_row


def test_a_refresh_during_a_password_change_is_retried(signed_in, unmatched_updates):
    unmatched_updates(1)

    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


def test_a_refresh_that_stays_unavailable_does_not_end_the_session(signed_in, unmatched_updates, assert_refused):
    unmatched_updates(3)

    assert_refused(signed_in.refresh(signed_in.refresh_token), 503, "unavailable")
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


def test_a_refresh_overtaken_by_another_gets_the_same_successor(signed_in, before_update):
    other = []
    before_update(lambda: other.append(signed_in.refresh(signed_in.refresh_token)))

    response = signed_in.refresh(signed_in.refresh_token)

    assert response.json()["refreshToken"] == other[0].json()["refreshToken"]
    assert RefreshToken.objects.get().generation == 1


def test_a_refresh_overtaken_twice_does_not_reset_the_generation(signed_in, before_update, assert_refused):
    def twice():
        signed_in.refresh(signed_in.refresh(signed_in.refresh_token).json()["refreshToken"])

    before_update(twice)

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")
    assert RefreshToken.objects.get().generation == 2


def test_a_refresh_overtaken_by_the_session_s_end_is_refused(signed_in, before_update, assert_refused):
    before_update(lambda: RefreshToken.objects.all().end(EndReason.SIGNED_OUT, at=timezone.now()))

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_revoked")
    assert RefreshToken.objects.get().generation == 0


def test_a_refresh_overtaken_by_the_session_s_deletion_is_refused(signed_in, before_update, assert_refused):
    before_update(lambda: RefreshToken.objects.all().delete())

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_unknown")


def test_a_refresh_token_with_any_changed_character_is_refused_and_ends_no_session(signed_in, assert_refused):
    token = signed_in.refresh_token
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert_refused(signed_in.refresh(changed), 403, "refresh_token_unknown")

    assert signed_in.refresh(token).status_code == 200


def test_a_mistyped_token_costs_no_query(signed_in, django_assert_num_queries):
    with django_assert_num_queries(0):
        signed_in.refresh(signed_in.refresh_token[:-1] + ("A" if signed_in.refresh_token[-1] != "A" else "B"))


def _forged(session, generation, secret):
    """Encode a token with a valid checksum, as an attacker with the server key could."""
    return refresh_tokens.encode(refresh_tokens.RefreshSecret(session.uuid, generation, secret))


@pytest.mark.parametrize("generation", [0, 1, 2, 3, 4, 2**32 - 1])
def test_a_refresh_token_cannot_be_forged_from_the_server_key_and_the_database(
    signed_in, assert_refused, generation
):
    token = signed_in.refresh_token
    for _ in range(3):
        token = signed_in.refresh(token).json()["refreshToken"]
    session = RefreshToken.objects.get()

    for secret in (secrets.token_bytes(32), bytes(session.secret_digest)):
        assert_refused(signed_in.refresh(_forged(session, generation, secret)), 403, "refresh_token_unknown")

    assert signed_in.refresh(token).status_code == 200


def test_the_session_row_does_not_contain_the_secret(signed_in):
    session = RefreshToken.objects.get()
    body = base64.urlsafe_b64decode(signed_in.refresh_token.removeprefix("authrt_"))
    stored = [str(value).encode() if not isinstance(value, bytes) else value for value in vars(session).values()]

    assert not any(body[20:52] in value for value in stored)


def test_a_secret_is_bound_to_its_session_and_generation():
    secret = refresh_tokens.first_generation(RefreshToken().uuid)
    elsewhere = secret._replace(session_id=RefreshToken().uuid)
    later = secret._replace(generation=1)

    assert len({refresh_tokens.successor(one).secret for one in (secret, elsewhere, later)}) == 3


@pytest.mark.parametrize("missing", [{}, {"refreshToken": ""}, {"refreshToken": None}])
def test_a_refresh_without_a_token_is_refused(api, assert_refused, missing):
    response = api.post(URL, missing)

    assert_refused(response, 403, "refresh_token_missing")
    assert response.json()["message"] == "Refresh Token is required!"


@pytest.mark.parametrize("token", ["x", "authrt_", "authrt_" + "A" * 80, "authrt_" + "é" * 80, " ", "a" * 60000])
def test_an_invented_token_is_unknown(api, assert_refused, token):
    response = api.refresh(token)

    assert_refused(response, 403, "refresh_token_unknown")
    assert response.json()["message"] == "Refresh token is not in database!"


@pytest.mark.parametrize("token", [5, True, ["x"], {"a": 1}])
def test_a_token_that_is_not_a_string_is_an_invalid_request(api, assert_refused, token):
    assert_refused(api.refresh(token), 400, "invalid_request")


def test_an_idle_session_expires(signed_in, clock, assert_refused):
    clock.advance(days=1)

    response = signed_in.refresh(signed_in.refresh_token)

    assert_refused(response, 403, "refresh_token_expired")
    assert response.json()["message"] == "Refresh token was expired. Please make a new signin request"


def test_a_refresh_extends_the_session(signed_in, clock):
    token = signed_in.refresh_token
    for _ in range(5):
        clock.advance(hours=23)
        response = signed_in.refresh(token)
        token = response.json()["refreshToken"]
        assert response.json()["refreshExpiresIn"] == 86400


def test_no_session_outlives_its_absolute_lifetime(signed_in, override_auth, clock, assert_refused):
    token = signed_in.refresh_token
    for _ in range(29 * 2 + 1):
        clock.advance(hours=12)
        token = signed_in.refresh(token).json()["refreshToken"]
    clock.advance(hours=11, minutes=55)

    last = signed_in.refresh(token).json()

    assert (last["expiresIn"], last["refreshExpiresIn"]) == (300, 300)
    clock.advance(seconds=300)
    assert_refused(signed_in.get("/api/test/user", last["accessToken"]), 401, "token_expired")
    assert_refused(signed_in.refresh(last["refreshToken"]), 403, "refresh_token_expired")


@pytest.mark.parametrize("rotation", [True, False])
@pytest.mark.parametrize("milliseconds", [1, 500, 999])
def test_a_refresh_in_the_last_second_of_a_session_issues_no_expired_token(
    clock, override_auth, assert_refused, rotation, milliseconds
):
    override_auth(refresh_token_rotation=rotation, session_lifetime=60, refresh_token_lifetime=60)
    clock.advance(milliseconds=milliseconds)
    signed_in = SignedIn(make_user().username)
    clock.advance(seconds=59)

    in_time = signed_in.refresh(signed_in.refresh_token).json()
    clock.advance(milliseconds=1)

    assert (in_time["expiresIn"], in_time["refreshExpiresIn"]) == (1, 1)
    for token in (in_time["refreshToken"], signed_in.refresh_token):  # the second one is in its grace period
        assert_refused(signed_in.refresh(token), 403, "refresh_token_expired")
    assert RefreshToken.objects.get().end_reason == ""


def test_the_shortest_lifetimes_still_issue_tokens(clock, override_auth):
    override_auth(session_lifetime=1, refresh_token_lifetime=1, access_token_lifetime=1)
    clock.advance(milliseconds=999)

    response = SignedIn(make_user().username)

    assert response.content().status_code == 200


def test_a_refresh_never_renews_auth_time(signed_in, clock):
    signed_in_at = signed_in.claims.auth_time
    clock.advance(hours=1)
    signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]

    assert signed_in.claims.auth_time == signed_in_at


def test_the_refresh_token_of_a_purged_session_is_unknown(signed_in, assert_refused):
    RefreshToken.objects.all().delete()

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_unknown")


def test_refresh_tokens_stay_valid_when_the_replaced_secret_key_is_a_fallback(signed_in, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]

    second = signed_in.refresh(signed_in.refresh_token)

    assert second.status_code == 200
    assert signed_in.refresh(second.json()["refreshToken"]).status_code == 200


@pytest.mark.parametrize("rotated_by", ["old", "new"])
def test_a_retry_on_a_machine_with_the_other_secret_key_gets_the_same_successor(signed_in, settings, rotated_by):
    keys = {"old": settings.SECRET_KEY, "new": "n" * 50}

    def refresh_on(machine):
        settings.SECRET_KEY = keys[machine]
        settings.SECRET_KEY_FALLBACKS = [key for key in keys.values() if key != settings.SECRET_KEY]
        return signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]

    first = refresh_on(rotated_by)

    assert {refresh_on("old"), refresh_on("new")} == {first}
    signed_in.refresh_token = first
    assert refresh_on("new")


def test_refresh_tokens_of_another_secret_key_are_unknown(signed_in, settings, assert_refused):
    settings.SECRET_KEY = "n" * 50

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_unknown")


class TestRotationOff:
    """AUTH_REFRESH_TOKEN_ROTATION off, for clients that never store a new refresh token."""

    @pytest.fixture(autouse=True)
    def _off(self, override_auth):
        override_auth(refresh_token_rotation=False)

    def test_a_refresh_returns_the_same_token_until_it_expires(self, signed_in, clock, assert_refused):
        for _ in range(3):
            clock.advance(hours=7)
            assert signed_in.refresh(signed_in.refresh_token).json()["refreshToken"] == signed_in.refresh_token

        clock.advance(hours=3)
        assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_expired")

    def test_a_replaced_secret_key_does_not_change_the_token(self, signed_in, settings):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]

        assert signed_in.refresh(signed_in.refresh_token).json()["refreshToken"] == signed_in.refresh_token

    def test_the_expiry_is_fixed_at_sign_in(self, signed_in, clock):
        clock.advance(hours=7)

        assert signed_in.refresh(signed_in.refresh_token).json()["refreshExpiresIn"] == 17 * 3600

    def test_the_access_token_does_not_outlive_the_refresh_token(self, signed_in, clock):
        clock.advance(hours=23, minutes=50)

        assert signed_in.refresh(signed_in.refresh_token).json()["expiresIn"] == 600

    def test_a_token_spent_while_rotation_was_on_still_counts_as_reuse(
        self, signed_in, override_auth, clock, assert_refused
    ):
        override_auth(refresh_token_rotation=True)
        current = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
        override_auth(refresh_token_rotation=False)
        clock.advance(minutes=1)

        assert signed_in.refresh(current).json()["refreshToken"] == current
        assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")
