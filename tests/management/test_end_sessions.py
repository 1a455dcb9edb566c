"""manage.py endsessions, and how many sessions are ended at once."""

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


def test_the_named_users_are_signed_out_and_nobody_else(signed_in_users):
    assert run("ALICE", "bob@example.com") == "2 sessions are over.\n"

    assert {name: user.content().status_code for name, user in signed_in_users.items()} == {
        "alice": 401, "bob": 401, "carol": 200,
    }  # fmt: skip
    assert {session.end_reason for session in RefreshToken.objects.exclude(ended_at=None)} == {EndReason.REVOKED}


def test_everyone_is_signed_out(signed_in_users):
    assert run("--everyone") == "3 sessions are over.\n"
    assert run("--everyone") == "0 sessions are over.\n"

    assert {user.content().status_code for user in signed_in_users.values()} == {401}


@pytest.mark.parametrize("arguments", [(), ("alice", "--everyone"), ("nobody",)])
def test_whose_sessions_has_to_be_said(signed_in_users, arguments):
    with pytest.raises(CommandError):
        run(*arguments)

    assert not RefreshToken.objects.exclude(ended_at=None).exists()


def test_a_selection_larger_than_a_batch_is_ended_to_the_last(signed_in_users, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH_SIZE", 2)

    assert lifecycle.end_many(RefreshToken.objects.order_by("-pk"), EndReason.REVOKED, NO_CLIENT) == 3
    assert not RefreshToken.objects.filter(ended_at=None).exists()


def test_a_batch_begins_where_the_one_before_ended(signed_in_users, monkeypatch):
    monkeypatch.setattr(lifecycle, "_BATCH_SIZE", 1)
    asked = []
    monkeypatch.setattr(lifecycle, "record_session_ends", lambda batch, *_, **__: asked.extend(batch))

    lifecycle.end_many(RefreshToken.objects.order_by("-pk"), EndReason.REVOKED, NO_CLIENT)

    assert asked == sorted(asked)
