"""Test the middleware and the security headers of API responses and of HTML pages."""

import pytest
from django.test import Client

from tests.factories import make_administrator


def test_the_api_refuses_an_unknown_host(admin_client):
    response = admin_client.get("/api/test/all", headers={"host": "evil.example.com"})
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_request"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
def test_a_probe_is_answered_whatever_its_host(admin_client, path):
    response = admin_client.get(path, headers={"host": "10.1.2.3:8000"})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_response_to_a_request_without_an_origin_varies_by_origin(admin_client):
    """Otherwise a cache could send this response, which has no CORS headers, to a page of another origin."""
    response = admin_client.get("/.well-known/jwks.json")
    assert "origin" in response.headers["Vary"].lower()


@pytest.mark.django_db
def test_an_admin_form_without_a_csrf_token_is_refused(administrator):
    browser = Client(enforce_csrf_checks=True)
    response = browser.post("/admin/login/", {"username": "root", "password": "whatever"})
    assert response.status_code == 403


@pytest.mark.django_db
def test_an_admin_path_without_its_slash_is_redirected():
    response = Client().get("/admin")
    assert response.status_code == 301
    assert response.headers["Location"] == "/admin/"


def test_only_the_refusal_of_a_method_has_an_allow_header(admin_client):
    assert "Allow" not in admin_client.get("/api/test/all").headers
    assert admin_client.put("/api/test/all").headers["Allow"] == "GET, HEAD"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/api/test/all", "/.well-known/jwks.json", "/admin/login/", "/sign-in", "/readyz"]
)
def test_every_response_has_the_security_headers(admin_client, path):
    headers = admin_client.get(path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path", ["/api/test/all", "/.well-known/jwks.json", "/verify-email", "/signout", "/healthz"]
)
def test_only_a_response_over_https_has_an_hsts_header(settings, path):
    settings.SECURE_HSTS_SECONDS = 1000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    browser = Client()
    assert "Strict-Transport-Security" not in browser.get(path).headers
    assert browser.get(path, secure=True)["Strict-Transport-Security"] == "max-age=1000; includeSubDomains"
    assert "Strict-Transport-Security" not in browser.get(path).headers


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/test/all", "/api/test/user", "/api/nothing", "/.well-known/jwks.json"])
def test_an_api_response_opened_in_a_browser_runs_nothing(admin_client, path):
    policy = admin_client.get(path).headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/api/docs", "/verify-email", "/nothing"])
def test_a_page_runs_scripts_from_files_only_and_in_no_frame(admin_client, path):
    policy = admin_client.get(path).headers["Content-Security-Policy"].split("; ")
    directives = dict(directive.split(" ", 1) for directive in policy)
    assert directives.get("script-src", directives["default-src"]) == "'self'"
    assert directives.get("object-src", directives["default-src"]) == "'none'"
    assert (directives["base-uri"], directives["frame-ancestors"]) == ("'none'", "'none'")


@pytest.mark.django_db
def test_a_generated_script_is_the_same_whoever_requests_it(admin_client):
    """A page of another site can load and run a script with the user's cookies, and so read data in it."""
    another_client = Client()
    another_client.force_login(make_administrator("another"))

    responses = [browser.get("/admin/jsi18n/") for browser in (admin_client, another_client)]

    assert "javascript" in responses[0].headers["Content-Type"]
    assert responses[0].content == responses[1].content
    assert not any(response.cookies for response in responses)


def test_the_refusal_of_an_unknown_host_has_a_content_security_policy(client):
    assert (
        "sandbox" in client.get("/api/test/all", headers={"host": "evil.example.com"})["Content-Security-Policy"]
    )


@pytest.mark.parametrize("path", ["/api/auth/signin", "/api/test/all", "/.well-known/jwks.json"])
def test_the_api_refuses_plain_http_instead_of_redirecting(settings, path):
    settings.SECURE_SSL_REDIRECT = True
    response = Client().get(path)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert "https" in response.json()["message"]
    assert Client().get(path, secure=True).status_code in {200, 405}


@pytest.mark.parametrize("path", ["/admin/", "/api/docs", "/verify-email"])
def test_a_page_redirects_plain_http_to_https(settings, path):
    settings.SECURE_SSL_REDIRECT = True
    response = Client().get(path)
    assert (response.status_code, response["Location"]) == (301, f"https://testserver{path}")


def test_a_trace_request_is_not_echoed(admin_client):
    for path in ("/api/test/all", "/admin/", "/verify-email"):
        response = admin_client.generic("TRACE", path, HTTP_AUTHORIZATION="Bearer secret")
        assert b"secret" not in response.content


@pytest.mark.parametrize(
    "path", ["/.git/HEAD", "/manage.py", "/data/secret_key", "/static/", "/static/../manage.py"]
)
def test_no_project_file_is_served(client, path):
    assert client.get(path).status_code == 404
