"""AUTH_REVOCATION_LAG above 0: how stale a cached validity may be, and the cache of verified access tokens."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from accounts.models import RefreshToken, User
from accounts.sessions import validity
from accounts.tokens import claims, verified_tokens
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.sessions.test_services import ServiceClient
from tests.sessions.test_validity import DELETED, MATRIX, PASSES

LAG = 60


@pytest.fixture(autouse=True)
def _lag(override_auth, clock, monkeypatch):
    override_auth(revocation_lag=LAG)
    validity._validity_cache.cache_clear()
    monkeypatch.setattr(validity, "monotonic", time.time)
    yield
    validity._validity_cache.cache_clear()


def change_in_another_process(**changes):
    """Update sessions directly in the database, as another process would, so that this one does not notice."""
    RefreshToken.objects.update(**changes)


def test_a_protected_request_needs_no_query_within_the_lag(signed_in, django_assert_num_queries):
    signed_in.content()

    for name in ("user", "mod", "admin"):
        with django_assert_num_queries(0):
            signed_in.content(name)


def test_a_revocation_by_another_process_takes_effect_after_the_lag_and_no_later(signed_in, clock, assert_refused):
    signed_in.content()
    change_in_another_process(ended_at="2020-01-01T00:00:00Z")

    clock.advance(seconds=LAG - 1)
    assert signed_in.content().status_code == 200
    clock.advance(seconds=1)
    assert_refused(signed_in.content(), 401, "token_revoked")


def test_repeated_requests_do_not_extend_the_lag(signed_in, clock, assert_refused):
    signed_in.content()
    change_in_another_process(ended_at="2020-01-01T00:00:00Z")
    for _ in range(LAG - 1):
        clock.advance(seconds=1)
        assert signed_in.content().status_code == 200

    clock.advance(seconds=1)

    assert_refused(signed_in.content(), 401, "token_revoked")


def test_tokens_of_a_user_deleted_by_another_process_are_inactive_to_a_service(signed_in):
    orders = ServiceClient(audience="authproject")
    assert orders.introspect(signed_in.access_token)["active"]

    User.objects.all().delete()

    assert orders.introspect(signed_in.access_token) == {"active": False}


def test_the_lag_starts_when_the_query_is_sent_not_when_it_returns(signed_in, clock, monkeypatch, assert_refused):
    query = validity._query
    monkeypatch.setattr(validity, "_query", lambda *args: (query(*args), clock.advance(seconds=5))[0])
    signed_in.content()
    monkeypatch.setattr(validity, "_query", query)
    change_in_another_process(ended_at="2020-01-01T00:00:00Z")

    clock.advance(seconds=LAG - 5)

    assert_refused(signed_in.content(), 401, "token_revoked")


def test_refusals_are_not_cached(signed_in, assert_refused):
    change_in_another_process(ended_at="2020-01-01T00:00:00Z")
    assert_refused(signed_in.content(), 401, "token_revoked")

    change_in_another_process(ended_at=None)

    assert signed_in.content().status_code == 200


WITHOUT_A_SIGNAL = {
    "deactivated_in_the_database",
    "password_updated",
    "password_updated_in_bulk",
    "password_upserted",
}


@pytest.mark.parametrize(
    ("event", "access"),
    [(event, access) for event, access, _ in MATRIX if event.__name__ not in WITHOUT_A_SIGNAL],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_changes_by_this_process_take_effect_immediately(admin_client, assert_refused, event, access):
    user = make_user()
    signed_in = SignedIn(user.username)
    assert signed_in.content().status_code == 200

    event(signed_in, user, admin_client)

    if access == PASSES:
        assert signed_in.content().status_code == 200
    else:
        assert_refused(signed_in.content(), *access)


def test_a_sign_out_leaves_the_session_of_another_user_valid(signed_in, clock):
    other = SignedIn(make_user().username)
    other.content()
    signed_in.content()
    with CaptureQueriesContext(connection) as queries:
        signed_in.post("/api/auth/signout", token=signed_in.access_token)
    assert queries

    assert other.content().status_code == 200


def test_a_result_queried_before_a_sign_out_is_not_used_after_it(signed_in, monkeypatch, assert_refused):
    """The query runs, then the session ends, then the result of the query is added to the cache."""
    query = validity._query

    def query_then_end(session_id, now):
        result = query(session_id, now)
        monkeypatch.setattr(validity, "_query", query)
        signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token})
        return result

    monkeypatch.setattr(validity, "_query", query_then_end)
    signed_in.content()

    assert_refused(signed_in.content(), 401, "token_revoked")


def test_the_validity_cache_is_bounded(monkeypatch, clock):
    monkeypatch.setattr(validity, "CACHE_SIZE", 3)
    make_user("alice")
    sessions = [SignedIn("alice") for _ in range(5)]
    for session in sessions:
        assert session.content().status_code == 200

    assert len(validity._validity_cache(float(LAG))._entries) == 3
    for session in sessions:
        assert session.content().status_code == 200


def test_the_validity_cache_is_thread_safe():
    cache = validity._ValidityCache(LAG)

    def use_cache(number):
        for step in range(300):
            cache.add(step % 7, validity.SessionValidity(number % 3, 0), validity.monotonic())
            cache.get(step % 7)
            cache.invalidate(step % 3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use_cache, range(8)))


def test_the_user_is_loaded_on_first_access(signed_in, django_assert_num_queries):
    signed_in.content()

    with django_assert_num_queries(2):  # the user, and the roles
        assert signed_in.get("/api/auth/me", signed_in.access_token).json()["username"]


def test_a_user_deleted_before_being_loaded_causes_a_401_and_no_error(signed_in, assert_refused):
    signed_in.content()
    User.objects.all().delete()

    assert_refused(signed_in.get("/api/auth/me", signed_in.access_token), *DELETED[0])


class TestVerifiedTokens:
    """A token whose signature was verified once is found in the cache."""

    @pytest.fixture
    def verifications(self, monkeypatch):
        calls = []
        verify = claims.verify
        monkeypatch.setattr(
            claims, "verify", lambda *arguments, **options: calls.append(1) or verify(*arguments, **options)
        )
        return calls

    def test_a_signature_is_verified_once_for_several_requests(self, signed_in, verifications):
        for _ in range(5):
            assert signed_in.content().status_code == 200

        assert len(verifications) == 1

    def test_a_cached_token_is_refused_once_it_expires(self, signed_in, clock, assert_refused):
        signed_in.content()
        clock.advance(seconds=900)

        assert_refused(signed_in.content(), 401, "token_expired")

    def test_a_cached_token_is_refused_once_its_key_is_dropped(self, override_auth, tmp_path, assert_refused):
        override_auth(keys_dir=tmp_path)
        signed_in = SignedIn(make_user().username)
        signed_in.content()
        key_rotation.drop(key_ring().signing.kid)

        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_a_cached_token_is_refused_once_the_audience_or_issuer_changes(
        self, signed_in, override_auth, assert_refused
    ):
        signed_in.content()
        override_auth(audience=("other",))
        assert_refused(signed_in.content(), 401, "token_invalid")

        override_auth(issuer="http://other")
        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_a_token_that_differs_from_a_cached_one_in_one_character_is_refused(self, signed_in, assert_refused):
        signed_in.content()
        token = signed_in.access_token
        altered = token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]

        assert_refused(signed_in.get("/api/test/user", altered), 401, "token_invalid")

    def test_refused_tokens_are_not_cached(self, signed_in, verifications):
        for _ in range(3):
            signed_in.get("/api/test/user", "a.b.c")

        assert len(verifications) == 3

    def test_the_cache_stores_no_token(self, signed_in):
        signed_in.content()

        assert signed_in.access_token not in repr(verified_tokens._cache)
