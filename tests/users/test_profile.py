"""GET and PATCH /api/auth/me."""

import pytest

from accounts.conf import Limit
from accounts.models import User
from tests.conftest import SignedIn
from tests.factories import make_user

URL = "/api/auth/me"


def change(signed_in, **fields):
    return signed_in.patch(URL, fields, signed_in.access_token)


def test_the_profile_is_shown(signed_in):
    user = User.objects.get()

    assert signed_in.get(URL, signed_in.access_token).json() == {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "fullname": "",
        "roles": ["ROLE_USER"],
        "emailVerified": False,
        "createdAt": user.created_at.isoformat().replace("+00:00", "Z"),
    }


def test_the_full_name_is_changed_at_any_time(signed_in, clock):
    clock.advance(minutes=14)

    answer = change(signed_in, fullname=" Alice Liddell ")

    assert (answer.status_code, answer.json()["fullname"]) == (200, "Alice Liddell")
    assert User.objects.get().fullname == "Alice Liddell"


def test_username_and_address_are_changed_after_a_recent_authentication(signed_in):
    answer = change(signed_in, username="Alice2", email="alice2@example.com")

    assert answer.status_code == 200
    assert answer.json()["username"] == "Alice2"
    assert answer.json()["email"] == "alice2@example.com"
    assert SignedIn("ALICE2").content().status_code == 200
    assert SignedIn("alice2@example.com").content().status_code == 200


@pytest.mark.parametrize("field", ["username", "email"])
def test_without_a_recent_authentication_they_are_not(signed_in, clock, assert_refused, field):
    before = User.objects.values().get()
    clock.advance(seconds=301)

    assert_refused(change(signed_in, **{field: "new@x.example"}), 403, "recent_authentication_required")
    assert User.objects.values().get() == before


def test_names_that_stay_as_they_are_need_no_recent_authentication(signed_in, clock):
    user = User.objects.get()
    clock.advance(minutes=10)

    answer = change(signed_in, username=f" {user.username} ", email=user.email, fullname="New")

    assert (answer.status_code, answer.json()["fullname"]) == (200, "New")


def test_nothing_that_gives_rights_is_set(signed_in):
    before = User.objects.values().get()
    rights = {
        "id": 1, "pk": 1, "roles": ["admin"], "role": "admin", "is_staff": True, "isStaff": True,
        "is_superuser": True, "isSuperuser": True, "is_active": False, "groups": [1], "user_permissions": [1],
        "userPermissions": [1], "password": "x" * 20, "email_verified_at": "2020-01-01", "emailVerified": True,
        "token_version": 7, "security_stamp": 7, "username_key": "root", "email_key": "root", "createdAt": "1970-01-01",
        "pending_since": "2020-01-01",
    }  # fmt: skip

    answer = change(signed_in, fullname="New", **rights)

    assert (answer.status_code, answer.json()["roles"]) == (200, ["ROLE_USER"])
    assert User.objects.values().get() == {**before, "fullname": "New"}
    assert User.objects.get().role_names == ("user",)


@pytest.mark.parametrize("taken", ["BOB", "bob", " bob ", "ｂob"])
def test_a_name_that_is_taken_is_refused(signed_in, assert_refused, taken):
    make_user("bob")
    before = User.objects.order_by("pk").values()[0]

    assert_refused(change(signed_in, username=taken), 400, "username_taken")
    assert_refused(change(signed_in, email=f"{taken.strip()}@EXAMPLE.com"), 400, "email_taken")
    assert User.objects.order_by("pk").values()[0] == before


def test_one_s_own_name_in_another_case_is_free(signed_in):
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
def test_a_name_that_is_none_is_an_invalid_request_that_names_it(signed_in, assert_refused, field, value):
    before = User.objects.values().get()
    answer = change(signed_in, **{field: value})

    assert_refused(answer, 400, "invalid_request")
    assert list(answer.json()["errors"]) == [field]
    assert User.objects.values().get() == before


@pytest.mark.parametrize("body", ["[]", "5", '"x"', "{", "", "null"])
def test_a_body_that_is_no_object_changes_nothing(signed_in, body):
    before = User.objects.values().get()

    answer = signed_in.http.patch(
        URL, body, "application/json", headers={"Authorization": f"Bearer {signed_in.access_token}"}
    )

    assert answer.status_code in (200, 400)
    assert User.objects.values().get() == before


def test_an_empty_change_is_none(signed_in):
    assert change(signed_in).status_code == 200
    assert change(signed_in, username=None, email=None, fullname=None).status_code == 200


def test_a_change_of_the_address_tells_the_old_one_and_has_the_new_one_verified(signed_in, mailoutbox):
    old = User.objects.get().email
    User.objects.update(email_verified_at="2020-01-01T00:00:00Z")

    assert change(signed_in, email="new@example.com").json()["emailVerified"] is False

    assert [(mail.to, mail.subject) for mail in mailoutbox] == [
        ([old], "Your e-mail address was changed"),
        (["new@example.com"], "Verify your e-mail address"),
    ]


def test_changes_of_names_count_like_sign_ups(signed_in, auth, assert_refused):
    auth(address_limit=Limit(2, 900))
    for number in range(2):
        change(signed_in, username=f"name{number}")

    assert_refused(change(signed_in, username="name3"), 429, "throttled")
    assert change(signed_in, fullname="Free").status_code == 200


def test_a_user_who_is_gone_changes_nothing(signed_in, monkeypatch, assert_refused):
    from accounts.users import profile  # noqa: PLC0415

    validation_errors = profile.validation_errors

    def delete_first(*arguments):
        User.objects.all().delete()
        return validation_errors(*arguments)

    monkeypatch.setattr(profile, "validation_errors", delete_first)

    assert_refused(change(signed_in, fullname="New"), 401, "token_revoked")
