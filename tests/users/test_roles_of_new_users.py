"""The built-in roles: they survive `flush`, and no account is created without its role."""

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import Role, RolesMissing, User
from accounts.models.roles import BUILT_IN_ROLES
from accounts.users import importing
from tests.factories import PASSWORD

ACCOUNT = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_flush_leaves_the_built_in_roles(api):
    call_command("flush", "--noinput", "--verbosity", "0")

    assert set(Role.objects.values_list("name", flat=True)) == set(BUILT_IN_ROLES)
    assert api.sign_up("alice").json()["roles"] == ["ROLE_USER"]


def test_a_sign_up_without_its_role_is_a_logged_fault_and_creates_no_account(caplog):
    Role.objects.filter(name="user").delete()
    response = Client(raise_request_exception=False).post("/api/auth/signup", ACCOUNT, "application/json")

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "manage.py migrate" in caplog.text
    assert not User.objects.exists()


def test_an_import_without_the_default_role_is_refused():
    Role.objects.filter(name="user").delete()

    with pytest.raises(RolesMissing):
        list(importing.import_accounts([], {}, batch_size=1))


def test_a_user_with_an_unknown_role_is_not_created():
    with pytest.raises(RolesMissing, match="pilot"):
        User.objects.create_user("alice", "alice@example.com", None, roles=("user", "pilot"))

    assert not User.objects.exists()
