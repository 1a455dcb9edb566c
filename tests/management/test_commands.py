"""The management commands for roles, activation, superusers and purging."""

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


def test_roles_are_granted_and_revoked():
    user = make_user("alice")

    assert "admin, moderator, user" in run("grantrole", "ALICE", "moderator", "admin")
    assert user.role_names == ("admin", "moderator", "user")
    assert run("revokerole", "alice@example.com", "moderator", "user") == "Roles of alice: admin.\n"
    assert user.role_names == ("admin",)


@pytest.mark.parametrize("command", ["grantrole", "revokerole"])
def test_granting_or_revoking_without_effect_makes_no_token_stale(signed_in, command):
    user = User.objects.get()
    role = "user" if command == "grantrole" else "admin"

    run(command, user.username, role)

    assert signed_in.content().status_code == 200


@pytest.mark.parametrize("command", ["grantrole", "revokerole"])
def test_an_unknown_role_is_rejected_with_a_list_of_known_roles(command):
    user = make_user("alice")

    with pytest.raises(CommandError, match=r"emperor does not exist.*admin, moderator, user"):
        run(command, "alice", "user", "emperor")
    assert user.role_names == ("user",)


@pytest.mark.parametrize(
    "command",
    [("grantrole", "x", "user"), ("revokerole", "x", "user"), ("deactivateuser", "x"), ("activateuser", "x")],
)
def test_an_unknown_user_is_rejected(command):
    with pytest.raises(CommandError, match="User 'x' does not exist"):
        run(*command)


def test_a_deactivated_user_can_sign_in_only_after_activation(api):
    make_user("alice")

    assert "Deactivated alice" in run("deactivateuser", "alice")
    assert api.sign_in("alice").status_code == 401
    assert "can sign in again" in run("activateuser", "alice")
    assert api.sign_in("alice").status_code == 200


def test_createsuperuser_creates_a_user_who_can_sign_in_to_the_admin(client, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    run("createsuperuser", interactive=False, username="Root", email="root@example.com")

    assert User.objects.get().username == "Root"
    response = client.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert response.status_code == 302


def test_changepassword_without_a_terminal_says_so(monkeypatch):
    def read(_):
        raise EOFError

    monkeypatch.setattr("accounts.management.commands.changepassword.getpass", read)
    make_user("alice")

    with pytest.raises(CommandError, match=r"^The password was not changed: there is no terminal"):
        run("changepassword", "alice")


def test_serve_names_the_settings_that_a_project_lacks(settings):
    del settings.HOST, settings.WORKERS

    with pytest.raises(CommandError, match=r"^`serve` needs the settings HOST, WORKERS\. Define them"):
        run("serve")


@pytest.mark.parametrize("password", ["", "x", "password123", "root@example.com"])
def test_createsuperuser_rejects_a_weak_password_also_without_a_prompt(monkeypatch, password):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)

    with pytest.raises(CommandError, match=r"^DJANGO_SUPERUSER_PASSWORD: "):
        run("createsuperuser", interactive=False, username="root", email="root@example.com")

    assert not User.objects.exists()


def test_createsuperuser_rejects_a_taken_username(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    make_user("root")

    with pytest.raises(CommandError):
        run("createsuperuser", interactive=False, username="ROOT", email="other@example.com")


class TestPurge:
    """The command purge_expired_tokens."""

    @pytest.fixture(autouse=True)
    def _sessions(self, clock):
        """Create sessions that expired two days, one day and just now, a live one, and a revoked one that has not expired."""
        user = make_user("alice")
        for _ in range(3):
            SignedIn("alice")
            clock.advance(days=1)
        self.live, self.revoked = SignedIn("alice"), SignedIn("alice")
        self.revoked.post("/api/auth/signout", {"refreshToken": self.revoked.refresh_token})
        assert user.sessions.count() == 5

    def test_only_expired_sessions_are_deleted(self):
        assert run("purge_expired_tokens").startswith("Deleted 3 expired sessions, ")

        assert set(RefreshToken.objects.values_list("pk", flat=True)) == {
            self.live.claims.session_id,
            self.revoked.claims.session_id,
        }
        assert self.live.content().status_code == 200

    def test_a_dry_run_counts_sessions_and_deletes_none(self):
        assert run("purge_expired_tokens", dry_run=True) == "3 expired sessions would be deleted.\n"
        assert RefreshToken.objects.count() == 5

    @pytest.mark.parametrize(("days", "left"), [(0, 2), (1, 3), (2, 4), (3, 5)])
    def test_sessions_are_retained_for_the_given_number_of_days(self, days, left):
        run("purge_expired_tokens", "--retain", str(days))

        assert RefreshToken.objects.count() == left

    def test_sessions_are_deleted_in_batches(self):
        assert list(purge.delete_expired_sessions(timedelta(), 2)) == [2, 1]

    def test_a_batch_is_bounded_under_every_query_plan(self):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                for plan_node in ("hashagg", "sort", "hashjoin", "mergejoin", "material"):
                    cursor.execute(f"SET LOCAL enable_{plan_node} = off")

        assert list(purge.delete_expired_sessions(timedelta(), 2)) == [2, 1]

    def test_a_batch_is_retried_when_the_database_is_locked(self):
        errors = [OperationalError("database is locked")] * 2

        def locked_twice(execute, sql, params, many, context):
            if sql.startswith("DELETE") and errors:
                raise errors.pop()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(locked_twice):
            assert run("purge_expired_tokens").startswith("Deleted 3 expired sessions, ")
        assert errors == []

    @pytest.mark.django_db(transaction=True, serialized_rollback=True)
    def test_a_connection_lost_between_batches_is_reopened(self):
        batches = purge.delete_expired_sessions(timedelta(), 2)
        assert next(batches) == 2

        if connection.vendor == "postgresql":
            connection.connection.close()

        assert list(batches) == [1]

    def test_networks_not_seen_for_a_year_are_deleted(self, clock):
        clock.advance(days=360)
        run("purge_expired_tokens")
        assert KnownOrigin.objects.count() == 2

        clock.advance(days=5)
        assert "2 networks and devices not seen for a year" in run("purge_expired_tokens")

    @pytest.mark.parametrize(
        "arguments", [("--batch-size", "0"), ("--batch-size", "x"), ("--batch-size", "10001"), ("--retain", "-1")]
    )
    def test_an_invalid_number_is_rejected_with_the_allowed_range(self, arguments):
        with pytest.raises(CommandError, match="is not a whole number from"):
            run("purge_expired_tokens", *arguments)

    def test_expired_counters_are_deleted(self, clock):
        GuessCount.objects.all().delete()
        attempts.count_for_address(Client("192.0.2.1", ""))
        clock.advance(minutes=16)
        attempts.count_for_address(Client("192.0.2.2", ""))

        assert "1 expired counters of failed attempts" in run("purge_expired_tokens")
        assert GuessCount.objects.count() == 1


def test_a_session_is_not_deleted_before_it_expires(clock):
    SignedIn(make_user().username)
    clock.advance(hours=23, minutes=59, seconds=59)
    run("purge_expired_tokens")
    assert RefreshToken.objects.exists()

    clock.advance(seconds=1)
    run("purge_expired_tokens")
    assert not RefreshToken.objects.exists()


def test_no_account_exists_after_the_migrations():
    assert not User.objects.exists()
