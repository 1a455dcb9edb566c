"""The OpenAPI document and its page, health, and the start page."""

import re

import pytest


def test_the_document_lists_every_endpoint_once(api):
    document = api.get("/api/schema").json()

    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/api/auth/signup", "/api/auth/signin", "/api/auth/refreshtoken", "/api/auth/signout",
        "/api/auth/signout-all", "/api/test/all", "/api/test/user", "/api/test/mod", "/api/test/admin",
        "/.well-known/jwks.json",
        "/api/auth/sessions", "/api/auth/sessions/{session_id}", "/api/auth/activity", "/api/auth/me",
        "/api/auth/reauthenticate", "/api/auth/password/change", "/api/auth/password/reset",
        "/.well-known/oauth-authorization-server", "/api/oauth/introspect", "/api/oauth/revoke",
        "/api/auth/password/reset/confirm", "/api/auth/email/verify", "/api/auth/email/verify/resend",
    }  # fmt: skip


def test_the_page_loads_nothing_from_elsewhere(api):
    page = api.get("/api/docs")

    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert loaded
    assert all(address.startswith("/") for address in loaded)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
def test_health_is_told(api, path):
    assert api.get(path).json() == {"status": "ok"}


def test_readiness_asks_the_cache_too(api, settings, assert_refused):
    settings.GUESS_COUNTERS_URL = "redis://127.0.0.1:1/0"

    assert_refused(api.get("/readyz"), 503, "unavailable")


def test_a_guess_that_cannot_be_counted_is_not_allowed(api, settings, assert_refused):
    settings.GUESS_COUNTERS_URL = "redis://127.0.0.1:1/0"

    assert_refused(api.sign_in("alice"), 503, "unavailable")


def test_the_start_page_leads_to_the_documentation(api):
    assert api.get("/")["Location"] == "/api/docs"


def test_the_start_page_can_be_switched_off(api, auth):
    auth(start_page=False)

    assert api.get("/").status_code == 404
