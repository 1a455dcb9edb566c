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
