"""Endpoints for registered services: metadata, introspection (RFC 7662), revocation (RFC 7009), and audiences."""

import base64
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import EndReason, RefreshToken, Service, User
from accounts.sessions import services
from accounts.tokens import access_tokens
from tests.conftest import Api, SignedIn
from tests.factories import make_user

INTROSPECT, REVOKE = "/api/oauth/introspect", "/api/oauth/revoke"


@pytest.fixture(autouse=True)
def _three_services(override_auth, clock):
    override_auth(audience=("authproject", "orders", "stock"))


class FormClient(Client):
    """A test client that sends form-encoded bodies, as the RFCs require."""

    def post_form(self, path, body, **options):
        return self.post(path, urlencode(body), "application/x-www-form-urlencoded", **options)


class ServiceClient:
    """A registered service that calls the endpoints with its own credentials."""

    def __init__(self, name="orders", audience="orders", **fields):
        self.service = Service(client_id=name, audience=audience, **fields)
        self.secret = services.new_secret(self.service)
        self.service.save()
        self.http = FormClient()

    def send(self, path, token, secret=None, **body):
        return self.http.post_form(
            path, {"token": token, **body}, headers=basic(self.service.client_id, secret or self.secret)
        )

    def introspect(self, token):
        response = self.send(INTROSPECT, token)
        assert response.status_code == 200, response.content
        return response.json()


def basic(name, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


@pytest.fixture
def orders():
    return ServiceClient()


@pytest.fixture
def form_client():
    return FormClient()


def test_introspecting_a_valid_token_returns_its_claims(orders):
    user = make_user("alice", roles=("user", "admin"))
    signed_in = SignedIn("alice")
    claims = signed_in.claims

    assert orders.introspect(signed_in.access_token) == {
        "active": True, "iss": "http://localhost:8000", "aud": ["authproject", "orders", "stock"],
        "sub": str(user.pk), "username": "alice", "client_id": "first-party", "token_type": "Bearer",
        "iat": claims.issued_at, "nbf": claims.issued_at, "exp": claims.expires_at, "jti": claims.token_id,
        "sid": str(claims.session_id), "roles": ["admin", "user"], "auth_time": claims.auth_time,
            "acr": "1", "amr": ["pwd"],
    }  # fmt: skip


def sign_out(signed_in):
    signed_in.post("/api/auth/signout", token=signed_in.access_token)


def change_roles(signed_in):
    call_command("grantrole", User.objects.get().username, "admin", stdout=None)


def deactivate(signed_in):
    call_command("deactivateuser", User.objects.get().username, stdout=None)


@pytest.mark.parametrize("event", [sign_out, change_roles, deactivate])
def test_a_revoked_token_is_inactive_immediately(signed_in, orders, event):
    assert orders.introspect(signed_in.access_token)["active"]

    event(signed_in)

    assert orders.introspect(signed_in.access_token) == {"active": False}


def test_an_expired_token_is_not_active(signed_in, orders, clock):
    clock.advance(seconds=900)

    assert orders.introspect(signed_in.access_token) == {"active": False}


def test_a_token_for_another_service_is_not_active(orders):
    make_user("alice")
    body = {"username": "alice", "password": "correct horse battery"}
    for audience, active in (("orders", True), ("stock", False)):
        token = Api().post("/api/auth/signin", {**body, "audience": audience}).json()["accessToken"]
        assert orders.introspect(token)["active"] is active


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "x" * 60000])
def test_a_string_that_is_not_a_token_is_not_active(orders, token):
    assert orders.introspect(token) == {"active": False}


def test_a_refresh_token_is_not_active_and_stays_usable(signed_in, orders):
    assert orders.introspect(signed_in.refresh_token) == {"active": False}
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


def test_the_introspection_response_is_not_cacheable(signed_in, orders):
    assert orders.send(INTROSPECT, signed_in.access_token)["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
class TestAuthentication:
    """How a service authenticates."""

    def assert_refused(self, response):
        assert (response.status_code, response.json()["code"], response.json()["error"]) == (
            401, "invalid_client", "invalid_client",
        )  # fmt: skip
        assert response["WWW-Authenticate"].startswith("Basic ")

    def test_a_wrong_secret_is_refused(self, orders, path):
        for secret in ("x", orders.secret + "x", orders.secret[:-1], orders.secret.upper()):
            self.assert_refused(orders.send(path, "x", secret))

    def test_an_unknown_service_is_refused(self, orders, form_client, path):
        for name in ("stock", "", "ORDERS", "a\x00b", "é"):
            self.assert_refused(form_client.post_form(path, {"token": "x"}, headers=basic(name, orders.secret)))

    def test_an_inactive_service_is_refused(self, path):
        self.assert_refused(ServiceClient(is_active=False).send(path, "x"))

    def test_another_service_s_secret_is_refused(self, orders, path):
        self.assert_refused(orders.send(path, "x", ServiceClient("stock", "stock").secret))

    @pytest.mark.parametrize(
        "header", ["Basic", "Basic ", "Basic !!", "Basic /w==", "Bearer x", "Basic eA==", "x", ":"]
    )
    def test_a_malformed_authorization_header_is_refused(self, orders, form_client, path, header):
        self.assert_refused(form_client.post_form(path, {"token": "x"}, headers={"Authorization": header}))

    def test_a_request_without_credentials_is_refused(self, form_client, path):
        self.assert_refused(form_client.post_form(path, {"token": "x"}))

    def test_the_access_token_of_a_user_is_refused(self, signed_in, path):
        self.assert_refused(signed_in.post(path, {"token": signed_in.access_token}, signed_in.access_token))

    def test_id_and_secret_in_the_body_are_accepted(self, orders, form_client, path):
        body = {"token": "x", "client_id": "orders", "client_secret": orders.secret}
        assert form_client.post_form(path, body).status_code == 200

    def test_credentials_in_both_header_and_body_are_refused(self, orders, path):
        self.assert_refused(orders.send(path, "x", client_id="orders", client_secret=orders.secret))

    def test_a_request_without_a_token_is_invalid(self, orders, form_client, path):
        response = form_client.post_form(path, {}, headers=basic("orders", orders.secret))

        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")

    def test_the_secret_is_neither_stored_nor_logged(self, orders, path, caplog):
        orders.send(path, "x")

        assert orders.secret not in str(Service.objects.values()) + caplog.text


def test_revoking_an_access_token_ends_its_session(signed_in, orders, assert_refused):
    response = orders.send(REVOKE, signed_in.access_token, token_type_hint="access_token")

    assert (response.status_code, response.content) == (200, b"")
    assert_refused(signed_in.content(), 401, "token_revoked")
    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_revoked")
    assert RefreshToken.objects.get().end_reason == EndReason.REVOKED_BY_SERVICE


def test_revoking_a_refresh_token_ends_its_session(signed_in, orders, assert_refused):
    assert orders.send(REVOKE, signed_in.refresh_token).status_code == 200

    assert_refused(signed_in.content(), 401, "token_revoked")
    assert RefreshToken.objects.get().end_reason == EndReason.REVOKED_BY_SERVICE


def test_revoking_an_invalid_token_or_one_for_another_service_ends_no_session(signed_in, orders):
    make_user("alice")
    body = {"username": "alice", "password": "correct horse battery", "audience": "stock"}
    foreign = Api().post("/api/auth/signin", body).json()["accessToken"]

    for token in ("", "x", foreign):
        assert orders.send(REVOKE, token).status_code == 200
    assert not RefreshToken.objects.exclude(ended_at=None).exists()


class TestAudience:
    """Access tokens for one service, by the `audience` parameter."""

    def test_by_default_a_token_is_for_every_service(self, signed_in):
        assert signed_in.claims.audience == ("authproject", "orders", "stock")

    def test_a_refresh_can_issue_a_token_for_one_service(self, signed_in, assert_refused):
        pair = signed_in.post(
            "/api/auth/refreshtoken", {"refreshToken": signed_in.refresh_token, "audience": "orders"}
        )

        token = pair.json()["accessToken"]
        assert access_tokens.verify_for("orders", token, at=timezone.now()).audience == ("orders",)
        assert_refused(signed_in.get("/api/test/user", token), 401, "token_invalid")

    def test_a_refresh_for_an_unknown_service_is_refused_and_rotates_nothing(self, signed_in, assert_refused):
        body = {"refreshToken": signed_in.refresh_token, "audience": "nobody"}
        response = signed_in.post("/api/auth/refreshtoken", body)

        assert_refused(response, 400, "invalid_request")
        assert "authproject, orders, stock" in response.json()["errors"]["audience"][0]
        assert RefreshToken.objects.get().generation == 0

    def test_a_sign_in_for_an_unknown_service_opens_no_session(self, api, assert_refused):
        make_user("alice")
        body = {"username": "alice", "password": "correct horse battery", "audience": ""}

        assert_refused(api.post("/api/auth/signin", body), 400, "invalid_request")
        assert not RefreshToken.objects.exists()


class TestDiscovery:
    """GET /.well-known/oauth-authorization-server (RFC 8414)."""

    def test_the_metadata_names_every_endpoint_under_the_issuer(self, api, override_auth):
        override_auth(issuer="https://auth.example.com")
        response = api.get("/.well-known/oauth-authorization-server")
        metadata = response.json()

        assert metadata["issuer"] == "https://auth.example.com"
        assert metadata["jwks_uri"] == "https://auth.example.com/.well-known/jwks.json"
        assert metadata["introspection_endpoint"] == "https://auth.example.com/api/oauth/introspect"
        assert metadata["revocation_endpoint"] == "https://auth.example.com/api/oauth/revoke"
        assert [] not in metadata.values()  # RFC 8414 section 3.2: no empty arrays
        assert response["Cache-Control"].startswith("public, max-age=")

    @pytest.mark.parametrize("issuer", ["https://auth.example.com/", "https://auth.example.com"])
    def test_no_endpoint_url_has_a_double_slash(self, api, override_auth, issuer):
        override_auth(issuer=issuer)
        metadata = api.get("/.well-known/oauth-authorization-server").json()

        assert (metadata["issuer"], metadata["jwks_uri"]) == (
            issuer,
            "https://auth.example.com/.well-known/jwks.json",
        )

    def test_an_issuer_that_is_not_a_url_has_endpoints_on_the_requested_host(self, api, override_auth):
        override_auth(issuer="mycompany")
        metadata = api.get("/.well-known/oauth-authorization-server").json()

        assert (metadata["issuer"], metadata["jwks_uri"]) == (
            "mycompany",
            "http://testserver/.well-known/jwks.json",
        )

    def test_the_host_header_is_ignored_when_public_url_is_set(self, api, override_auth):
        override_auth(issuer="our-own", public_url="https://auth.example.com")

        metadata = api.get("/.well-known/oauth-authorization-server", Host="localhost:666").json()

        assert metadata["jwks_uri"] == "https://auth.example.com/.well-known/jwks.json"

    def test_the_metadata_of_an_issuer_with_a_path_is_at_its_rfc_8414_location(self, api):
        assert api.get("/.well-known/oauth-authorization-server/auth").status_code == 200

    def test_the_named_endpoints_exist(self, api):
        metadata = api.get("/.well-known/oauth-authorization-server").json()
        base = metadata["issuer"]

        assert api.get(metadata["jwks_uri"].removeprefix(base)).status_code == 200
        for name in ("introspection_endpoint", "revocation_endpoint"):
            assert api.post(metadata[name].removeprefix(base), {"token": "x"}).status_code == 401


class TestAdmin:
    """Services registered in the Django admin."""

    def secret_on(self, page):
        return page.content.decode().partition('<code class="secret">')[2].partition("</code>")[0]

    def test_a_service_is_registered_and_its_secret_shown_once(self, admin_client, signed_in):
        page = admin_client.post(
            "/admin/accounts/service/add/", {"client_id": "orders", "audience": "orders", "is_active": "on"}
        )
        secret = self.secret_on(page)

        assert services.authenticate("orders", secret).audience == "orders"
        assert "no-store" in page["Cache-Control"]
        service = Service.objects.get()
        assert secret not in admin_client.get(f"/admin/accounts/service/{service.pk}/change/").content.decode()

    def test_a_new_secret_replaces_the_old_one_and_is_logged(self, admin_client, orders):
        path = f"/admin/accounts/service/{orders.service.pk}/secret/"
        confirmation = admin_client.post(path).content.decode()
        assert 'value="Replace the secret of orders"' in confirmation
        assert services.authenticate("orders", orders.secret)
        page = admin_client.post(path, {"confirmed": "yes"})
        secret = self.secret_on(page)

        assert orders.send(INTROSPECT, "x", secret).status_code == 200
        assert orders.send(INTROSPECT, "x").status_code == 401
        assert LogEntry.objects.get().get_change_message() == "Generated a new secret."

    def test_editing_a_service_keeps_its_secret(self, admin_client, orders):
        form = {"client_id": "orders", "audience": "stock", "is_active": "on"}
        assert admin_client.post(f"/admin/accounts/service/{orders.service.pk}/change/", form).status_code == 302

        assert services.authenticate("orders", orders.secret).audience == "stock"

    @pytest.mark.parametrize("name", ["", "Orders", "a b", "-a", "é", "x" * 61])
    def test_an_invalid_client_id_is_refused(self, admin_client, name):
        admin_client.post("/admin/accounts/service/add/", {"client_id": name, "audience": "orders"})

        assert not Service.objects.exists()

    def test_a_user_without_permission_cannot_generate_a_secret(self, orders):
        browser = Client()
        browser.force_login(make_user("clerk", is_staff=True))

        assert browser.post(f"/admin/accounts/service/{orders.service.pk}/secret/").status_code == 403
        assert services.authenticate("orders", orders.secret)
