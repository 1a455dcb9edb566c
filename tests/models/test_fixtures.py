"""Fixtures: `loaddata` saves rows as they are, without the code that keeps derived columns consistent."""

import json

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import IntegrityError, transaction

from accounts.models import User
from tests.conftest import SignedIn
from tests.factories import make_user, password_hash


@pytest.fixture
def fixture(tmp_path):
    """A file that is dumped, edited and loaded."""
    path = tmp_path / "users.json"

    class Fixture:
        def dump(self, **changes):
            call_command("dumpdata", "accounts.user", output=str(path))
            rows = json.loads(path.read_text())
            for row in rows:
                row["fields"] |= changes
            self.write(*rows)

        def write(self, *rows):
            path.write_text(json.dumps(rows))

        def load(self):
            call_command("loaddata", str(path), verbosity=0)

    return Fixture()


def row(number, name):
    fields = {"username": name, "email": f"{name}@Example.com", "password": password_hash(), "roles": ["user"]}
    return {"model": "accounts.user", "pk": number, "fields": fields}


def test_users_that_a_fixture_describes_by_name_can_sign_in(api, fixture):
    fixture.write(row(1, "Alice"), row(2, "Bob"))

    fixture.load()

    for identifier in ("alice", "ALICE@example.com", "bob"):
        assert api.sign_in(identifier).status_code == 200


def test_a_fixture_cannot_give_two_accounts_one_name(fixture):
    fixture.write(row(1, "Alice"), row(2, "ALICE"))

    with pytest.raises(IntegrityError), transaction.atomic():
        fixture.load()


def test_a_password_that_a_fixture_changes_ends_the_sessions(fixture, assert_refused):
    session = SignedIn(make_user().username)
    fixture.dump(password=make_password("another horse battery"))

    fixture.load()

    assert_refused(session.content(), 401, "token_revoked")


def test_an_unchanged_password_ends_no_session(fixture):
    session = SignedIn(make_user().username)
    fixture.dump()

    fixture.load()

    assert session.content().status_code == 200


def test_a_fixture_that_restores_earlier_roles_validates_no_later_token(fixture, assert_refused):
    user = make_user()
    fixture.dump()
    user.roles.add("moderator")
    moderator = SignedIn(user.username)

    fixture.load()

    assert User.objects.get(pk=user.pk).role_names == ("user",)
    assert_refused(moderator.content(), 401, "token_stale")
