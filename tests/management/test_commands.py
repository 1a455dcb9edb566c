"""What operators do on the command line."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from accounts import purge
from accounts.limits import attempts
from accounts.models import GuessCount, KnownOrigin, RefreshToken, Role, User
from accounts.values.clients import Client
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user


def run(*arguments, **options):
    output = StringIO()
    call_command(*arguments, stdout=output, **options)
    return output.getvalue()


def test_the_three_roles_exist_from_the_first_migration():
    assert set(Role.objects.values_list("name", flat=True)) == {"user", "moderator", "admin"}


def test_roles_are_granted_and_taken():
    user = make_user("alice")

    assert "admin, moderator, user" in run("grantrole", "ALICE", "moderator", "admin")
    assert user.role_names == ("admin", "moderator", "user")
    assert run("revokerole", "alice@example.com", "moderator", "user") == "alice has now: admin.\n"
    assert user.role_names == ("admin",)


@pytest.mark.parametrize("command", ["grantrole", "revokerole"])
def test_a_change_that_changes_nothing_makes_no_token_stale(signed_in, command):
    user = User.objects.get()
    role = "user" if command == "grantrole" else "admin"

    run(command, user.username, role)

    assert signed_in.content().status_code == 200


@pytest.mark.parametrize("command", ["grantrole", "revokerole"])
def test_an_unknown_role_changes_nothing_and_the_known_ones_are_named(command):
    user = make_user("alice")

    with pytest.raises(CommandError, match=r"emperor does not exist.*admin, moderator, user"):
        run(command, "alice", "user", "emperor")
    assert user.role_names == ("user",)


@pytest.mark.parametrize(
    "command",
    [("grantrole", "x", "user"), ("revokerole", "x", "user"), ("deactivateuser", "x"), ("activateuser", "x")],
)
def test_an_unknown_user_is_named(command):
    with pytest.raises(CommandError, match="No user is called 'x'"):
        run(*command)


def test_deactivating_and_activating(api):
    make_user("alice")

    assert "is deactivated" in run("deactivateuser", "alice")
    assert api.sign_in("alice").status_code == 401
    assert "may sign in again" in run("activateuser", "alice")
    assert api.sign_in("alice").status_code == 200


def test_a_superuser_is_made_who_signs_in_to_the_admin(client, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    run("createsuperuser", interactive=False, username="Root", email="root@example.com")

    assert User.objects.get().username == "Root"
    answer = client.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert answer.status_code == 302


def test_a_second_superuser_of_the_same_name_is_refused(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    make_user("root")

    with pytest.raises(CommandError):
        run("createsuperuser", interactive=False, username="ROOT", email="other@example.com")


class TestPurge:
    """purge_expired_tokens."""

    @pytest.fixture(autouse=True)
    def _sessions(self, clock):
        """Three sessions that expired two, one and no days ago; one live; one revoked that has not expired."""
        user = make_user("alice")
        for _ in range(3):
            SignedIn("alice")
            clock.advance(days=1)
        self.live, self.revoked = SignedIn("alice"), SignedIn("alice")
        self.revoked.post("/api/auth/signout", {"refreshToken": self.revoked.refresh_token})
        assert user.sessions.count() == 5

    def test_expired_sessions_are_deleted_and_no_others(self):
        assert run("purge_expired_tokens").startswith("3 expired sessions, ")

        assert set(RefreshToken.objects.values_list("pk", flat=True)) == {
            self.live.claims.session_id,
            self.revoked.claims.session_id,
        }
        assert self.live.content().status_code == 200

    def test_a_dry_run_counts_and_deletes_nothing(self):
        assert run("purge_expired_tokens", dry_run=True) == "3 expired sessions would be deleted.\n"
        assert RefreshToken.objects.count() == 5

    @pytest.mark.parametrize(("days", "left"), [(0, 2), (1, 3), (2, 4), (3, 5)])
    def test_sessions_are_retained_for_as_many_days_as_asked(self, days, left):
        run("purge_expired_tokens", "--retain", str(days))

        assert RefreshToken.objects.count() == left

    def test_it_deletes_in_batches(self):
        assert list(purge.delete_in_batches(purge.expired_sessions(timedelta()), 2)) == [2, 1]

    def test_a_batch_is_bounded_however_the_statement_is_planned(self):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                for way in ("hashagg", "sort", "hashjoin", "mergejoin", "material"):
                    cursor.execute(f"SET LOCAL enable_{way} = off")

        assert list(purge.delete_in_batches(purge.expired_sessions(timedelta()), 2)) == [2, 1]

    def test_a_batch_whose_turn_did_not_come_is_tried_again(self):
        refusals = [OperationalError("database is locked")] * 2

        def locked_twice(execute, sql, params, many, context):
            if sql.startswith("DELETE") and refusals:
                raise refusals.pop()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(locked_twice):
            assert run("purge_expired_tokens").startswith("3 expired sessions, ")
        assert refusals == []

    @pytest.mark.django_db(transaction=True, serialized_rollback=True)
    def test_a_connection_that_is_lost_between_two_batches_is_made_anew(self):
        batches = purge.delete_in_batches(purge.expired_sessions(timedelta()), 2)
        assert next(batches) == 2

        if connection.vendor == "postgresql":
            connection.connection.close()

        assert list(batches) == [1]

    def test_networks_not_seen_for_a_year_are_forgotten(self, clock):
        clock.advance(days=360)
        run("purge_expired_tokens")
        assert KnownOrigin.objects.count() == 2

        clock.advance(days=5)
        assert "2 networks and devices that were known for a year" in run("purge_expired_tokens")

    @pytest.mark.parametrize(
        "arguments", [("--batch-size", "0"), ("--batch-size", "x"), ("--batch-size", "10001"), ("--retain", "-1")]
    )
    def test_a_wrong_number_is_refused_with_what_is_allowed(self, arguments):
        with pytest.raises(CommandError, match="is not a whole number from"):
            run("purge_expired_tokens", *arguments)

    def test_spent_counters_go_too(self, clock):
        GuessCount.objects.all().delete()
        attempts.count_for_address(Client("192.0.2.1", ""))
        clock.advance(minutes=16)
        attempts.count_for_address(Client("192.0.2.2", ""))

        assert "1 counters whose window is over" in run("purge_expired_tokens")
        assert GuessCount.objects.count() == 1


def test_a_session_that_expires_is_never_deleted_before(clock):
    SignedIn(make_user().username)
    clock.advance(hours=23, minutes=59, seconds=59)
    run("purge_expired_tokens")
    assert RefreshToken.objects.exists()

    clock.advance(seconds=1)
    run("purge_expired_tokens")
    assert not RefreshToken.objects.exists()


def test_no_account_exists_from_the_start():
    assert not User.objects.exists()
