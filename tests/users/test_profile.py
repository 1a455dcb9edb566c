"""GET and PATCH /api/auth/me: read and change the profile."""

import pytest

from accounts.conf import Limit
from accounts.models import User
from tests.conftest import SignedIn
from tests.factories import make_user

URL = "/api/auth/me"


def change(signed_in, **fields):
    return signed_in.patch(URL, fields, signed_in.access_token)


def test_a_user_can_read_their_profile(signed_in):
    user = User.objects.get()

    assert signed_in.get(URL, signed_in.access_token).json() == {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "fullname": "",
        "roles": ["ROLE_USER"],
        "language": "en",
        "emailVerified": False,
        "createdAt": user.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_changing_the_full_name_needs_no_recent_authentication(signed_in, clock):
    clock.advance(minutes=14)

    response = change(signed_in, fullname=" Alice Liddell ")

    assert (response.status_code, response.json()["fullname"]) == (200, "Alice Liddell")
    assert User.objects.get().fullname == "Alice Liddell"


def test_username_and_email_change_after_a_recent_authentication(signed_in):
    response = change(signed_in, username="Alice2", email="alice2@example.com")

    assert response.status_code == 200
    assert response.json()["username"] == "Alice2"
    assert response.json()["email"] == "alice2@example.com"
    assert SignedIn("ALICE2").content().status_code == 200
    assert SignedIn("alice2@example.com").content().status_code == 200


@pytest.mark.parametrize("field", ["username", "email"])
def test_username_and_email_do_not_change_without_a_recent_authentication(signed_in, clock, assert_refused, field):
    before = User.objects.values().get()
    clock.advance(seconds=301)

    assert_refused(change(signed_in, **{field: "new@x.example"}), 403, "recent_authentication_required")
    assert User.objects.values().get() == before


def test_submitting_unchanged_names_needs_no_recent_authentication(signed_in, clock):
    user = User.objects.get()
    clock.advance(minutes=10)

    response = change(signed_in, username=f" {user.username} ", email=user.email, fullname="New")

    assert (response.status_code, response.json()["fullname"]) == (200, "New")


def test_a_profile_change_sets_no_privileged_field(signed_in):
    before = User.objects.values().get()
    rights = {
        "id": 1, "pk": 1, "roles": ["admin"], "role": "admin", "is_staff": True, "isStaff": True,
        "is_superuser": True, "isSuperuser": True, "is_active": False, "groups": [1], "user_permissions": [1],
        "userPermissions": [1], "password": "x" * 20, "email_verified_at": "2020-01-01", "emailVerified": True,
        "token_version": 7, "security_stamp": 7, "username_key": "root", "email_key": "root", "createdAt": "1970-01-01",
        "pending_since": "2020-01-01",
    }  # fmt: skip

    response = change(signed_in, fullname="New", **rights)

    assert (response.status_code, response.json()["roles"]) == (200, ["ROLE_USER"])
    assert User.objects.values().get() == {**before, "fullname": "New"}
    assert User.objects.get().role_names == ("user",)


@pytest.mark.parametrize("taken", ["BOB", "bob", " bob ", "ｂob"])
def test_a_taken_username_or_email_is_rejected(signed_in, assert_refused, taken):
    make_user("bob")
    before = User.objects.order_by("pk").values()[0]

    assert_refused(change(signed_in, username=taken), 400, "username_taken")
    assert_refused(change(signed_in, email=f"{taken.strip()}@EXAMPLE.com"), 400, "email_taken")
    assert User.objects.order_by("pk").values()[0] == before


def test_a_user_can_change_the_case_of_their_own_username(signed_in):
    name = User.objects.get().username.upper()

    assert change(signed_in, username=name).json()["username"] == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""), ("username", "a@b"), ("username", "a b"), ("username", "a" * 151), ("username", 7),
        ("username", "\ud800"), ("username", "a\x00b"),
        ("email", '"a\x0cbcc"@example.com'), ("email", '"a"@example.com'), ("email", "a\x1d@example.com"),
        ("email", ""), ("email", "x"), ("email", "x@"), ("email", f"{'a' * 250}@example.com"), ("email", ["a"]),
        ("fullname", "a\nb"), ("fullname", "a" * 151), ("fullname", {}), ("fullname", "\ud800"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_rejected_and_the_error_names_the_field(signed_in, assert_refused, field, value):
    before = User.objects.values().get()
    response = change(signed_in, **{field: value})

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == [field]
    assert User.objects.values().get() == before


@pytest.mark.parametrize("body", ["[]", "5", '"x"', "{", "", "null"])
def test_a_body_that_is_not_an_object_changes_nothing(signed_in, body):
    before = User.objects.values().get()

    response = signed_in.http.patch(
        URL, body, "application/json", headers={"Authorization": f"Bearer {signed_in.access_token}"}
    )

    assert response.status_code in (200, 400)
    assert User.objects.values().get() == before


def test_an_empty_change_succeeds(signed_in):
    assert change(signed_in).status_code == 200
    before = signed_in.get("/api/auth/me", signed_in.access_token).json()
    nulls = dict.fromkeys(("username", "email", "fullname", "language"))
    assert change(signed_in, **nulls).json() == before


def test_an_email_change_notifies_the_old_address_and_sends_a_link_to_the_new_one(signed_in, mailoutbox):
    old = User.objects.get().email
    User.objects.update(email_verified_at="2020-01-01T00:00:00Z")

    assert change(signed_in, email="new@example.com").json()["emailVerified"] is False

    assert [(mail.to, mail.subject) for mail in mailoutbox] == [
        ([old], "Your email address was changed"),
        (["new@example.com"], "Verify your email address"),
    ]


def test_username_and_email_changes_count_toward_the_sign_up_limit(signed_in, override_auth, assert_refused):
    override_auth(address_limit=Limit(2, 900))
    for number in range(2):
        change(signed_in, username=f"name{number}")

    assert_refused(change(signed_in, username="name3"), 429, "throttled")
    assert change(signed_in, fullname="Free").status_code == 200


def test_a_change_to_a_deleted_account_is_rejected(signed_in, monkeypatch, assert_refused):
    from accounts.users import profile  # noqa: PLC0415

    validation_errors = profile.validation_errors

    def delete_first(*arguments):
        User.objects.all().delete()
        return validation_errors(*arguments)

    monkeypatch.setattr(profile, "validation_errors", delete_first)

    assert_refused(change(signed_in, fullname="New"), 401, "token_revoked")
