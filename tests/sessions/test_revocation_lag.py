"""AUTH_REVOCATION_LAG above 0, and tokens that are verified once."""

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
from tests.sessions.test_services import Caller
from tests.sessions.test_validity import GONE, MATRIX, PASSES

LAG = 60


@pytest.fixture(autouse=True)
def _lag(auth, clock, monkeypatch):
    auth(revocation_lag=LAG)
    validity._memory.cache_clear()
    monkeypatch.setattr(validity, "monotonic", time.time)
    yield
    validity._memory.cache_clear()


def behind_our_back(**changes):
    """Change something as another process does: this one is not told."""
    RefreshToken.objects.update(**changes)


def test_a_protected_request_asks_nothing(signed_in, django_assert_num_queries):
    signed_in.content()

    for name in ("user", "mod", "admin"):
        with django_assert_num_queries(0):
            signed_in.content(name)


def test_what_another_process_did_is_known_after_the_lag_and_no_later(signed_in, clock, assert_refused):
    signed_in.content()
    behind_our_back(ended_at="2020-01-01T00:00:00Z")

    clock.advance(seconds=LAG - 1)
    assert signed_in.content().status_code == 200
    clock.advance(seconds=1)
    assert_refused(signed_in.content(), 401, "token_revoked")


def test_to_ask_again_and_again_prolongs_nothing(signed_in, clock, assert_refused):
    signed_in.content()
    behind_our_back(ended_at="2020-01-01T00:00:00Z")
    for _ in range(LAG - 1):
        clock.advance(seconds=1)
        assert signed_in.content().status_code == 200

    clock.advance(seconds=1)

    assert_refused(signed_in.content(), 401, "token_revoked")


def test_of_a_user_whom_another_process_deleted_no_token_is_active_to_a_service(signed_in):
    orders = Caller(audience="authproject")
    assert orders.introspect(signed_in.access_token)["active"]

    User.objects.all().delete()

    assert orders.introspect(signed_in.access_token) == {"active": False}


def test_the_lag_counts_from_the_question_not_from_the_answer(signed_in, clock, monkeypatch, assert_refused):
    ask = validity._ask
    monkeypatch.setattr(validity, "_ask", lambda *asked: (ask(*asked), clock.advance(seconds=5))[0])
    signed_in.content()
    monkeypatch.setattr(validity, "_ask", ask)
    behind_our_back(ended_at="2020-01-01T00:00:00Z")

    clock.advance(seconds=LAG - 5)

    assert_refused(signed_in.content(), 401, "token_revoked")


def test_what_is_refused_is_not_remembered(signed_in, assert_refused):
    behind_our_back(ended_at="2020-01-01T00:00:00Z")
    assert_refused(signed_in.content(), 401, "token_revoked")

    behind_our_back(ended_at=None)

    assert signed_in.content().status_code == 200


BEHIND_OUR_BACK = {"deactivated_in_the_database", "password_changed_in_a_shell", "deleted"}


@pytest.mark.parametrize(
    ("event", "access"),
    [(event, access) for event, access, _ in MATRIX if event.__name__ not in BEHIND_OUR_BACK],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_what_this_process_did_is_seen_at_once(site, assert_refused, event, access):
    user = make_user()
    signed_in = SignedIn(user.username)
    assert signed_in.content().status_code == 200

    event(signed_in, user, site)

    if access == PASSES:
        assert signed_in.content().status_code == 200
    else:
        assert_refused(signed_in.content(), *access)


def test_a_session_of_another_user_is_none_of_it(signed_in, clock):
    other = SignedIn(make_user().username)
    other.content()
    signed_in.content()
    with CaptureQueriesContext(connection) as queries:
        signed_in.post("/api/auth/signout", token=signed_in.access_token)
    assert queries

    assert other.content().status_code == 200


def test_an_answer_that_was_asked_for_before_a_change_is_not_believed_after_it(
    signed_in, monkeypatch, assert_refused
):
    """The database is asked, then the session ends, then what was asked is remembered."""
    ask = validity._ask

    def ask_then_end(session_id, now):
        found = ask(session_id, now)
        monkeypatch.setattr(validity, "_ask", ask)
        signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token})
        return found

    monkeypatch.setattr(validity, "_ask", ask_then_end)
    signed_in.content()

    assert_refused(signed_in.content(), 401, "token_revoked")


def test_memory_is_bounded(monkeypatch, clock):
    monkeypatch.setattr(validity, "CACHE_SIZE", 3)
    make_user("alice")
    sessions = [SignedIn("alice") for _ in range(5)]
    for session in sessions:
        assert session.content().status_code == 200

    assert len(validity._memory(float(LAG))._sessions) == 3
    for session in sessions:
        assert session.content().status_code == 200


def test_many_threads_remember_and_forget_at_once():
    memory = validity._Memory(LAG)

    def churn(number):
        for step in range(300):
            memory.keep(step % 7, validity.SessionValidity(number % 3, 0), validity.monotonic())
            memory.recall(step % 7)
            memory.forget(step % 3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(churn, range(8)))


def test_the_user_is_loaded_when_it_is_looked_at(signed_in, django_assert_num_queries):
    signed_in.content()

    with django_assert_num_queries(2):  # the user, and the roles
        assert signed_in.get("/api/auth/me", signed_in.access_token).json()["username"]


def test_a_user_who_is_gone_when_it_is_looked_at_is_no_fault(signed_in, assert_refused):
    signed_in.content()
    User.objects.all().delete()

    assert_refused(signed_in.get("/api/auth/me", signed_in.access_token), *GONE[0])


class TestVerifiedTokens:
    """A signature is checked once."""

    @pytest.fixture
    def checks(self, monkeypatch):
        done = []
        verify = claims.verify
        monkeypatch.setattr(
            claims, "verify", lambda *arguments, **options: done.append(1) or verify(*arguments, **options)
        )
        return done

    def test_and_not_with_each_request(self, signed_in, checks):
        for _ in range(5):
            assert signed_in.content().status_code == 200

        assert len(checks) == 1

    def test_an_expired_token_is_refused_all_the_same(self, signed_in, clock, assert_refused):
        signed_in.content()
        clock.advance(seconds=900)

        assert_refused(signed_in.content(), 401, "token_expired")

    def test_a_dropped_key_takes_along_what_it_vouched_for(self, auth, tmp_path, assert_refused):
        auth(keys_dir=tmp_path)
        signed_in = SignedIn(make_user().username)
        signed_in.content()
        key_rotation.drop(key_ring().signing.kid)

        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_a_changed_audience_or_issuer_is_another_question(self, signed_in, auth, assert_refused):
        signed_in.content()
        auth(audience=("other",))
        assert_refused(signed_in.content(), 401, "token_invalid")

        auth(issuer="http://other")
        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_a_token_that_differs_in_one_character_is_another_one(self, signed_in, assert_refused):
        signed_in.content()
        token = signed_in.access_token
        altered = token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]

        assert_refused(signed_in.get("/api/test/user", altered), 401, "token_invalid")

    def test_refused_tokens_are_not_remembered(self, signed_in, checks):
        for _ in range(3):
            signed_in.get("/api/test/user", "a.b.c")

        assert len(checks) == 3

    def test_no_token_is_kept_in_memory(self, signed_in):
        signed_in.content()

        assert signed_in.access_token not in repr(verified_tokens._verified)
