"""Test the four content endpoints, and where a request may carry its access token."""

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
def test_every_content_endpoint_returns_its_exact_text(name, slash):
    signed_in = SignedIn(make_user(roles=("user", "moderator", "admin")).username)

    response = signed_in.get(f"/api/test/{name}{slash}", signed_in.access_token)

    assert (response.status_code, response.content.decode()) == (200, CONTENT[name])
    assert response["Content-Type"].split(";")[0] == "text/plain"


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ((), {"all", "user"}),
        (("user",), {"all", "user"}),
        (("moderator",), {"all", "user", "mod"}),
        (("admin",), {"all", "user", "admin"}),
        (("user", "admin"), {"all", "user", "admin"}),
        (("moderator", "admin"), {"all", "user", "mod", "admin"}),
    ],
)
def test_no_role_implies_another(roles, allowed):
    signed_in = SignedIn(make_user(roles=roles).username)

    assert {name for name in CONTENT if signed_in.content(name).status_code == 200} == allowed


@pytest.mark.parametrize(
    ("name", "message"), [("mod", "Require Moderator Role!"), ("admin", "Require Admin Role!")]
)
def test_the_refusal_names_the_missing_role(signed_in, assert_refused, name, message):
    response = signed_in.content(name)

    assert_refused(response, 403, "role_required")
    assert response.json()["message"] == message
    assert "WWW-Authenticate" not in response


def test_staff_and_superuser_flags_grant_no_role(assert_refused):
    signed_in = SignedIn(make_user(is_staff=True, is_superuser=True).username)

    assert_refused(signed_in.content("admin"), 403, "role_required")


@pytest.mark.parametrize("name", ["user", "mod", "admin"])
def test_a_request_without_a_token_is_refused(api, assert_refused, name):
    response = api.get(f"/api/test/{name}")

    assert_refused(response, 401, "token_missing")
    assert response.json()["message"] == "No token provided!"
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_status_of_a_missing_token_follows_the_setting(api, override_auth, assert_refused):
    override_auth(missing_token_status=403)

    assert_refused(api.get("/api/test/user"), 403, "token_missing")


def test_public_content_ignores_tokens(api):
    for headers in ({"x-access-token": "expired"}, {"Authorization": "Bearer a,Bearer b"}):
        assert api.get("/api/test/all", **headers).content == b"Public Content."


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_bearer_scheme_is_case_insensitive(signed_in, api, scheme):
    assert api.get("/api/test/user", Authorization=f"{scheme} {signed_in.access_token}").status_code == 200


def test_the_x_access_token_header_is_accepted(signed_in, api):
    assert api.get("/api/test/user", **{"x-access-token": signed_in.access_token}).status_code == 200


def test_the_same_token_in_both_headers_is_accepted(signed_in):
    response = signed_in.get(
        "/api/test/user", signed_in.access_token, **{"x-access-token": signed_in.access_token}
    )

    assert response.status_code == 200


def test_two_different_tokens_in_one_request_are_refused(signed_in, assert_refused):
    other = SignedIn(make_user().username)

    response = signed_in.get("/api/test/user", signed_in.access_token, **{"x-access-token": other.access_token})

    assert_refused(response, 400, "invalid_request")


@pytest.mark.parametrize("header", ["Authorization", "x-access-token"])
def test_a_duplicate_token_header_is_refused(signed_in, api, assert_refused, header):
    value = f"{'Bearer ' if header == 'Authorization' else ''}{signed_in.access_token}"

    # A server joins two headers of the same name with a comma (RFC 9110 section 5.3).
    assert_refused(api.get("/api/test/user", **{header: f"{value},{value}"}), 400, "invalid_request")


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz,Bearer {}", ",Bearer {}"])
def test_a_second_authorization_header_is_refused_whatever_its_scheme(signed_in, api, assert_refused, header):
    response = api.get("/api/test/user", Authorization=header.format(signed_in.access_token))

    assert_refused(response, 400, "invalid_request")


@pytest.mark.parametrize("value", ["", " ", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc"])
def test_an_authorization_header_without_a_bearer_token_counts_as_missing(api, assert_refused, value):
    assert_refused(api.get("/api/test/user", Authorization=value), 401, "token_missing")


def test_a_token_in_the_query_string_is_ignored(signed_in, api, assert_refused):
    response = api.get(
        f"/api/test/user?access_token={signed_in.access_token}&x-access-token={signed_in.access_token}"
    )

    assert_refused(response, 401, "token_missing")


class TestFormField:
    """The form field `access_token` (RFC 6750 section 2.2), which is off by default."""

    FORM = "application/x-www-form-urlencoded"
    URL = "/api/auth/signout-all"

    def test_the_field_is_ignored_by_default(self, signed_in, api, assert_refused):
        response = api.http.post(self.URL, f"access_token={signed_in.access_token}", self.FORM)

        assert_refused(response, 401, "token_missing")

    def test_the_field_is_accepted_if_enabled(self, signed_in, api, override_auth):
        override_auth(form_token=True)

        assert api.http.post(self.URL, f"access_token={signed_in.access_token}", self.FORM).status_code == 204

    def test_a_field_and_a_header_with_different_tokens_are_refused(
        self, signed_in, api, override_auth, assert_refused
    ):
        override_auth(form_token=True)

        response = api.http.post(
            self.URL, "access_token=other", self.FORM, headers={"x-access-token": signed_in.access_token}
        )

        assert_refused(response, 400, "invalid_request")

    def test_a_duplicate_field_is_refused(self, signed_in, api, override_auth, assert_refused):
        override_auth(form_token=True)
        twice = f"access_token={signed_in.access_token}&access_token={signed_in.access_token}"

        assert_refused(api.http.post(self.URL, twice, self.FORM), 400, "invalid_request")

    def test_the_field_is_ignored_in_json(self, signed_in, api, override_auth, assert_refused):
        override_auth(form_token=True)

        assert_refused(api.post(self.URL, {"access_token": signed_in.access_token}), 401, "token_missing")


def test_responses_to_requests_with_a_token_are_not_cacheable(signed_in):
    assert signed_in.content()["Cache-Control"] == "no-store"
