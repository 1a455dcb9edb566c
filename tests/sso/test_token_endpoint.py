"""The token endpoint: refreshes of applications, and what it has in common with every OAuth server."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import EndReason, RefreshToken
from accounts.tokens import access_tokens
from tests.conftest import Api, SignedIn
from tests.documented import DocumentedClient
from tests.factories import make_user
from tests.sso.flows import (
    TOKEN,
    Party,
    SingleSignOn,
    authorize,
    make_application,
    make_confidential,
    refused,
    sign_in_browser,
)

FORM = "application/x-www-form-urlencoded"


def test_a_refresh_rotates_the_refresh_token_and_brings_no_id_token(signed_on, clock):
    clock.advance(minutes=10)
    response = signed_on.party.refresh(signed_on.tokens["refresh_token"])
    tokens = response.json()

    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert set(tokens) == {
        "access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "scope",
    }  # fmt: skip
    assert tokens["refresh_token"] != signed_on.tokens["refresh_token"]
    claims = access_tokens.verify(tokens["access_token"], at=timezone.now())
    assert (claims.client_id, claims.scope) == ("shop", "openid profile email")
    assert claims.issued_at - claims.auth_time == 600, "a refresh never renews auth_time"


def test_a_refresh_of_an_application_is_one_update_like_that_of_the_services_own_sessions(signed_on, signed_in):
    with CaptureQueriesContext(connection) as own:
        signed_in.refresh(signed_in.refresh_token)
    with CaptureQueriesContext(connection) as queries:
        signed_on.party.refresh(signed_on.tokens["refresh_token"])

    assert [query["sql"].split()[0] for query in own] == ["UPDATE"]
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "UPDATE"], "one more finds the application"


def test_the_grace_and_the_reuse_of_refresh_tokens_are_the_same(signed_on, clock):
    first = signed_on.tokens["refresh_token"]
    second = signed_on.party.refresh(first).json()["refresh_token"]
    assert signed_on.party.refresh(first).json()["refresh_token"] == second

    clock.advance(seconds=11)
    assert refused(signed_on.party.refresh(first))
    assert RefreshToken.objects.get(application="shop").end_reason == EndReason.REUSED
    assert refused(signed_on.party.refresh(second))
    assert RefreshToken.objects.get(pk=signed_on.browser.session.pk).ended_at is None


def test_a_refresh_token_is_good_at_its_own_endpoint_and_for_its_own_application_only(signed_on, signed_in):
    make_application("other")
    token = signed_on.tokens["refresh_token"]

    assert refused(Party("other").refresh(token))
    assert refused(Party().refresh(signed_in.refresh_token))
    response = Api().refresh(token)
    assert (response.status_code, response.json()["code"]) == (403, "refresh_token_unknown")
    assert Party().refresh(token).status_code == 200, "none of them used it up"


def test_a_spent_refresh_token_of_another_application_ends_nothing(signed_on, clock):
    make_application("other")
    spent = signed_on.tokens["refresh_token"]
    current = signed_on.party.refresh(spent).json()["refresh_token"]
    clock.advance(seconds=11)

    assert refused(Party("other").refresh(spent))
    assert Api().refresh(spent).json()["code"] == "refresh_token_unknown"
    assert signed_on.party.refresh(current).status_code == 200


def test_without_rotation_the_same_refresh_token_is_returned(signed_on, override_auth):
    override_auth(refresh_token_rotation=False)
    make_application("other")
    token = signed_on.tokens["refresh_token"]

    assert signed_on.party.refresh(token).json()["refresh_token"] == token
    assert refused(Party("other").refresh(token))
    assert Api().refresh(token).status_code == 403


@pytest.mark.parametrize("token", ["", "x", "authrt_x", "\x00"])
def test_an_unknown_refresh_token_is_refused(application, token):
    assert Party().refresh(token).status_code == 400


def test_a_refresh_of_a_confidential_application_needs_its_secret(clock):
    application, secret = make_confidential()
    browser, _ = sign_in_browser(make_user())
    token = Party(secret=secret).exchange(authorize(browser)).json()["refresh_token"]

    assert refused(Party().refresh(token), "invalid_client", 401)
    assert Party(secret=secret).refresh(token).status_code == 200
    application.is_active = False
    application.save()
    assert refused(Party(secret=secret).refresh(token), "invalid_client", 401)


def test_the_scope_of_a_refresh_is_that_of_the_sign_in(application):
    sign_on = SingleSignOn(scope="openid email")

    for scope in ("openid profile email offline_access", "openid", None):
        tokens = sign_on.party.refresh(sign_on.tokens["refresh_token"], scope=scope).json()
        assert tokens["scope"] == "openid email"
        sign_on.tokens = tokens


def test_an_application_gets_tokens_for_its_audiences_only(override_auth, clock):
    override_auth(audience=("authproject", "orders", "stock"))
    make_application(audiences=["orders", "stock"])
    sign_on = SingleSignOn()

    def audience(tokens):
        return access_tokens.verify_for_any(tokens["access_token"], at=timezone.now()).audience

    assert audience(sign_on.tokens) == ("orders", "stock")
    one = sign_on.party.refresh(sign_on.tokens["refresh_token"], audience="stock").json()
    assert audience(one) == ("stock",)
    for unknown in ("authproject", "gone"):
        assert refused(sign_on.party.refresh(one["refresh_token"], audience=unknown), "invalid_target")
    assert audience(sign_on.party.refresh(one["refresh_token"]).json()) == ("orders", "stock")
    assert Api().get("/api/auth/me", sign_on.tokens["access_token"]).json()["code"] == "token_invalid"


def test_a_password_change_ends_the_sessions_of_applications(signed_on):
    client = SignedIn("alice")
    body = {"currentPassword": "correct horse battery", "newPassword": "another long password"}
    assert client.post("/api/auth/password/change", body, client.access_token).status_code == 204

    assert refused(signed_on.party.refresh(signed_on.tokens["refresh_token"]))
    assert Api().get("/api/test/user", signed_on.tokens["access_token"]).status_code == 401


def test_signing_out_with_an_applications_refresh_token_ends_that_session(signed_on):
    response = Api().post("/api/auth/signout", {"refreshToken": signed_on.tokens["refresh_token"]})

    assert response.status_code == 204
    assert refused(signed_on.party.refresh(signed_on.tokens["refresh_token"]))
    assert RefreshToken.objects.get(pk=signed_on.browser.session.pk).ended_at is None


@pytest.mark.parametrize("grant_type", ["password", "implicit", "authorization_code ", "urn:x", "__class__"])
def test_other_grants_are_refused(application, grant_type):
    assert refused(Party().send(TOKEN, grant_type=grant_type), "unsupported_grant_type")


@pytest.mark.parametrize("name", ["grant_type", "refresh_token", "client_id", "scope"])
def test_repeated_parameters_are_refused(application, name):
    body = "grant_type=refresh_token&refresh_token=x&client_id=shop&scope=openid"
    response = DocumentedClient().post(TOKEN, f"{body}&{name}=x", FORM)

    assert refused(response, "invalid_request")


def test_an_unknown_application_is_refused(application):
    for client_id in ("unknown", "", "SHOP", "first-party"):
        assert refused(Party(client_id).refresh("x"), "invalid_client", 401)


def test_credentials_in_the_query_are_ignored(application):
    response = DocumentedClient().post(f"{TOKEN}?client_id=shop&grant_type=refresh_token", "", FORM)

    assert refused(response, "invalid_request")


def test_the_endpoint_takes_json_as_well(signed_on):
    body = {"grant_type": "refresh_token", "client_id": "shop", "refresh_token": signed_on.tokens["refresh_token"]}

    assert Api().post(TOKEN, {**body, "scope": None}).status_code == 200


def test_get_is_not_allowed(application):
    assert DocumentedClient().get(TOKEN).status_code == 405
