"""Many at once, with real threads, each on a connection of its own."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

import pytest
from django.core.management import call_command
from django.db import connection

from accounts import roles
from accounts.models import RefreshToken, User
from accounts.models.origins import KnownOriginQuerySet
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def at_once(*tasks):
    """Run the tasks in a thread each, start them together, and return what they return."""
    barrier = Barrier(len(tasks))

    def run(task):
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@pytest.fixture
def alice():
    make_user("alice")
    return SignedIn("alice")


def refreshing(token):
    return lambda: Api().refresh(token)


def test_fifty_refreshes_of_one_token_get_the_same_successor(alice):
    answers = at_once(*[refreshing(alice.refresh_token)] * 50)

    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert len({answer.json()["refreshToken"] for answer in answers}) == 1
    assert RefreshToken.objects.get().generation == 1


def test_without_rotation_fifty_refreshes_get_the_same_token(alice, auth):
    auth(refresh_token_rotation=False)

    answers = at_once(*[refreshing(alice.refresh_token)] * 50)

    assert {answer.json()["refreshToken"] for answer in answers} == {alice.refresh_token}


def test_simultaneous_replays_of_a_stolen_token_end_one_session_once(alice, events):
    second = alice.refresh(alice.refresh_token).json()["refreshToken"]
    third = alice.refresh(second).json()["refreshToken"]

    answers = at_once(*[refreshing(alice.refresh_token)] * 24, refreshing(third))

    assert {answer.status_code for answer in answers[:24]} == {403}
    assert alice.refresh(third).status_code == 403
    assert RefreshToken.objects.get().end_reason == "reused"
    assert [line["event"] for line in events()].count("session:ended") == 1


def test_nobody_refreshes_past_a_sign_out(alice):
    for _ in range(10):
        session = SignedIn("alice")

        answers = at_once(
            *[refreshing(session.refresh_token)] * 3,
            lambda session=session: Api().post("/api/auth/signout", {"refreshToken": session.refresh_token}),
        )

        assert answers[-1].status_code == 204
        for answer in answers[:-1]:
            assert answer.status_code in (200, 403)
            if answer.status_code == 200:
                pair = answer.json()
                assert session.get("/api/test/user", pair["accessToken"]).status_code == 401
                assert session.refresh(pair["refreshToken"]).status_code == 403


def test_a_role_change_during_refreshes_leaves_no_token_with_the_old_roles(alice):
    token = alice.refresh_token
    for command in ("grantrole", "revokerole"):
        answers = at_once(
            *[refreshing(token)] * 4, lambda command=command: call_command(command, "alice", "admin", stdout=None)
        )
        expected = 200 if command == "grantrole" else 403
        for answer in answers[:-1]:
            assert alice.get("/api/test/admin", answer.json()["accessToken"]).status_code in (401, expected)
        token = answers[0].json()["refreshToken"]


def test_a_session_deleted_during_refreshes_is_gone(alice):
    answers = at_once(*[refreshing(alice.refresh_token)] * 5, lambda: User.objects.get().delete())

    assert {answer.status_code for answer in answers[:-1]} <= {200, 403}
    assert alice.refresh(alice.refresh_token).json()["code"] == "refresh_token_unknown"


def test_fifty_simultaneous_guesses_count_in_full():
    make_user("victim")

    answers = at_once(*[lambda: Api().sign_in("victim", "wrong password")] * 50)

    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 40}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_user_deleted_during_the_sign_in_is_no_fault(monkeypatch, is_known):
    make_user("alice")
    if is_known:
        Api().sign_in("alice")
    remember = KnownOriginQuerySet.remember
    save = RefreshToken.save

    def delete_first(self, *args, **options):
        User.objects.all().delete()
        save(self, *args, **options)

    def delete_even_sooner(self, *args, **options):
        User.objects.all().delete()
        remember(self, *args, **options)

    monkeypatch.setattr(RefreshToken, "save", delete_first)
    monkeypatch.setattr(KnownOriginQuerySet, "remember", delete_even_sooner)

    assert Api().sign_in("alice").json()["code"] == "invalid_credentials"


def test_simultaneous_sign_ins_with_the_right_password_all_succeed():
    make_user("alice")

    answers = at_once(*[lambda: Api().sign_in("alice", PASSWORD)] * 8)

    assert Counter(answer.status_code for answer in answers) == {200: 8}


def test_of_simultaneous_sign_ups_under_one_name_one_succeeds():
    names = ["carol", "CAROL", "Carol", "ｃarol"] * 3
    tasks = [
        lambda name=name, number=number: Api().sign_up(name, email=f"{number}@example.com")
        for number, name in enumerate(names)
    ]

    answers = at_once(*tasks)

    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 11
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"username_taken"}
    assert User.objects.count() == 1


def test_of_two_role_changes_none_undoes_the_other(monkeypatch):
    user = make_user("alice")
    refuse_unknown = roles.refuse_unknown
    others = []

    def let_another_come_between_reading_and_writing(names):
        monkeypatch.setattr(roles, "refuse_unknown", refuse_unknown)
        other = Thread(target=lambda: at_once(lambda: call_command("grantrole", "alice", "moderator")))
        other.start()
        # It gets no further than the lock, for as long as this change is under way.
        other.join(timeout=1)
        others.append(other)
        refuse_unknown(names)

    monkeypatch.setattr(roles, "refuse_unknown", let_another_come_between_reading_and_writing)
    call_command("grantrole", "alice", "admin")
    others[0].join()

    user.refresh_from_db()
    assert user.role_names == ("admin", "moderator", "user")
    assert user.token_version == 2


def test_purging_beside_refreshes_loses_no_session(alice, auth):
    for _ in range(20):
        SignedIn("alice")
    live = SignedIn("alice")
    RefreshToken.objects.exclude(pk=live.claims.session_id).update(expires_at="2020-01-01T00:00:00Z")

    answers = at_once(
        *[lambda: call_command("purge_expired_tokens", batch_size=3)] * 2,
        *[refreshing(live.refresh_token)] * 6,
    )

    assert {answer.status_code for answer in answers[2:]} == {200}
    assert RefreshToken.objects.get().pk == live.claims.session_id
