"""Test concurrent requests in threads, each with its own database connection."""

from collections import Counter
from threading import Thread

import pytest
from django.core.management import call_command

from accounts.models import Activity, RefreshToken, User
from accounts.models.origins import KnownOriginQuerySet
from accounts.users import importing, mail_tokens, roles
from accounts.users.mail_tokens import Purpose
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.threads import run_concurrently

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def alice():
    make_user("alice")
    return SignedIn("alice")


def refresh_with(token):
    return lambda: Api().refresh(token)


def test_fifty_concurrent_refreshes_get_the_same_successor(alice):
    responses = run_concurrently(*[refresh_with(alice.refresh_token)] * 50)

    assert Counter(response.status_code for response in responses) == {200: 50}
    assert len({response.json()["refreshToken"] for response in responses}) == 1
    assert RefreshToken.objects.get().generation == 1


def test_without_rotation_fifty_concurrent_refreshes_get_the_same_token(alice, override_auth):
    override_auth(refresh_token_rotation=False)

    responses = run_concurrently(*[refresh_with(alice.refresh_token)] * 50)

    assert {response.json()["refreshToken"] for response in responses} == {alice.refresh_token}


def test_concurrent_replays_of_a_used_token_end_the_session_once(alice, events):
    second = alice.refresh(alice.refresh_token).json()["refreshToken"]
    third = alice.refresh(second).json()["refreshToken"]

    responses = run_concurrently(*[refresh_with(alice.refresh_token)] * 24, refresh_with(third))

    assert {response.status_code for response in responses[:24]} == {403}
    assert alice.refresh(third).status_code == 403
    assert RefreshToken.objects.get().end_reason == "reused"
    assert [line["event"] for line in events()].count("session:ended") == 1


def test_no_token_survives_a_concurrent_sign_out(alice):
    for _ in range(10):
        session = SignedIn("alice")

        responses = run_concurrently(
            *[refresh_with(session.refresh_token)] * 3,
            lambda session=session: Api().post("/api/auth/signout", {"refreshToken": session.refresh_token}),
        )

        assert responses[-1].status_code == 204
        for response in responses[:-1]:
            assert response.status_code in (200, 403)
            if response.status_code == 200:
                pair = response.json()
                assert session.get("/api/test/user", pair["accessToken"]).status_code == 401
                assert session.refresh(pair["refreshToken"]).status_code == 403


def test_no_token_grants_the_old_roles_after_a_concurrent_role_change(alice):
    token = alice.refresh_token
    for command in ("grantrole", "revokerole"):
        responses = run_concurrently(
            *[refresh_with(token)] * 4,
            lambda command=command: call_command(command, "alice", "admin", stdout=None),
        )
        expected = 200 if command == "grantrole" else 403
        for response in responses[:-1]:
            assert alice.get("/api/test/admin", response.json()["accessToken"]).status_code in (401, expected)
        token = responses[0].json()["refreshToken"]


def test_deleting_a_user_during_refreshes_deletes_the_session(alice):
    responses = run_concurrently(*[refresh_with(alice.refresh_token)] * 5, lambda: User.objects.get().delete())

    assert {response.status_code for response in responses[:-1]} <= {200, 403}
    assert alice.refresh(alice.refresh_token).json()["code"] == "refresh_token_unknown"


def test_fifty_concurrent_failed_sign_ins_are_all_counted():
    make_user("victim")

    responses = run_concurrently(*[lambda: Api().sign_in("victim", "wrong password")] * 50)

    assert Counter(response.status_code for response in responses) == {401: 10, 429: 40}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_sign_in_of_a_user_deleted_meanwhile_gets_invalid_credentials(monkeypatch, is_known):
    make_user("alice")
    if is_known:
        Api().sign_in("alice")
    remember = KnownOriginQuerySet.remember
    save = RefreshToken.save

    def delete_before_session(self, *args, **options):
        User.objects.all().delete()
        save(self, *args, **options)

    def delete_before_origin(self, *args, **options):
        User.objects.all().delete()
        remember(self, *args, **options)

    monkeypatch.setattr(RefreshToken, "save", delete_before_session)
    monkeypatch.setattr(KnownOriginQuerySet, "remember", delete_before_origin)

    assert Api().sign_in("alice").json()["code"] == "invalid_credentials"


def test_concurrent_sign_ins_with_the_correct_password_all_succeed():
    make_user("alice")

    responses = run_concurrently(*[lambda: Api().sign_in("alice", PASSWORD)] * 8)

    assert Counter(response.status_code for response in responses) == {200: 8}


def test_only_one_of_concurrent_sign_ups_with_the_same_username_succeeds():
    names = ["carol", "CAROL", "Carol", "ｃarol"] * 3
    tasks = [
        lambda name=name, number=number: Api().sign_up(name, email=f"{number}@example.com")
        for number, name in enumerate(names)
    ]

    responses = run_concurrently(*tasks)

    assert sorted(response.status_code for response in responses) == [201] + [400] * 11
    assert {response.json()["code"] for response in responses if response.status_code == 400} == {"username_taken"}
    assert User.objects.count() == 1


def test_concurrent_role_changes_do_not_undo_each_other(monkeypatch):
    user = make_user("alice")
    refuse_unknown = roles.refuse_unknown
    other_changes = []

    def start_another_change(names):
        monkeypatch.setattr(roles, "refuse_unknown", refuse_unknown)
        other_change = Thread(
            target=lambda: run_concurrently(lambda: call_command("grantrole", "alice", "moderator"))
        )
        other_change.start()
        # The other change waits for the row lock until this change is committed.
        other_change.join(timeout=1)
        other_changes.append(other_change)
        refuse_unknown(names)

    monkeypatch.setattr(roles, "refuse_unknown", start_another_change)
    call_command("grantrole", "alice", "admin")
    other_changes[0].join()

    user.refresh_from_db()
    assert user.role_names == ("admin", "moderator", "user")
    assert user.token_version == 2


def test_a_purge_during_refreshes_deletes_no_valid_session(alice, override_auth):
    for _ in range(20):
        SignedIn("alice")
    live = SignedIn("alice")
    RefreshToken.objects.exclude(pk=live.claims.session_id).update(expires_at="2020-01-01T00:00:00Z")

    responses = run_concurrently(
        *[lambda: call_command("purge_expired_tokens", batch_size=3)] * 2,
        *[refresh_with(live.refresh_token)] * 6,
    )

    assert {response.status_code for response in responses[2:]} == {200}
    assert RefreshToken.objects.get().pk == live.claims.session_id


def change_password(session, new):
    body = {"currentPassword": PASSWORD, "newPassword": new}
    return lambda: Api().post("/api/auth/password/change", body, session.access_token)


def test_only_one_of_concurrent_password_changes_succeeds():
    for number in range(5):
        name = f"user{number}x"
        make_user(name)
        first, second = SignedIn(name), SignedIn(name)
        passwords = ["first good one", "second good one", "third good one"]

        responses = run_concurrently(
            *[
                change_password(session, new)
                for session, new in zip((first, second, first), passwords, strict=True)
            ]
        )

        statuses = [response.status_code for response in responses]
        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 401, 403}
        accepted = [Api().sign_in(name, new).status_code == 200 for new in passwords]
        assert accepted == [status == 204 for status in statuses]
        winner = (first, second, first)[statuses.index(204)]
        loser = second if winner is first else first
        assert winner.refresh(winner.refresh_token).status_code == 200
        assert loser.refresh(loser.refresh_token).status_code == 403


def test_a_reset_token_used_concurrently_works_once():
    user = make_user("alice")
    token = mail_tokens.issue(Purpose.RESET_PASSWORD, user)
    passwords = [f"a good password {number}" for number in range(8)]

    responses = run_concurrently(
        *[
            lambda new=new: Api().post("/api/auth/password/reset/confirm", {"token": token, "newPassword": new})
            for new in passwords
        ]
    )

    assert sorted(response.status_code for response in responses) == [204] + [400] * 7
    winner = passwords[[response.status_code for response in responses].index(204)]
    assert Api().sign_in("alice", winner).status_code == 200


def test_a_password_change_during_refreshes_keeps_only_the_current_session(alice):
    other = SignedIn("alice")

    responses = run_concurrently(
        change_password(alice, "another good one"),
        *[refresh_with(alice.refresh_token)] * 3,
        *[refresh_with(other.refresh_token)] * 3,
    )

    assert responses[0].status_code == 204
    assert {response.status_code for response in responses[1:4]} == {200}
    next_refresh = alice.refresh(responses[1].json()["refreshToken"])
    assert next_refresh.status_code == 200
    assert alice.get("/api/test/user", next_refresh.json()["accessToken"]).status_code == 200
    for response in responses[4:]:
        if response.status_code == 200:
            pair = response.json()
            assert alice.get("/api/test/user", pair["accessToken"]).status_code == 401
            assert alice.refresh(pair["refreshToken"]).status_code == 403


def test_deleting_an_account_during_refreshes_and_sign_ins_leaves_no_rows():
    for number in range(5):
        name = f"leaver{number}"
        make_user(name)
        session = SignedIn(name)

        responses = run_concurrently(
            lambda session=session: Api().delete("/api/auth/me", session.access_token),
            *[refresh_with(session.refresh_token)] * 3,
            *[lambda name=name: Api().sign_in(name)] * 3,
            *[lambda session=session: session.patch("/api/auth/me", {"fullname": "X"}, session.access_token)] * 2,
        )

        assert responses[0].status_code == 204
        assert {response.status_code for response in responses[1:]} <= {200, 401, 403}
        assert not User.objects.filter(username=name).exists()
    assert not RefreshToken.objects.exists()
    assert not Activity.objects.exists()


def test_concurrent_deletions_of_one_account_cause_no_server_error(alice):
    responses = run_concurrently(*[lambda: Api().delete("/api/auth/me", alice.access_token)] * 4)

    assert {response.status_code for response in responses} <= {204, 401}
    assert 204 in {response.status_code for response in responses}


def test_a_step_up_during_a_sign_out_leaves_no_valid_token():
    make_user("alice")
    for _ in range(5):
        session = SignedIn("alice")

        responses = run_concurrently(
            lambda session=session: Api().post(
                "/api/auth/reauthenticate", {"password": PASSWORD}, session.access_token
            ),
            lambda session=session: Api().post("/api/auth/signout", {"refreshToken": session.refresh_token}),
        )

        assert responses[0].status_code in (200, 401)
        if responses[0].status_code == 200:
            assert Api().get("/api/test/user", responses[0].json()["accessToken"]).status_code == 401


def test_only_one_of_concurrent_changes_to_the_same_username_succeeds():
    sessions = []
    for number in range(6):
        make_user(f"user{number}y")
        sessions.append(SignedIn(f"user{number}y"))

    responses = run_concurrently(
        *[
            lambda session=session: session.patch(
                "/api/auth/me", {"username": "Wanted", "email": "wanted@example.com"}, session.access_token
            )
            for session in sessions
        ]
    )

    assert sorted(response.status_code for response in responses) == [200] + [400] * 5
    assert User.objects.filter(username_key="wanted").count() == 1


def test_concurrent_imports_do_not_exceed_the_limit_on_the_cost_of_failed_sign_ins():
    hashes = {"a": f"pbkdf2_sha256$2000000$salt${'A' * 43}=", "b": f"bcrypt$$2b$14${'e' * 53}"}

    def import_one(name):
        fields = {"username": name, "email": f"{name}@example.com", "password": hashes[name]}
        return lambda: list(importing.import_accounts([{"pk": 1, "fields": fields}], {}, batch_size=1))

    results = run_concurrently(import_one("a"), import_one("b"))

    assert sorted(bool(account.refusal) for (account,) in results) == [False, True]
    assert User.objects.count() == 1
