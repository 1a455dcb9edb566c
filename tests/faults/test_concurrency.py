"""Many at once, with real threads, each on a connection of its own."""

from collections import Counter
from threading import Thread

import pytest
from django.core.management import call_command

from accounts.models import Activity, RefreshToken, User
from accounts.models.origins import KnownOriginQuerySet
from accounts.users import mail_tokens, roles
from accounts.users.mail_tokens import Purpose
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


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


def changing(session, new):
    body = {"currentPassword": PASSWORD, "newPassword": new}
    return lambda: Api().post("/api/auth/password/change", body, session.access_token)


def test_of_two_password_changes_at_once_one_succeeds_and_holds():
    for number in range(5):
        name = f"user{number}x"
        make_user(name)
        here, there = SignedIn(name), SignedIn(name)
        passwords = ["first good one", "second good one", "third good one"]

        answers = at_once(
            *[changing(session, new) for session, new in zip((here, there, here), passwords, strict=True)]
        )

        statuses = [answer.status_code for answer in answers]
        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 401, 403}
        works = [Api().sign_in(name, new).status_code == 200 for new in passwords]
        assert works == [status == 204 for status in statuses]
        winner = (here, there, here)[statuses.index(204)]
        loser = there if winner is here else here
        assert winner.refresh(winner.refresh_token).status_code == 200
        assert loser.refresh(loser.refresh_token).status_code == 403


def test_a_reset_token_used_many_times_at_once_is_good_once():
    user = make_user("alice")
    token = mail_tokens.issue(Purpose.RESET_PASSWORD, user)
    words = [f"a good password {number}" for number in range(8)]

    answers = at_once(
        *[
            lambda new=new: Api().post("/api/auth/password/reset/confirm", {"token": token, "newPassword": new})
            for new in words
        ]
    )

    assert sorted(answer.status_code for answer in answers) == [204] + [400] * 7
    winner = words[[answer.status_code for answer in answers].index(204)]
    assert Api().sign_in("alice", winner).status_code == 200


def test_refreshes_during_a_password_change_lose_nobody_and_let_nobody_in(alice):
    there = SignedIn("alice")

    answers = at_once(
        changing(alice, "another good one"),
        *[refreshing(alice.refresh_token)] * 3,
        *[refreshing(there.refresh_token)] * 3,
    )

    assert answers[0].status_code == 204
    assert {answer.status_code for answer in answers[1:4]} == {200}
    goes_on = alice.refresh(answers[1].json()["refreshToken"])
    assert goes_on.status_code == 200
    assert alice.get("/api/test/user", goes_on.json()["accessToken"]).status_code == 200
    for answer in answers[4:]:
        if answer.status_code == 200:
            pair = answer.json()
            assert alice.get("/api/test/user", pair["accessToken"]).status_code == 401
            assert alice.refresh(pair["refreshToken"]).status_code == 403


def test_leaving_during_refreshes_and_sign_ins_leaves_nothing():
    for number in range(5):
        name = f"leaver{number}"
        make_user(name)
        session = SignedIn(name)

        answers = at_once(
            lambda session=session: Api().delete("/api/auth/me", session.access_token),
            *[refreshing(session.refresh_token)] * 3,
            *[lambda name=name: Api().sign_in(name)] * 3,
            *[lambda session=session: session.patch("/api/auth/me", {"fullname": "X"}, session.access_token)] * 2,
        )

        assert answers[0].status_code == 204
        assert {answer.status_code for answer in answers[1:]} <= {200, 401, 403}
        assert not User.objects.filter(username=name).exists()
    assert not RefreshToken.objects.exists()
    assert not Activity.objects.exists()


def test_leaving_twice_at_once_is_no_fault(alice):
    answers = at_once(*[lambda: Api().delete("/api/auth/me", alice.access_token)] * 4)

    assert {answer.status_code for answer in answers} <= {204, 401}
    assert 204 in {answer.status_code for answer in answers}


def test_a_step_up_during_a_sign_out_leaves_nothing_that_works():
    make_user("alice")
    for _ in range(5):
        session = SignedIn("alice")

        answers = at_once(
            lambda session=session: Api().post(
                "/api/auth/reauthenticate", {"password": PASSWORD}, session.access_token
            ),
            lambda session=session: Api().post("/api/auth/signout", {"refreshToken": session.refresh_token}),
        )

        assert answers[0].status_code in (200, 401)
        if answers[0].status_code == 200:
            assert Api().get("/api/test/user", answers[0].json()["accessToken"]).status_code == 401


def test_of_users_who_want_one_name_at_once_one_gets_it():
    sessions = []
    for number in range(6):
        make_user(f"user{number}y")
        sessions.append(SignedIn(f"user{number}y"))

    answers = at_once(
        *[
            lambda session=session: session.patch(
                "/api/auth/me", {"username": "Wanted", "email": "wanted@example.com"}, session.access_token
            )
            for session in sessions
        ]
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
    assert User.objects.filter(username_key="wanted").count() == 1
