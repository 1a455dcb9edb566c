"""Test that malformed requests are refused with a 4xx status and a code, and never cause a 5xx."""

import json

import pytest

from accounts.models import RefreshToken, User
from api.defaults import MAX_BODY_SIZE
from tests.factories import PASSWORD, make_user

ENDPOINTS = ["signup", "signin", "refreshtoken", "signout"]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def post(api, name, body, content_type=JSON, **headers):
    return api.http.generic("POST", f"/api/auth/{name}", body, content_type, headers=headers)


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf{}",
        b'{"username": "\xff"}',
        b'{"username": NaN}',
        b'{"username": -Infinity}',
        b'{"username": 1' + b"0" * 5000 + b"}",
        b"[" * 50_000,
        b'{"a":' * 10_000,
        b"\x00" * 100,
        b'"' + b"x" * 1000,
    ],
)
def test_a_body_that_is_not_valid_json_is_refused(api, assert_refused, name, body):
    assert_refused(post(api, name, body), 400, "invalid_request")


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"x"', b"[{}]", b"true"])
def test_json_other_than_an_object_is_refused(api, assert_refused, name, body):
    response = post(api, name, body)

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"]["body"]


@pytest.mark.parametrize("body", [b"username=%ff&password=x", b"\xff=1", b"a=1&" * 200])
def test_a_form_that_is_not_utf_8_or_has_too_many_fields_is_refused(api, assert_refused, body):
    assert_refused(post(api, "signin", body, FORM), 400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("auth/signin", "username=alice&username=bob&password=x", "username"),
        ("auth/signin", "username=alice&password=x&password=x", "password"),
        ("auth/signin", "username=alice&password=x&useCookies=true&useCookies=false", "useCookies"),
        ("auth/refreshtoken", "refreshToken=a&refreshToken=b", "refreshToken"),
        ("auth/signout", "refreshToken=a&refreshToken=b", "refreshToken"),
        ("auth/password/reset", "email=a@example.com&email=b@example.com", "email"),
        ("oauth/introspect", "token=a&client_id=a&client_id=b", "client_id"),
        ("oauth/revoke", "token=a&token=b", "token"),
    ],
)
def test_a_repeated_form_field_is_refused_by_its_name(api, assert_refused, path, body, name):
    response = api.http.generic("POST", f"/api/{path}", body, FORM)

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"] == {name: ["This field must not be repeated."]}


def test_unknown_fields_of_a_form_are_ignored_even_if_repeated(api):
    make_user("alice")
    form = f"username=alice&password={PASSWORD.replace(' ', '+')}&other=1&other=2&=blank&=blank"

    assert post(api, "signin", form.encode(), FORM).status_code == 200


def test_a_list_in_a_form_is_a_repeated_field(api, override_auth):
    override_auth(signup_roles=("user", "moderator"))
    body = b"username=alice&email=a@example.com&password=long+enough+1&roles=user&roles=moderator"

    assert post(api, "signup", body, FORM).json()["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]


@pytest.mark.parametrize("path", ["sessions", "activity"])
def test_a_repeated_query_parameter_is_refused_by_its_name(signed_in, assert_refused, path):
    response = signed_in.get(f"/api/auth/{path}?before=1&before=2", signed_in.access_token)

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"] == {"before": ["This field must not be repeated."]}
    assert signed_in.get(f"/api/auth/{path}?a=1&a=2", signed_in.access_token).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        (
            "oauth/introspect",
            {"token": "x", "client_id": 7, "token_type_hint": []},
            ["client_id", "token_type_hint"],
        ),
        ("auth/refreshtoken", {"refreshToken": 7}, ["refreshToken"]),
        ("auth/password/reset/confirm", {"token": "x", "newPassword": 7}, ["newPassword"]),
    ],
)
def test_errors_name_fields_as_the_body_does(api, assert_refused, path, body, names):
    response = api.post(f"/api/{path}", body)

    assert_refused(response, 400, "invalid_request")
    assert sorted(response.json()["errors"]) == names
    assert all(f"{name}: " in response.json()["message"] for name in names)


def test_indexed_field_names_of_a_form_are_ignored(api):
    body = "username=alice&email=a@example.com&password=long+enough+1&roles[" + "9" * 5000 + "]=admin"

    assert post(api, "signup", body.encode(), FORM).json()["roles"] == ["ROLE_USER"]


@pytest.mark.parametrize("field", ["username", "email", "fullname", "password"])
def test_an_overlong_text_is_not_unicode_normalized(api, monkeypatch, field):
    monkeypatch.setattr("unicodedata.normalize", _normalize_only_short_text)
    body = {
        "username": "alice",
        "email": "a@example.com",
        "password": "long enough 1",
        field: "\u0301\u0316" * 5000,
    }

    assert post(api, "signup", json.dumps(body).encode()).status_code in (400, 413)
    assert post(api, "signin", json.dumps(body).encode()).status_code in (401, 413)


def _normalize_only_short_text(form, text):
    assert len(text) < 3000
    return text


@pytest.mark.parametrize("field", ["username", "password", "email", "fullname"])
@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "a\udfffb"])
def test_text_that_the_database_cannot_store_is_refused(api, assert_refused, field, text):
    body = {"username": "alice", "email": "a@example.com", "password": "long enough 1", field: text}

    assert_refused(post(api, "signup", json.dumps(body).encode()), 400, "invalid_request")
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "'; DROP TABLE accounts_user; --", "%s", "{0}", "\u202e", "𝒶" * 999]
)
def test_malformed_credentials_are_refused(api, text):
    for field in ("username", "password"):
        body = {"username": "alice", "password": "x", field: text}

        assert post(api, "signin", json.dumps(body).encode()).status_code in (400, 401)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "//", "é"]
)
def test_an_unsupported_media_type_is_refused(api, assert_refused, content_type):
    assert_refused(post(api, "signin", b"{}", content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "rot13", "hex", "idna", "nonsense", "zlib", "undefined"])
def test_the_charset_parameter_is_ignored(api, charset):
    response = post(api, "signin", b'{"username": "a", "password": "b"}', f"{JSON}; charset={charset}")

    assert response.status_code == 401


@pytest.mark.parametrize("content_type", [JSON, FORM])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_body_over_the_size_limit_is_refused(api, assert_refused, name, content_type):
    assert_refused(post(api, name, b"x" * (MAX_BODY_SIZE + 1), content_type), 413, "payload_too_large")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0", "nonsense", "text/plain"])
def test_the_response_is_json_whatever_the_accept_header(api, accept):
    response = post(api, "signin", b"{}", JSON, Accept=accept)

    assert (response.status_code, response["Content-Type"]) == (400, "application/json")


@pytest.mark.parametrize("query", ["?format=xml", "?format=api", "?%ff=%00", "?" + "a=1&" * 2000])
def test_the_query_string_is_ignored(api, query):
    assert api.get(f"/api/test/all{query}").content == b"Public Content."


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/auth/signin"),
        ("PUT", "/api/auth/signup"),
        ("DELETE", "/api/auth/refreshtoken"),
        ("POST", "/api/test/all"),
        ("PATCH", "/.well-known/jwks.json"),
        ("TRACE", "/healthz"),
        ("NONSENSE", "/api/test/user"),
        ("OPTIONS", "/api/auth/signin"),
        ("OPTIONS", "/api/docs"),
        ("POST", "/api/docs"),
        ("PUT", "/"),
        ("OPTIONS", "/"),
    ],
)
def test_an_unsupported_method_is_refused(api, assert_refused, method, path):
    response = api.http.generic(method, path)

    if path == "/api/test/user":
        assert_refused(response, 401, "token_missing")
    else:
        assert_refused(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api", "/api/", "/api/auth/signin//", "/api/auth/%ff", "/api/auth/signin%00", "/%2e%2e/x"],
)
def test_an_unknown_path_is_not_found(api, assert_refused, path):
    assert_refused(api.get(path), 404, "not_found")


@pytest.mark.parametrize("value", ["é", "\x7f", "a" * 20_000, "Bearer", "x.y.z", "..", "{}", "eyJ.eyJ.x"])
def test_malformed_tokens_are_refused(api, value):
    for headers in ({"x-access-token": value}, {"Authorization": f"Bearer {value}"}):
        assert api.get("/api/test/user", **headers).status_code == 401


def test_an_unknown_host_is_refused(api, assert_refused):
    assert_refused(api.http.get("/api/test/all", headers={"Host": "evil.example"}), 400, "invalid_request")


def test_query_operators_in_credentials_start_no_session(api):
    post(api, "signin", b'{"username": {"$ne": ""}, "password": {"$ne": ""}}')

    assert not RefreshToken.objects.exists()


@pytest.mark.parametrize("value", [0, 1, "true", "on", [], {}])
def test_a_json_flag_must_be_true_or_false(api, assert_refused, value):
    body = {"username": "alice", "password": "x", "useCookies": value}

    assert_refused(post(api, "signin", json.dumps(body).encode()), 400, "invalid_request")


def test_a_form_flag_is_parsed_from_text(api, assert_refused):
    make_user("alice")
    form = f"username=alice&password={PASSWORD.replace(' ', '+')}&useCookies=true"

    assert "accessToken" not in post(api, "signin", form.encode(), FORM).json()


@pytest.mark.parametrize("path", ["/api/auth/sessions?before=", "/api/auth/activity?before="])
def test_an_empty_page_cursor_is_an_invalid_request(signed_in, assert_refused, path):
    assert_refused(signed_in.get(path, signed_in.access_token), 400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b'{"username": "alice", "username": "bob", "password": "x"}',
        b'{"username": "alice", "\\u0075sername": "bob", "password": "x"}',
        b'{"username": "alice", "password": "x", "more": {"a": 1, "a": 2}}',
    ],
)
def test_a_duplicate_name_in_a_json_object_is_refused(api, assert_refused, body):
    assert_refused(post(api, "signin", body), 400, "invalid_request")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1E+999999999", "9" * 4000, "9" * 5000, "-0", "1.5"])
def test_a_number_in_place_of_a_string_is_refused(api, assert_refused, number):
    assert_refused(
        post(api, "signin", f'{{"username": {number}, "password": "x"}}'.encode()), 400, "invalid_request"
    )


def test_the_message_about_an_overlong_number_does_not_reveal_the_parser(api, assert_refused):
    response = post(api, "signin", b'{"username": ' + b"9" * 5000 + b', "password": "x"}')

    assert_refused(response, 400, "invalid_request")
    assert response.json()["message"] == "The body is not valid JSON: a number is too long"


@pytest.mark.parametrize("before", ["1e400", "9" * 5000, "-1", "0", "0x1", "NaN", "%00", str(2**63)])
def test_a_page_cursor_out_of_range_or_of_the_wrong_type_is_an_invalid_request(signed_in, assert_refused, before):
    response = signed_in.get(f"/api/auth/activity?before={before}", signed_in.access_token)

    assert_refused(response, 400, "invalid_request")
