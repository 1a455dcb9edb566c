"""The four test endpoints, and where an access token may stand."""

import pytest

from tests.conftest import SignedIn
from tests.factories import make_user

CONTENT = {
    "all": "Public Content.",
    "user": "User Content.",
    "mod": "Moderator Content.",
    "admin": "Admin Content.",
}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("name", CONTENT)
def test_content_is_exact_plain_text(name, slash):
    signed_in = SignedIn(make_user(roles=("user", "moderator", "admin")).username)

    answer = signed_in.get(f"/api/test/{name}{slash}", signed_in.access_token)

    assert (answer.status_code, answer.content.decode()) == (200, CONTENT[name])
    assert answer["Content-Type"].split(";")[0] == "text/plain"


@pytest.mark.parametrize(
    ("roles", "passes"),
    [
        ((), {"all", "user"}),
        (("user",), {"all", "user"}),
        (("moderator",), {"all", "user", "mod"}),
        (("admin",), {"all", "user", "admin"}),
        (("user", "admin"), {"all", "user", "admin"}),
        (("moderator", "admin"), {"all", "user", "mod", "admin"}),
    ],
)
def test_roles_are_exact(roles, passes):
    signed_in = SignedIn(make_user(roles=roles).username)

    assert {name for name in CONTENT if signed_in.content(name).status_code == 200} == passes


@pytest.mark.parametrize(
    ("name", "message"), [("mod", "Require Moderator Role!"), ("admin", "Require Admin Role!")]
)
def test_a_missing_role_is_named(signed_in, assert_refused, name, message):
    answer = signed_in.content(name)

    assert_refused(answer, 403, "role_required")
    assert answer.json()["message"] == message
    assert "WWW-Authenticate" not in answer


def test_a_role_of_the_django_admin_is_none_here(assert_refused):
    signed_in = SignedIn(make_user(is_staff=True, is_superuser=True).username)

    assert_refused(signed_in.content("admin"), 403, "role_required")


@pytest.mark.parametrize("name", ["user", "mod", "admin"])
def test_without_a_token_nobody_passes(api, assert_refused, name):
    answer = api.get(f"/api/test/{name}")

    assert_refused(answer, 401, "token_missing")
    assert answer.json()["message"] == "No token provided!"
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_missing_token_is_answered_as_the_setting_says(api, auth, assert_refused):
    auth(missing_token_status=403)

    assert_refused(api.get("/api/test/user"), 403, "token_missing")


def test_public_content_does_not_look_at_a_token(api):
    for headers in ({"x-access-token": "expired"}, {"Authorization": "Bearer a,Bearer b"}):
        assert api.get("/api/test/all", **headers).content == b"Public Content."


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_written_in_any_case(signed_in, api, scheme):
    assert api.get("/api/test/user", Authorization=f"{scheme} {signed_in.access_token}").status_code == 200


def test_the_token_may_stand_in_x_access_token(signed_in, api):
    assert api.get("/api/test/user", **{"x-access-token": signed_in.access_token}).status_code == 200


def test_the_same_token_may_stand_in_both_headers(signed_in):
    answer = signed_in.get("/api/test/user", signed_in.access_token, **{"x-access-token": signed_in.access_token})

    assert answer.status_code == 200


def test_two_different_tokens_are_refused(signed_in, assert_refused):
    other = SignedIn(make_user().username)

    answer = signed_in.get("/api/test/user", signed_in.access_token, **{"x-access-token": other.access_token})

    assert_refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("header", ["Authorization", "x-access-token"])
def test_one_header_twice_is_refused(signed_in, api, assert_refused, header):
    value = f"{'Bearer ' if header == 'Authorization' else ''}{signed_in.access_token}"

    # Servers join the two with a comma (RFC 9110 section 5.3).
    assert_refused(api.get("/api/test/user", **{header: f"{value},{value}"}), 400, "invalid_request")


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz,Bearer {}", ",Bearer {}"])
def test_a_second_authorization_header_is_refused_whatever_its_scheme(signed_in, api, assert_refused, header):
    answer = api.get("/api/test/user", Authorization=header.format(signed_in.access_token))

    assert_refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("empty", ["", " ", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc"])
def test_a_header_that_holds_no_bearer_token_is_no_token(api, assert_refused, empty):
    assert_refused(api.get("/api/test/user", Authorization=empty), 401, "token_missing")


def test_a_token_in_the_query_string_is_not_looked_at(signed_in, api, assert_refused):
    answer = api.get(
        f"/api/test/user?access_token={signed_in.access_token}&x-access-token={signed_in.access_token}"
    )

    assert_refused(answer, 401, "token_missing")


class TestFormField:
    """`access_token` in a form, RFC 6750 section 2.2."""

    FORM = "application/x-www-form-urlencoded"
    URL = "/api/auth/signout-all"

    def test_it_is_not_looked_at_unless_switched_on(self, signed_in, api, assert_refused):
        answer = api.http.post(self.URL, f"access_token={signed_in.access_token}", self.FORM)

        assert_refused(answer, 401, "token_missing")

    def test_it_is_taken_where_switched_on(self, signed_in, api, auth):
        auth(form_token=True)

        assert api.http.post(self.URL, f"access_token={signed_in.access_token}", self.FORM).status_code == 204

    def test_it_counts_among_two_different_tokens(self, signed_in, api, auth, assert_refused):
        auth(form_token=True)

        answer = api.http.post(
            self.URL, "access_token=other", self.FORM, headers={"x-access-token": signed_in.access_token}
        )

        assert_refused(answer, 400, "invalid_request")

    def test_it_is_refused_twice(self, signed_in, api, auth, assert_refused):
        auth(form_token=True)
        twice = f"access_token={signed_in.access_token}&access_token={signed_in.access_token}"

        assert_refused(api.http.post(self.URL, twice, self.FORM), 400, "invalid_request")

    def test_it_is_not_taken_from_json(self, signed_in, api, auth, assert_refused):
        auth(form_token=True)

        assert_refused(api.post(self.URL, {"access_token": signed_in.access_token}), 401, "token_missing")


def test_answers_to_a_token_are_kept_out_of_caches(signed_in):
    assert signed_in.content()["Cache-Control"] == "no-store"
