"""The response to the next request after a session, its owner, the roles or the password changed.

Each row of MATRIX is an event, with the expected results of a protected request and of a refresh after it.
"""

import uuid

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db.models import F
from django.test import Client

from accounts.fields import new_security_stamp
from accounts.models import EndReason, RefreshToken, Role, User
from accounts.users import mail_tokens, passwords
from accounts.users.mail_tokens import Purpose
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_administrator, make_user

NEW_PASSWORD = "another horse battery"
PASSES = 200
REVOKED = (401, "token_revoked"), (403, "refresh_token_revoked")
STALE = (401, "token_stale"), PASSES


@pytest.fixture
def admin_site():
    browser = Client()
    browser.force_login(make_administrator())
    return browser


def sign_out(signed_in, user, admin_site):
    assert signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token}).status_code == 204


def sign_out_by_access_token(signed_in, user, admin_site):
    assert signed_in.post("/api/auth/signout", token=signed_in.access_token).status_code == 204


def sign_out_everywhere(signed_in, user, admin_site):
    assert SignedIn(user.username).post("/api/auth/signout-all", token=signed_in.access_token).status_code == 204


def revoked_in_the_admin(signed_in, user, admin_site):
    session_id = signed_in.claims.session_id
    response = admin_site.post(f"/admin/accounts/refreshtoken/{session_id}/revoke/", {"confirmed": "y"})
    assert response.status_code == 302
    assert RefreshToken.objects.get(pk=session_id).end_reason == EndReason.REVOKED


def revoked_in_the_admin_among_selected(signed_in, user, admin_site):
    selected = {
        "action": "revoke_selected",
        "_selected_action": [str(signed_in.claims.session_id)],
        "confirmed": "y",
    }
    assert admin_site.post("/admin/accounts/refreshtoken/", selected).status_code == 302


def all_revoked_on_the_users_page(signed_in, user, admin_site):
    assert admin_site.post(f"/admin/accounts/user/{user.pk}/revoke/", {"confirmed": "yes"}).status_code == 302


def deactivated_by_command(signed_in, user, admin_site):
    call_command("deactivateuser", user.username)


def deactivated_in_the_admin(signed_in, user, admin_site):
    edit(admin_site, user, is_active=False)
    assert not User.objects.get(pk=user.pk).is_active


def deactivated_and_activated_again(signed_in, user, admin_site):
    call_command("deactivateuser", user.username)
    call_command("activateuser", user.username)


def deactivated_in_the_database(signed_in, user, admin_site):
    User.objects.filter(pk=user.pk).update(is_active=False)


def role_granted(signed_in, user, admin_site):
    call_command("grantrole", user.username, "moderator")


def role_revoked(signed_in, user, admin_site):
    call_command("revokerole", user.username, "user")


def role_granted_in_the_admin(signed_in, user, admin_site):
    edit(admin_site, user, roles=["user", "admin"])


def role_revoked_in_the_admin(signed_in, user, admin_site):
    edit(admin_site, user, roles=[])


def password_changed(signed_in, user, admin_site):
    passwords.set_password(user, "another good one", NO_CLIENT)


def password_changed_in_the_admin(signed_in, user, admin_site):
    form = {"password1": "another good one", "password2": "another good one", "usable_password": "true"}
    assert admin_site.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 302
    assert User.objects.get(pk=user.pk).check_password("another good one")


def password_made_unusable_in_the_admin(signed_in, user, admin_site):
    form = {"password1": "", "password2": "", "usable_password": "false", "unset-password": "x"}
    assert admin_site.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 302
    assert not User.objects.get(pk=user.pk).has_usable_password()


def password_changed_in_a_shell(signed_in, user, admin_site):
    user.set_password("another good one")
    user.save()


def own_password_changed_in_the_admin(signed_in, user, admin_site):
    User.objects.filter(pk=user.pk).update(is_staff=True)
    browser = Client()
    browser.force_login(User.objects.get(pk=user.pk))
    form = {"old_password": PASSWORD, "new_password1": "another good one", "new_password2": "another good one"}
    assert browser.post("/admin/password_change/", form).status_code == 302
    assert browser.get("/admin/").status_code == 200


def password_changed_by_command(signed_in, user, admin_site):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accounts.management.commands.changepassword.getpass", lambda prompt: "another good one")
        call_command("changepassword", user.username)
    assert User.objects.get(pk=user.pk).check_password("another good one")


def password_changed_by_its_owner_elsewhere(signed_in, user, admin_site):
    other = SignedIn(user.username)
    body = {"currentPassword": PASSWORD, "newPassword": "another good one"}
    assert other.post("/api/auth/password/change", body, other.access_token).status_code == 204


def password_changed_here(signed_in, user, admin_site):
    body = {"currentPassword": PASSWORD, "newPassword": "another good one"}
    assert signed_in.post("/api/auth/password/change", body, signed_in.access_token).status_code == 204


def password_reset_by_mail(signed_in, user, admin_site):
    token = mail_tokens.issue(Purpose.RESET_PASSWORD, user)
    body = {"token": token, "newPassword": "another good one"}
    assert signed_in.post("/api/auth/password/reset/confirm", body).status_code == 204


def password_reset_requested(signed_in, user, admin_site):
    assert signed_in.post("/api/auth/password/reset", {"email": user.email}).status_code == 202


def password_reset_forced(signed_in, user, admin_site):
    assert admin_site.post(f"/admin/accounts/user/{user.pk}/reset/", {"confirmed": "yes"}).status_code == 302


def ended_by_its_owner_elsewhere(signed_in, user, admin_site):
    other = SignedIn(user.username)
    path = f"/api/auth/sessions/{signed_in.claims.session_id}"
    assert other.delete(path, other.access_token).status_code == 204


def stepped_up(signed_in, user, admin_site):
    response = signed_in.post("/api/auth/reauthenticate", {"password": PASSWORD}, signed_in.access_token)
    assert response.status_code == 200


def names_changed_by_the_owner(signed_in, user, admin_site):
    body = {"username": "other", "email": "other@example.com", "fullname": "Other"}
    assert signed_in.patch("/api/auth/me", body, signed_in.access_token).status_code == 200


def account_deleted_by_its_owner(signed_in, user, admin_site):
    other = SignedIn(user.username)
    assert other.delete("/api/auth/me", other.access_token).status_code == 204


def name_changed_in_the_admin(signed_in, user, admin_site):
    edit(admin_site, user, fullname="Another")


def hash_upgraded_at_sign_in(signed_in, user, admin_site):
    old_hash = make_password(PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(pk=user.pk).update(password=old_hash, security_stamp=F("security_stamp"))
    assert SignedIn(user.username).content().status_code == 200
    assert User.objects.get(pk=user.pk).password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


def password_saved_alone(signed_in, user, admin_site):
    user.set_password(NEW_PASSWORD)
    user.save(update_fields=["password"])


def password_hash_assigned(signed_in, user, admin_site):
    user.password = make_password(NEW_PASSWORD)
    user.save()


def password_updated(signed_in, user, admin_site):
    User.objects.filter(pk=user.pk).update(password=make_password(NEW_PASSWORD))


def password_updated_in_bulk(signed_in, user, admin_site):
    user.password = make_password(NEW_PASSWORD)
    User.objects.bulk_update([user], ["password"])


def password_updated_or_created(signed_in, user, admin_site):
    User.objects.update_or_create(pk=user.pk, defaults={"password": make_password(NEW_PASSWORD)})


def password_upserted(signed_in, user, admin_site):
    user.password = make_password(NEW_PASSWORD)
    row = User(**{field.attname: getattr(user, field.attname) for field in User._meta.concrete_fields})
    row.security_stamp = new_security_stamp()
    User.objects.bulk_create([row], update_conflicts=True, unique_fields=["id"], update_fields=["password"])


def saved_unchanged(signed_in, user, admin_site):
    user.save()
    User.objects.update_or_create(pk=user.pk, defaults={"fullname": "Alice Liddell"})


def role_added(signed_in, user, admin_site):
    user.roles.add("admin")


def role_removed(signed_in, user, admin_site):
    user.roles.remove("user")


def roles_cleared(signed_in, user, admin_site):
    user.roles.clear()


def roles_set(signed_in, user, admin_site):
    user.roles.set(["user", "admin"])


def roles_set_as_they_are(signed_in, user, admin_site):
    user.roles.set(["user"])
    user.roles.add("user")


def user_added_to_role(signed_in, user, admin_site):
    Role.objects.get(name="admin").users.add(user)


def user_removed_from_role(signed_in, user, admin_site):
    Role.objects.get(name="user").users.remove(user)


def role_cleared(signed_in, user, admin_site):
    Role.objects.get(name="user").users.clear()


def role_deleted(signed_in, user, admin_site):
    Role.objects.get(name="user").delete()


def roles_deleted(signed_in, user, admin_site):
    Role.objects.all().delete()


def saved_after_a_role_was_removed(signed_in, user, admin_site):
    stale = User.objects.get(pk=user.pk)
    user.roles.remove("user")
    stale.save()


def saved_after_the_password_was_changed(signed_in, user, admin_site):
    stale = User.objects.get(pk=user.pk)
    user.set_password(NEW_PASSWORD)
    user.save()
    stale.save()


def deleted(signed_in, user, admin_site):
    user.delete()


def deleted_in_the_admin(signed_in, user, admin_site):
    assert admin_site.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"}).status_code == 302


def session_deleted_in_the_admin(signed_in, user, admin_site):
    session_id = signed_in.claims.session_id
    response = admin_site.post(f"/admin/accounts/refreshtoken/{session_id}/delete/", {"post": "yes"})
    assert response.status_code == 302


def another_session_ended(signed_in, user, admin_site):
    other = SignedIn(user.username)
    other.post("/api/auth/signout", token=other.access_token)


DELETED = (401, "token_revoked"), (403, "refresh_token_unknown")

MATRIX = [
    (sign_out, *REVOKED),
    (sign_out_by_access_token, *REVOKED),
    (sign_out_everywhere, *REVOKED),
    (revoked_in_the_admin, *REVOKED),
    (revoked_in_the_admin_among_selected, *REVOKED),
    (all_revoked_on_the_users_page, *REVOKED),
    (deactivated_by_command, *REVOKED),
    (deactivated_in_the_admin, *REVOKED),
    (deactivated_and_activated_again, *REVOKED),
    (deactivated_in_the_database, *REVOKED),
    (role_granted, *STALE),
    (role_revoked, *STALE),
    (role_granted_in_the_admin, *STALE),
    (role_revoked_in_the_admin, *STALE),
    (password_changed, *REVOKED),
    (password_changed_in_the_admin, *REVOKED),
    (password_made_unusable_in_the_admin, *REVOKED),
    (own_password_changed_in_the_admin, *REVOKED),
    (password_changed_by_command, *REVOKED),
    (password_changed_in_a_shell, *REVOKED),
    (password_changed_by_its_owner_elsewhere, *REVOKED),
    (password_changed_here, *STALE),
    (password_reset_by_mail, *REVOKED),
    (password_reset_requested, PASSES, PASSES),
    (password_reset_forced, *REVOKED),
    (ended_by_its_owner_elsewhere, *REVOKED),
    (stepped_up, PASSES, PASSES),
    (names_changed_by_the_owner, PASSES, PASSES),
    (account_deleted_by_its_owner, *DELETED),
    (deleted, *DELETED),
    (deleted_in_the_admin, *DELETED),
    (session_deleted_in_the_admin, *DELETED),
    (name_changed_in_the_admin, PASSES, PASSES),
    (hash_upgraded_at_sign_in, PASSES, PASSES),
    (password_saved_alone, *REVOKED),
    (password_hash_assigned, *REVOKED),
    (password_updated, *REVOKED),
    (password_updated_in_bulk, *REVOKED),
    (password_updated_or_created, *REVOKED),
    (password_upserted, *REVOKED),
    (saved_unchanged, PASSES, PASSES),
    (role_added, *STALE),
    (role_removed, *STALE),
    (roles_cleared, *STALE),
    (roles_set, *STALE),
    (roles_set_as_they_are, PASSES, PASSES),
    (user_added_to_role, *STALE),
    (user_removed_from_role, *STALE),
    (role_cleared, *STALE),
    (role_deleted, *STALE),
    (roles_deleted, *STALE),
    (saved_after_a_role_was_removed, *STALE),
    (saved_after_the_password_was_changed, *REVOKED),
    (another_session_ended, PASSES, PASSES),
]


@pytest.mark.parametrize("path", ["/api/test/user", "/api/auth/signout-all"])
@pytest.mark.parametrize(("event", "access", "refresh"), MATRIX, ids=[row[0].__name__ for row in MATRIX])
def test_the_next_request_and_the_next_refresh_reflect_a_change(
    clock, admin_site, assert_refused, event, access, refresh, path
):
    user = make_user()
    signed_in = SignedIn(user.username)

    event(signed_in, user, admin_site)

    request = signed_in.get if path.startswith("/api/test") else signed_in.post
    if access == PASSES:
        assert request(path, token=signed_in.access_token).status_code in (200, 204)
    else:
        assert_refused(request(path, token=signed_in.access_token), *access)
    if path.startswith("/api/auth"):
        return
    response = signed_in.refresh(signed_in.refresh_token)
    if refresh == PASSES:
        assert response.status_code == 200
    else:
        assert_refused(response, *refresh)


@pytest.mark.parametrize(
    "event", [role_granted, role_revoked, role_granted_in_the_admin, role_revoked_in_the_admin]
)
def test_a_refresh_returns_the_new_roles(clock, admin_site, event):
    user = make_user()
    signed_in = SignedIn(user.username)
    event(signed_in, user, admin_site)

    signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]

    assert signed_in.claims.roles == User.objects.get(pk=user.pk).role_names != ("user",)
    assert signed_in.content().status_code == 200


def test_a_user_deactivated_in_the_database_is_accepted_again_once_reactivated(signed_in):
    users = User.objects.filter(sessions__isnull=False)
    User.objects.filter(pk__in=users.values("pk")).update(is_active=False)
    assert signed_in.content().status_code == 401

    User.objects.filter(pk__in=users.values("pk")).update(is_active=True)

    assert signed_in.content().status_code == 200


def test_a_session_opened_during_a_deactivation_stays_revoked_after_activation(api, monkeypatch, assert_refused):
    """The deactivation happens after the sign-in has read an active user and before it stores the session."""
    user = make_user("alice")
    save = RefreshToken.save

    def deactivate_first(self, *args, **options):
        call_command("deactivateuser", "alice")
        save(self, *args, **options)

    monkeypatch.setattr(RefreshToken, "save", deactivate_first)
    pair = api.sign_in("alice").json()
    call_command("activateuser", user.username)

    assert_refused(api.get("/api/test/user", pair["accessToken"]), 401, "token_revoked")
    assert_refused(api.refresh(pair["refreshToken"]), 403, "refresh_token_revoked")


def test_an_access_token_of_an_unknown_session_is_revoked(signed_in, assert_refused):
    RefreshToken.objects.update(uuid=uuid.uuid4())

    assert_refused(signed_in.content(), 401, "token_revoked")


def edit(admin_site, user, **changes):
    """Submit the user's admin form with some fields changed, as a browser would."""
    page = admin_site.get(f"/admin/accounts/user/{user.pk}/change/")
    form = page.context["adminform"].form
    values = {name: form.initial.get(name) for name in form.fields}
    values["roles"] = list(user.role_names)
    values |= changes
    body = {name: value for name, value in values.items() if value not in (None, False, "")}
    response = admin_site.post(f"/admin/accounts/user/{user.pk}/change/", body)
    assert response.status_code == 302, response.context["errors"]
