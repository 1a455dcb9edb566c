"""POST /api/auth/signup."""

from urllib.parse import urlencode

import pytest

from accounts.models import User
from tests.factories import PASSWORD, make_user


def test_a_sign_up_answers_with_the_account(api):
    answer = api.sign_up("alice", fullname="Alice A.")
    user = User.objects.get()

    assert answer.status_code == 201
    assert answer.json() == {
        "message": "User was registered successfully!",
        "id": user.pk,
        "username": "alice",
        "email": "alice@example.com",
        "fullname": "Alice A.",
        "roles": ["ROLE_USER"],
    }


@pytest.mark.parametrize(
    "name", ["张三", "Ольга", "हिन्दी", "עִבְרִית", "Ångström", "naïve", "ไทย", "jean-luc_p+1.x", "١٢٣"]
)
def test_a_username_may_be_in_any_script(api, name):
    assert api.sign_up(name, email="someone@example.com").status_code == 201
    assert api.sign_in(name).status_code == 200


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("alice", "ALICE"),
        ("alice", "  alice\t"),
        ("alice", "ａｌｉｃｅ"),
        ("straße", "STRASSE"),
        ("Ångström", "ångström"),
        ("ﬁona", "FIONA"),
        ("ΐ", "\u0399\u0308\u0301"),
        ("İ", "i\u0307"),
        ("q\u1fb7", "Q\u1fbc\u0342"),
    ],
)
def test_two_usernames_that_differ_by_case_form_or_outer_blanks_are_one(api, assert_refused, first, second):
    assert api.sign_up(first, email="first@example.com").status_code == 201

    answer = api.sign_up(second, email="second@example.com")

    assert_refused(answer, 400, "username_taken")
    assert answer.json()["message"] == "Failed! Username is already in use!"
    assert api.sign_in(second).status_code == 200


@pytest.mark.parametrize("second", ["ALICE@example.com", " alice@EXAMPLE.com ", "ａlice@example.com"])
def test_two_addresses_that_differ_by_case_form_or_outer_blanks_are_one(api, assert_refused, second):
    api.sign_up("first", email="alice@example.com")

    answer = api.sign_up("second", email=second)

    assert_refused(answer, 400, "email_taken")
    assert answer.json()["message"] == "Failed! Email is already in use!"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "a@b",
        "a b",
        "a\u200bb",
        "a\u0000b",
        "\ud800",
        "a\u202eb",
        "x" * 151,
        "🙂",
        "<b>",
        "a/b",
        "alice\u3164",
        "a\ufe0f",
        "\u034f",
        "\u3164",
        "..",
        "_",
    ],
)
def test_an_unfit_username_is_refused_with_the_reason(api, assert_refused, name):
    answer = api.sign_up(name, email="someone@example.com")

    assert_refused(answer, 400, "invalid_request")
    assert answer.json()["errors"]["username"]
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@", "@b.c", "a b@example.com", "a@b\n.com", "x" * 250 + "@a.bc"]
)
def test_an_unfit_address_is_refused_with_the_reason(api, assert_refused, email):
    answer = api.sign_up("alice", email=email)

    assert_refused(answer, 400, "invalid_request")
    assert answer.json()["errors"]["email"]


@pytest.mark.parametrize("fullname", ["a\nb", "a\u2028b", "a\x1bb", "x" * 151])
def test_an_unfit_full_name_is_refused_with_the_reason(api, assert_refused, fullname):
    answer = api.sign_up("alice", fullname=fullname)

    assert_refused(answer, 400, "invalid_request")
    assert answer.json()["errors"]["fullname"]


@pytest.mark.parametrize("missing", ["username", "email", "password"])
def test_a_missing_field_is_named(api, assert_refused, missing):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
    del body[missing]

    answer = api.post("/api/auth/signup", body)

    assert_refused(answer, 400, "invalid_request")
    assert list(answer.json()["errors"]) == [missing]


def test_everything_that_is_wrong_is_said_at_once(api):
    answer = api.sign_up("a b", password="short", email="nowhere")

    assert set(answer.json()["errors"]) == {"username", "password", "email"}


def test_roles_that_sign_up_hands_out_are_given(api, auth):
    auth(signup_roles=("user", "moderator"))

    answer = api.sign_up("alice", roles=["user", "moderator"])

    assert answer.json()["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]


@pytest.mark.parametrize("roles", [None, []])
def test_without_roles_everybody_gets_the_same_one(api, roles):
    assert api.sign_up("alice", roles=roles).json()["roles"] == ["ROLE_USER"]


def test_a_role_that_sign_up_does_not_hand_out_registers_nobody(api, assert_refused):
    assert_refused(api.sign_up("mallory", roles=["user", "admin"]), 403, "role_not_allowed")
    assert not User.objects.exists()


def test_a_role_that_does_not_exist_is_named_and_registers_nobody(api, assert_refused):
    answer = api.sign_up("mallory", roles=["emperor"])

    assert_refused(answer, 400, "role_unknown")
    assert answer.json()["message"] == "Failed! Role emperor does not exist!"
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "id", "token_version", "is_active"])
def test_a_body_cannot_set_what_gives_rights(api, field):
    api.sign_up("mallory", **{field: 7})

    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active, user.token_version) == (False, False, True, 0)
    assert user.pk != 7


def test_a_stale_access_token_that_rides_along_is_not_looked_at(api):
    body = {"username": "bob", "email": "bob@example.com", "password": PASSWORD}

    assert api.post("/api/auth/signup", body, token="long-gone").status_code == 201


def test_a_form_is_taken_like_json(api):
    form = {"username": "alice", "email": "alice@example.com", "password": PASSWORD, "roles": ["user"]}

    answer = api.http.post("/api/auth/signup", _encoded(form), "application/x-www-form-urlencoded")

    assert answer.status_code == 201, answer.content


def test_the_taken_name_of_a_deactivated_user_stays_taken(api, assert_refused):
    make_user("alice", is_active=False)

    assert_refused(api.sign_up("Alice", email="other@example.com"), 400, "username_taken")


def _encoded(form):
    return urlencode(form, doseq=True)
