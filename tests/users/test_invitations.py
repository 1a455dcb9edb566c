"""Invitations: who can sign up, with which address and roles, and that a token works once."""

from collections import Counter
from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import Activity, Invitation, Role, User
from accounts.users import deletion, invitations
from accounts.values.clients import NO_CLIENT
from tests.conftest import Api
from tests.factories import PASSWORD, make_user
from tests.threads import run_concurrently

ADD = "/admin/accounts/invitation/add/"


def invite(email="ann@example.com", roles=(), **options):
    return invitations.invite(email, roles, timedelta(days=7), NO_CLIENT, **options)


def accept(token, username="ann", **fields):
    body = {"username": username, "password": PASSWORD, "invitation": token, **fields}
    return Api().post("/api/auth/signup", body)


@pytest.fixture
def invited_only(override_auth):
    override_auth(signup="invited")


def test_where_sign_up_is_closed_nobody_can_sign_up(api, override_auth, mailed_token, assert_refused):
    invite()
    override_auth(signup="closed")

    assert_refused(api.sign_up("alice"), 403, "signup_closed")
    assert_refused(accept(mailed_token()), 403, "signup_closed")
    assert not User.objects.exists()


@pytest.mark.parametrize("mode", ["invited", "closed"])
def test_the_start_page_offers_sign_up_only_where_it_is_open(client, override_auth, mode):
    assert b'id="sign-up"' in client.get("/").content

    override_auth(signup=mode)

    assert b'id="sign-up"' not in client.get("/").content


@pytest.mark.usefixtures("invited_only")
@pytest.mark.parametrize("token", [None, "", "authinv_invented", "é", "x" * 1000])
def test_where_sign_up_is_invited_a_sign_up_without_a_valid_invitation_is_refused(api, assert_refused, token):
    invite()

    assert_refused(api.sign_up("alice", invitation=token), 403, "invitation_invalid")
    assert not User.objects.exists()


@pytest.mark.usefixtures("invited_only")
def test_an_invited_user_has_the_invited_address_verified_and_the_roles(mailed_token, mailoutbox, events):
    invitation = invite(roles=["moderator"])

    response = accept(mailed_token())

    assert response.status_code == 201, response.content
    assert response.json()["email"] == "ann@example.com"
    assert response.json()["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]
    user = User.objects.get()
    assert user.is_email_verified
    assert user.pending_since is None
    assert len(mailoutbox) == 1, "an invited address needs no verification link"
    invitation.refresh_from_db()
    assert (invitation.used_by, invitation.used_at is not None) == (user, True)
    assert {"invitation:created", "invitation:used"} <= {line["event"] for line in events()}
    assert "invitation:used" in user.activity.values_list("event", flat=True)
    assert Api().sign_in("ann@example.com").status_code == 200


@pytest.mark.usefixtures("invited_only")
def test_an_invited_user_can_sign_in_where_addresses_must_be_verified(override_auth, mailed_token):
    override_auth(signup="invited", unverified_signin=False)
    invite()

    assert accept(mailed_token()).status_code == 201
    assert Api().sign_in("ann").status_code == 200


def test_an_invitation_grants_its_roles_where_sign_up_is_open(mailed_token):
    invite(roles=["admin"])

    assert accept(mailed_token()).json()["roles"] == ["ROLE_ADMIN", "ROLE_USER"]


def test_a_role_that_was_deleted_since_the_invitation_is_not_granted(mailed_token):
    Role.objects.create(name="editor")
    invite(roles=["editor", "moderator"])
    Role.objects.get(name="editor").delete()

    assert accept(mailed_token()).json()["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]


@pytest.mark.parametrize("email", ["", None, "ann@example.com", " ANN@Example.com"])
def test_the_invited_address_may_be_left_out_or_repeated(mailed_token, email):
    invite()

    assert accept(mailed_token(), email=email).json()["email"] == "ann@example.com"


def test_another_address_than_the_invited_one_is_refused(mailed_token, assert_refused):
    invite()
    response = accept(mailed_token(), email="mallory@example.com")

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["email"]
    assert accept(mailed_token()).status_code == 201


def test_an_invalid_sign_up_does_not_use_the_invitation_up(mailed_token, assert_refused):
    make_user("bob")
    invite()

    assert_refused(accept(mailed_token(), username="bob"), 400, "username_taken")
    assert_refused(accept(mailed_token(), password="short"), 400, "invalid_request")
    assert_refused(accept(mailed_token(), roles=["admin"]), 403, "role_not_allowed")
    assert accept(mailed_token()).status_code == 201


def test_a_used_invitation_is_refused(mailed_token, assert_refused):
    invite()
    accept(mailed_token())

    assert_refused(accept(mailed_token(), username="second"), 403, "invitation_invalid")


def test_an_expired_invitation_is_refused(clock, mailed_token, assert_refused):
    invite()
    clock.advance(days=7)

    assert_refused(accept(mailed_token()), 403, "invitation_invalid")


def test_a_revoked_invitation_is_refused(mailed_token, assert_refused):
    invite()

    assert invitations.revoke(Invitation.objects.all(), NO_CLIENT) == 1
    assert_refused(accept(mailed_token()), 403, "invitation_invalid")
    assert invitations.revoke(Invitation.objects.all(), NO_CLIENT) == 0


def test_a_new_invitation_of_an_address_revokes_the_earlier_one(mailed_token, assert_refused):
    invite()
    earlier = mailed_token()
    invite("Ann@example.com")

    assert_refused(accept(earlier), 403, "invitation_invalid")
    assert accept(mailed_token()).status_code == 201


def test_the_database_holds_no_token(mailed_token):
    invite()

    [row] = Invitation.objects.values()
    assert not [value for value in row.values() if mailed_token() in str(value)]
    assert accept(Invitation.objects.get().token_digest).status_code == 403


@pytest.mark.parametrize("mode", ["open", "invited"])
def test_an_address_that_has_an_account_is_not_invited(override_auth, mode):
    override_auth(signup=mode)
    make_user("ann")

    with pytest.raises(CommandError, match="Email is already in use"):
        call_command("invite", "ANN@example.com")


def test_deleting_an_invited_user_deletes_the_invitation_and_deleting_the_inviter_keeps_the_row(mailed_token):
    root = make_user("root", is_staff=True, is_superuser=True)
    invite("bob@example.com", by=root.pk)
    invite(by=root.pk)
    accept(mailed_token())

    deletion.delete(User.objects.get(username="ann"), NO_CLIENT)
    deletion.delete(root, NO_CLIENT)

    assert list(Invitation.objects.values_list("email", "invited_by")) == [("bob@example.com", None)]


def _administrator(*permissions, **fields):
    user = make_user("staff", is_staff=True, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


LOST_RIGHTS = {
    "deactivated": {"is_active": False},
    "no staff": {"is_staff": False},
    "no superuser and no permission": {"is_superuser": False},
}


@pytest.mark.parametrize("change", LOST_RIGHTS.values(), ids=LOST_RIGHTS)
def test_an_invitation_is_valid_only_while_its_inviter_may_invite(mailed_token, assert_refused, change):
    inviter = _administrator(is_superuser=True)
    invite(by=inviter.pk)

    User.objects.filter(pk=inviter.pk).update(**change)
    assert_refused(accept(mailed_token()), 403, "invitation_invalid")

    User.objects.filter(pk=inviter.pk).update(is_active=True, is_staff=True, is_superuser=True)
    assert accept(mailed_token()).status_code == 201


def test_roles_of_an_invitation_need_an_inviter_who_may_still_grant_them(mailed_token, assert_refused):
    inviter = _administrator("add_invitation", is_superuser=True)
    invite(roles=["admin"], by=inviter.pk)
    with_roles = mailed_token()
    invite("bob@example.com", roles=["user"], by=inviter.pk)
    User.objects.filter(pk=inviter.pk).update(is_superuser=False)

    assert_refused(accept(with_roles), 403, "invitation_invalid")
    assert accept(mailed_token(), username="bob").json()["roles"] == ["ROLE_USER"]


def test_an_inviter_who_loses_the_permission_loses_the_open_invitations(mailed_token, assert_refused):
    inviter = _administrator("add_invitation")
    invite(by=inviter.pk)

    inviter.user_permissions.clear()

    assert_refused(accept(mailed_token()), 403, "invitation_invalid")


def test_a_right_that_is_lost_while_the_password_is_hashed_counts(mailed_token, monkeypatch, assert_refused):
    inviter = _administrator(is_superuser=True)
    invite(by=inviter.pk)
    original = User.set_password

    def deactivate_and_hash(user, password):
        User.objects.filter(pk=inviter.pk).update(is_active=False)
        original(user, password)

    monkeypatch.setattr(User, "set_password", deactivate_and_hash)

    assert_refused(accept(mailed_token()), 403, "invitation_invalid")
    assert Invitation.objects.get().used_at is None


@pytest.mark.parametrize(
    "delete", [lambda user: deletion.delete(user, NO_CLIENT), lambda _: User.objects.all().delete()]
)
def test_deleting_the_inviter_revokes_open_invitations(mailed_token, assert_refused, delete):
    invite(by=_administrator(is_superuser=True).pk)

    delete(User.objects.get())

    assert_refused(accept(mailed_token()), 403, "invitation_invalid")
    assert Invitation.objects.get().revoked_at is not None


class TestUnverifiedAccounts:
    """An account that has the invited address without having verified it."""

    def test_it_loses_the_address_to_the_invited_user_and_keeps_all_else(self, api, mailed_token, events):
        invite()
        invitation = mailed_token()
        assert api.sign_up("mallory", email="Ann@example.com").status_code == 201
        verification = mailed_token()

        assert accept(invitation).status_code == 201

        assert User.objects.get(email_key="ann@example.com").username == "ann"
        assert Api().sign_in("ann@example.com").json()["username"] == "ann"
        mallory = Api().sign_in("mallory").json()
        assert mallory["email"].endswith("@decoy.invalid")
        assert api.post("/api/auth/email/verify", {"token": verification}).status_code == 400
        changed = [line for line in events() if line["event"] == "email:changed"]
        assert [line["user_id"] for line in changed] == [mallory["id"]]

    def test_a_verified_account_keeps_its_address(self, mailed_token, assert_refused):
        invite()
        invitation = mailed_token()
        make_user("bob", email="ann@example.com", email_verified_at=timezone.now())

        assert_refused(accept(invitation), 400, "email_taken")
        assert User.objects.get().email == "ann@example.com"

    def test_a_failed_acceptance_takes_nothing(self, api, mailed_token, assert_refused):
        invite()
        invitation = mailed_token()
        api.sign_up("mallory", email="ann@example.com")

        assert_refused(accept(invitation, username="mallory"), 400, "username_taken")
        assert User.objects.get().email == "ann@example.com"

    def test_no_email_is_sent_to_the_replacement(self, api, mailed_token, mailoutbox):
        invite()
        invitation = mailed_token()
        api.sign_up("mallory", email="ann@example.com")
        accept(invitation)
        mailoutbox.clear()

        token = api.sign_in("mallory").json()["accessToken"]
        passwords = {"currentPassword": PASSWORD, "newPassword": "another good one"}
        assert api.post("/api/auth/password/change", passwords, token).status_code == 204

        assert mailoutbox == []


def test_the_purge_deletes_expired_invitations_only(clock):
    invite("ann@example.com")
    clock.advance(days=1)
    invite("bob@example.com")
    clock.advance(days=6)
    output = StringIO()

    call_command("purge_expired_tokens", stdout=output)

    assert "1 expired invitations" in output.getvalue()
    assert Invitation.objects.get().email == "bob@example.com"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_simultaneous_uses_of_an_invitation_one_succeeds(mailed_token):
    for number in range(3):
        invite(f"ann{number}@example.com")
        token = mailed_token()

        uses = [partial(accept, token, username=f"ann{number}-{use}") for use in range(8)]
        responses = run_concurrently(*uses)

        codes = Counter(response.json().get("code") for response in responses)
        assert codes == {None: 1, "invitation_invalid": 7}
        assert User.objects.filter(email=f"ann{number}@example.com").count() == 1


class TestCommand:
    """The command invite."""

    def test_it_mails_an_invitation_with_roles_that_is_valid_for_the_given_days(
        self, clock, mailed_token, mailoutbox
    ):
        call_command("invite", "ann@example.com", "--role", "moderator", "--days", "2", stdout=StringIO())

        assert mailoutbox[0].to == ["ann@example.com"]
        assert "/invitation#token=" in mailoutbox[0].body
        assert "expires after 2 days" in mailoutbox[0].body
        clock.advance(days=2, seconds=-1)
        assert accept(mailed_token()).json()["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]

    @pytest.mark.parametrize(
        "arguments",
        [
            ("nobody",),
            ("ann@example.com", "--role", "emperor"),
            ("ann@example.com", "--days", "0"),
            ("ann@example.com", "--days", "366"),
        ],
    )
    def test_an_invalid_invitation_is_refused_with_the_reason(self, arguments):
        with pytest.raises(CommandError):
            call_command("invite", *arguments)

        assert not Invitation.objects.exists()

    def test_where_sign_up_is_closed_nobody_is_invited(self, override_auth):
        override_auth(signup="closed")

        with pytest.raises(CommandError, match="Sign-up is closed"):
            call_command("invite", "ann@example.com")


class TestAdmin:
    """The pages of invitations in the admin."""

    def test_a_superuser_invites_with_roles(self, admin_client, administrator, mailed_token):
        form = {"email": " ann@example.com", "granted_roles": ["admin"], "days": "3"}

        assert admin_client.post(ADD, form).status_code == 302
        invitation = Invitation.objects.get()
        assert (invitation.email, invitation.invited_by, invitation.roles) == (
            "ann@example.com",
            administrator,
            ["admin"],
        )
        assert Activity.objects.get(event="invitation:created").user == administrator
        assert accept(mailed_token()).json()["roles"] == ["ROLE_ADMIN", "ROLE_USER"]

    def test_staff_with_the_permission_invite_but_grant_no_roles(self, mailed_token):
        browser = self._staff("add_invitation", "view_invitation")
        form = {"email": "ann@example.com", "granted_roles": ["admin"], "days": "3"}

        assert b"granted_roles" not in browser.get(ADD).content
        assert browser.post(ADD, form).status_code == 302
        assert accept(mailed_token()).json()["roles"] == ["ROLE_USER"]

    def test_staff_without_the_permission_do_not_invite(self):
        browser = self._staff("view_invitation")

        assert browser.post(ADD, {"email": "ann@example.com", "days": "3"}).status_code == 403
        assert not Invitation.objects.exists()

    @pytest.mark.parametrize(
        ("email", "mode"),
        [("bob@example.com", "open"), ("x", "open"), ('"a"@b.example', "open"), ("ann@example.com", "closed")],
    )
    def test_an_invitation_that_could_not_be_used_is_refused_with_the_reason(
        self, admin_client, override_auth, email, mode
    ):
        override_auth(signup=mode)
        make_user("bob")

        response = admin_client.post(ADD, {"email": email, "days": "3"})

        assert response.status_code == 200
        assert response.context["errors"]
        assert not Invitation.objects.exists()

    def test_invitations_are_listed_shown_and_revoked(self, admin_client, mailed_token, assert_refused):
        invitation = invite()
        invite("bob@example.com")
        url = "/admin/accounts/invitation/"

        assert b"ann@example.com" in admin_client.get(url, {"q": "ann"}).content
        assert b"bob@example.com" not in admin_client.get(url, {"q": "ann"}).content
        assert admin_client.get(f"{url}{invitation.pk}/change/").status_code == 200
        selected = {
            "action": "revoke_selected",
            "_selected_action": [Invitation.objects.get(email="bob@example.com").pk],
        }
        assert b"stop working now" in admin_client.post(url, selected).content
        admin_client.post(url, {**selected, "confirmed": "1"})

        assert_refused(accept(mailed_token()), 403, "invitation_invalid")
        assert Activity.objects.filter(event="invitation:revoked").count() == 1

    def _staff(self, *permissions):
        user = make_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        browser = Browser()
        browser.force_login(user)
        return browser
