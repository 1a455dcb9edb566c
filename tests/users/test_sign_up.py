"""POST /api/auth/signup: create an account."""

import re
from urllib.parse import urlencode

import pytest

from accounts.models import User
from api.openapi.schema import document
from tests.factories import PASSWORD, make_user


def test_a_sign_up_returns_the_account(api):
    response = api.sign_up("alice", fullname="Alice A.")
    user = User.objects.get()

    assert response.status_code == 201
    assert response.json() == {
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
def test_usernames_that_differ_by_case_form_or_outer_whitespace_collide(api, assert_refused, first, second):
    assert api.sign_up(first, email="first@example.com").status_code == 201

    response = api.sign_up(second, email="second@example.com")

    assert_refused(response, 400, "username_taken")
    assert response.json()["message"] == "Failed! Username is already in use!"
    assert api.sign_in(second).status_code == 200


@pytest.mark.parametrize("second", ["ALICE@example.com", " alice@EXAMPLE.com ", "ａlice@example.com"])
def test_emails_that_differ_by_case_form_or_outer_whitespace_collide(api, assert_refused, second):
    api.sign_up("first", email="alice@example.com")

    response = api.sign_up("second", email=second)

    assert_refused(response, 400, "email_taken")
    assert response.json()["message"] == "Failed! Email is already in use!"


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
def test_an_invalid_username_is_rejected_with_the_reason(api, assert_refused, name):
    response = api.sign_up(name, email="someone@example.com")

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"]["username"]
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@", "@b.c", "a b@example.com", "a@b\n.com", "x" * 250 + "@a.bc"]
)
def test_an_invalid_email_is_rejected_with_the_reason(api, assert_refused, email):
    response = api.sign_up("alice", email=email)

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"]["email"]


@pytest.mark.parametrize("fullname", ["a\nb", "a\u2028b", "a\x1bb", "x" * 151])
def test_an_invalid_full_name_is_rejected_with_the_reason(api, assert_refused, fullname):
    response = api.sign_up("alice", fullname=fullname)

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"]["fullname"]


@pytest.mark.parametrize("missing", ["username", "email", "password"])
def test_the_error_names_a_missing_field(api, assert_refused, missing):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
    del body[missing]

    response = api.post("/api/auth/signup", body)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == [missing]


def test_all_validation_errors_are_reported_at_once(api):
    response = api.sign_up("a b", password="short", email="nowhere")

    assert set(response.json()["errors"]) == {"username", "password", "email"}


def test_roles_allowed_at_sign_up_are_granted(api, override_auth):
    override_auth(signup_roles=("user", "moderator"))

    response = api.sign_up("alice", roles=["user", "moderator"])

    assert response.json()["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]


@pytest.mark.parametrize("roles", [None, []])
def test_a_sign_up_without_roles_gets_the_default_role(api, roles):
    assert api.sign_up("alice", roles=roles).json()["roles"] == ["ROLE_USER"]


def test_null_means_that_an_optional_field_is_left_out(api):
    nulls = dict.fromkeys(("fullname", "roles", "language", "invitation"))

    response = api.sign_up("alice", **nulls)

    assert (response.status_code, response.json()["fullname"]) == (201, "")


@pytest.mark.parametrize("field", ["username", "email", "password"])
@pytest.mark.parametrize("left_out", [True, False])
def test_a_required_field_is_neither_left_out_nor_null(api, assert_refused, field, left_out):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD, field: None}
    response = api.post("/api/auth/signup", {k: v for k, v in body.items() if v is not None or not left_out})

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == [field]


def test_a_role_not_allowed_at_sign_up_creates_no_account(api, assert_refused):
    assert_refused(api.sign_up("mallory", roles=["user", "admin"]), 403, "role_not_allowed")
    assert not User.objects.exists()


def test_an_unknown_role_is_named_and_creates_no_account(api, assert_refused):
    response = api.sign_up("mallory", roles=["emperor"])

    assert_refused(response, 400, "role_unknown")
    assert response.json()["message"] == "Failed! Role emperor does not exist!"
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "id", "token_version", "is_active"])
def test_a_sign_up_sets_no_privileged_field(api, field):
    api.sign_up("mallory", **{field: 7})

    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active, user.token_version) == (False, False, True, 0)
    assert user.pk != 7


def test_a_sign_up_ignores_an_invalid_access_token(api):
    body = {"username": "bob", "email": "bob@example.com", "password": PASSWORD}

    assert api.post("/api/auth/signup", body, token="long-gone").status_code == 201


def test_a_form_encoded_body_is_accepted(api):
    form = {"username": "alice", "email": "alice@example.com", "password": PASSWORD, "roles": ["user"]}

    response = api.http.post("/api/auth/signup", _encoded(form), "application/x-www-form-urlencoded")

    assert response.status_code == 201, response.content


def test_the_username_of_a_deactivated_user_stays_taken(api, assert_refused):
    make_user("alice", is_active=False)

    assert_refused(api.sign_up("Alice", email="other@example.com"), 400, "username_taken")


class TestUsernameRequired:
    """AUTH_USERNAME_REQUIRED=false."""

    @pytest.fixture(autouse=True)
    def _optional(self, override_auth):
        override_auth(username_required=False)

    @pytest.mark.parametrize("username", [{}, {"username": ""}, {"username": None}])
    def test_a_sign_up_by_email_alone_gets_a_valid_username_that_does_not_reveal_the_address(self, api, username):
        response = _sign_up(api, "alice.liddell@example.com", **username)

        assert response.status_code == 201, response.content
        user = User.objects.get()
        user.full_clean()
        assert response.json()["username"] == user.username
        assert response.json()["email"] == "alice.liddell@example.com"
        assert re.fullmatch("user-[a-z2-7]{16}", user.username)
        assert api.sign_in("alice.liddell@example.com").json()["username"] == user.username
        assert api.sign_in(user.username).status_code == 200

    def test_each_generated_username_is_new(self, api, fast_password_hasher):
        names = {_sign_up(api, f"user{number}@example.com").json()["username"] for number in range(20)}

        assert len(names) == 20

    def test_a_chosen_username_is_stored_or_rejected_as_ever(self, api, assert_refused):
        assert api.sign_up("alice").json()["username"] == "alice"
        assert_refused(api.sign_up("ALICE", email="other@example.com"), 400, "username_taken")
        assert_refused(api.sign_up("  ", email="other@example.com"), 400, "invalid_request")

    def test_the_email_address_stays_required(self, api, assert_refused):
        response = api.post("/api/auth/signup", {"password": PASSWORD})

        assert_refused(response, 400, "invalid_request")
        assert list(response.json()["errors"]) == ["email"]

    def test_the_openapi_document_and_the_pages_require_no_username(self, client):
        schemas = document.__wrapped__()["components"]["schemas"]

        assert "username" not in schemas["SignUpInput"]["required"]
        assert "username" in schemas["SignInInput"]["required"]
        assert b"up-username" not in client.get("/").content
        assert b'name="username"' not in client.get("/invitation").content


def test_by_default_the_openapi_document_and_the_pages_require_a_username(client):
    assert "username" in document.__wrapped__()["components"]["schemas"]["SignUpInput"]["required"]
    assert b"up-username" in client.get("/").content
    assert b'name="username"' in client.get("/invitation").content


def _sign_up(api, email, **fields):
    return api.post("/api/auth/signup", {"email": email, "password": PASSWORD, **fields})


def _encoded(form):
    return urlencode(form, doseq=True)
