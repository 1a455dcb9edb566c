"""The command endsessions, and the batches in which it ends sessions."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import EndReason, RefreshToken
from accounts.sessions import lifecycle
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import make_user


def run(*arguments):
    output = StringIO()
    call_command("endsessions", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def signed_in_users():
    return {name: SignedIn(make_user(name).username) for name in ("alice", "bob", "carol")}


def test_only_the_named_users_are_signed_out(signed_in_users):
    assert run("ALICE", "bob@example.com") == "Ended 2 session(s).\n"

    assert {name: user.content().status_code for name, user in signed_in_users.items()} == {
        "alice": 401, "bob": 401, "carol": 200,
    }  # fmt: skip
    assert {session.end_reason for session in RefreshToken.objects.exclude(ended_at=None)} == {EndReason.REVOKED}


def test_everyone_signs_out_all_users(signed_in_users):
    assert run("--everyone") == "Ended 3 session(s).\n"
    assert run("--everyone") == "Ended 0 session(s).\n"

    assert {user.content().status_code for user in signed_in_users.values()} == {401}


@pytest.mark.parametrize("arguments", [(), ("alice", "--everyone"), ("nobody",)])
def test_the_command_requires_known_users_or_everyone(signed_in_users, arguments):
    with pytest.raises(CommandError):
        run(*arguments)

    assert not RefreshToken.objects.exclude(ended_at=None).exists()


def test_every_batch_of_a_large_selection_is_ended(signed_in_users, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH_SIZE", 2)

    assert lifecycle.end_many(RefreshToken.objects.order_by("-pk"), EndReason.REVOKED, NO_CLIENT) == 3
    assert not RefreshToken.objects.filter(ended_at=None).exists()


def test_batches_follow_the_primary_key(signed_in_users, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH_SIZE", 1)
    recorded = []
    monkeypatch.setattr(lifecycle, "record_session_ends", lambda batch, *_, **__: recorded.extend(batch))

    lifecycle.end_many(RefreshToken.objects.order_by("-pk"), EndReason.REVOKED, NO_CLIENT)

    assert recorded == sorted(recorded)
