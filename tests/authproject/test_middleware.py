"""What each path is led through: pages through Django's middleware, the API past it."""

import pytest
from django.test import Client


def test_the_api_refuses_a_foreign_host(site):
    answer = site.get("/api/test/all", headers={"host": "evil.example.com"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_an_answer_without_an_origin_is_kept_from_pages_that_have_one(site):
    answer = site.get("/.well-known/jwks.json")
    assert "origin" in answer.headers["Vary"].lower()


@pytest.mark.django_db
def test_the_forms_of_the_admin_are_checked_for_csrf(administrator):
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/admin/login/", {"username": "root", "password": "whatever"})
    assert answer.status_code == 403


@pytest.mark.django_db
def test_a_path_of_the_admin_gets_its_slash():
    answer = Client().get("/admin")
    assert answer.status_code == 301
    assert answer.headers["Location"] == "/admin/"


def test_only_a_refused_method_is_told_which_ones_are_allowed(site):
    assert "Allow" not in site.get("/api/test/all").headers
    assert site.put("/api/test/all").headers["Allow"] == "GET, HEAD"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/test/all", "/.well-known/jwks.json", "/admin/login/"])
def test_every_answer_carries_the_security_headers(site, path):
    headers = site.get(path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/api/test/all", "/.well-known/jwks.json", "/verify-email", "/healthz"])
def test_who_came_by_https_is_told_to_stay_there(settings, path):
    settings.SECURE_HSTS_SECONDS = 1000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    browser = Client()
    assert "Strict-Transport-Security" not in browser.get(path).headers
    assert browser.get(path, secure=True)["Strict-Transport-Security"] == "max-age=1000; includeSubDomains"
    assert "Strict-Transport-Security" not in browser.get(path).headers


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/test/all", "/api/test/user", "/api/nothing", "/.well-known/jwks.json"])
def test_a_browser_that_is_led_to_an_answer_for_programs_runs_nothing_in_it(site, path):
    policy = site.get(path).headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/api/docs", "/verify-email", "/nothing"])
def test_a_page_runs_scripts_from_files_alone_and_in_no_frame(site, path):
    policy = site.get(path).headers["Content-Security-Policy"].split("; ")
    named = dict(directive.split(" ", 1) for directive in policy)
    assert named.get("script-src", named["default-src"]) == "'self'"
    assert named.get("object-src", named["default-src"]) == "'none'"
    assert (named["base-uri"], named["frame-ancestors"]) == ("'none'", "'none'")


def test_a_request_for_a_foreign_host_is_answered_under_a_policy_too(client):
    assert (
        "sandbox" in client.get("/api/test/all", headers={"host": "evil.example.com"})["Content-Security-Policy"]
    )


@pytest.mark.parametrize("path", ["/api/auth/signin", "/api/test/all", "/.well-known/jwks.json"])
def test_by_plain_http_programs_are_refused_and_not_led_to_https(settings, path):
    settings.SECURE_SSL_REDIRECT = True
    refused = Client().get(path)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert "https" in refused.json()["message"]
    assert Client().get(path, secure=True).status_code in {200, 405}


@pytest.mark.parametrize("path", ["/admin/", "/api/docs", "/verify-email"])
def test_by_plain_http_people_are_led_to_https(settings, path):
    settings.SECURE_SSL_REDIRECT = True
    led = Client().get(path)
    assert (led.status_code, led["Location"]) == (301, f"https://testserver{path}")


def test_no_method_gives_back_what_a_request_carries(site):
    for path in ("/api/test/all", "/admin/", "/verify-email"):
        answer = site.generic("TRACE", path, HTTP_AUTHORIZATION="Bearer secret")
        assert b"secret" not in answer.content


@pytest.mark.parametrize(
    "path", ["/.git/HEAD", "/manage.py", "/data/secret_key", "/static/", "/static/../manage.py"]
)
def test_nothing_of_the_project_s_own_files_is_served(client, path):
    assert client.get(path).status_code == 404
