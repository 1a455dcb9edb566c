"""Userinfo, and what pages of other origins may read without credentials."""

import pytest

from accounts.models import RefreshToken, User
from tests.conftest import Api
from tests.documented import DocumentedClient
from tests.factories import make_user
from tests.sso.flows import TOKEN, USERINFO, Party, SingleSignOn, authorize, make_application, sign_in_browser

PUBLIC_PATHS = (TOKEN, USERINFO, "/.well-known/openid-configuration", "/.well-known/jwks.json")
ORIGIN = {"Origin": "https://any.example"}


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", {"sub"}),
        ("openid profile", {"sub", "name", "preferred_username", "locale"}),
        ("openid email", {"sub", "email", "email_verified"}),
    ],
)
def test_userinfo_says_what_the_scope_asks_for(application, clock, scope, claims):
    make_user("alice", fullname="Alice A.", language="de")
    browser, _ = sign_in_browser(User.objects.get())
    tokens = Party().exchange(authorize(browser, scope=scope)).json()

    response = Party().userinfo(tokens["access_token"])

    assert response.status_code == 200
    assert set(response.json()) == claims
    assert response.json()["sub"] == str(User.objects.get().pk)
    assert response["Cache-Control"] == "no-store"


def test_userinfo_takes_post_as_well(signed_on):
    headers = {"Authorization": f"Bearer {signed_on.tokens['access_token']}"}

    assert DocumentedClient().post(USERINFO, headers=headers).json()["email"] == "alice@example.com"


def test_a_token_of_the_services_own_endpoints_has_no_scope(signed_in):
    response = signed_in.get(USERINFO, signed_in.access_token)

    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in response["WWW-Authenticate"]


def test_userinfo_refuses_what_is_no_access_token(signed_on):
    for token in (signed_on.tokens["id_token"], signed_on.tokens["refresh_token"], "x"):
        response = Party().userinfo(token)
        assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
        assert 'error="invalid_token"' in response["WWW-Authenticate"]
    assert Api().get(USERINFO).json()["code"] == "token_missing"


def test_userinfo_refuses_the_token_of_an_ended_session(signed_on):
    RefreshToken.objects.all().delete()

    assert Party().userinfo(signed_on.tokens["access_token"]).json()["code"] == "token_revoked"


def test_userinfo_takes_the_tokens_for_every_audience(override_auth, clock):
    override_auth(audience=("authproject", "orders", "stock"))
    make_application(audiences=["stock"])
    sign_on = SingleSignOn()

    assert Party().userinfo(sign_on.tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_pages_of_every_origin_may_read_the_public_endpoints_without_credentials(api, path):
    for response in (DocumentedClient().get(path, headers=ORIGIN), DocumentedClient().post(path, headers=ORIGIN)):
        assert response["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_a_preflight_of_every_origin_is_answered(path):
    headers = {
        **ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    response = DocumentedClient().options(path, headers=headers)

    assert (response.status_code, response.content) == (204, b"")
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert {"GET", "POST"} & set(response["Access-Control-Allow-Methods"].split(", "))
    assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_an_allowed_origin_gets_no_credentials_there_either(settings, path):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]

    for method in ("get", "options"):
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        response = getattr(DocumentedClient(), method)(path, headers=headers)
        assert response["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.parametrize(
    "path",
    [
        "/api/auth/me", "/api/test/all", "/api/oauth/introspect", "/api/oauth/revoke", "/api/oauth/token2",
        "/.well-known/webauthn", "/.well-known/oauth-authorization-server",
    ],
)  # fmt: skip
def test_nothing_else_is_open_to_every_origin(path):
    for method in ("get", "options", "post"):
        response = getattr(DocumentedClient(), method)(
            path, headers={**ORIGIN, "Access-Control-Request-Method": "POST"}
        )
        assert "Access-Control-Allow-Origin" not in response


def test_a_cookie_authenticates_no_page_of_another_origin(signed_on):
    client = DocumentedClient()
    client.cookies["__Host-access"] = signed_on.tokens["access_token"]

    assert client.post(USERINFO, headers=ORIGIN).json()["code"] == "csrf_failed"
