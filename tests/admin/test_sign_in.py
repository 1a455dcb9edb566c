"""Signing in to the Django admin: the session cookie, its lifetime, and what the database stores of it."""

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session as DjangoSession
from django.test import Client, override_settings

from tests.factories import PASSWORD


def test_a_stored_session_key_does_not_work_as_a_cookie(admin_client):
    key = admin_client.cookies["sessionid"].value
    row = DjangoSession.objects.get()
    assert key not in row.session_key
    assert admin_client.get("/admin/").status_code == 200

    thief = Client()
    for cookie in (row.session_key, row.session_key[:32]):
        thief.cookies["sessionid"] = cookie
        assert thief.get("/admin/").status_code == 302


def test_signing_out_of_the_admin_deletes_the_session(admin_client):
    key = admin_client.cookies["sessionid"].value

    admin_client.post("/admin/logout/")

    assert not DjangoSession.objects.exists()
    admin_client.cookies["sessionid"] = key
    assert admin_client.get("/admin/").status_code == 302


def test_each_admin_sign_in_creates_a_new_session_key(administrator):
    browser = Client()
    credentials = {"username": administrator.username, "password": PASSWORD}
    browser.post("/admin/login/", credentials)
    first = browser.cookies["sessionid"].value
    browser.post("/admin/logout/")
    browser.post("/admin/login/", credentials)

    assert browser.cookies["sessionid"].value != first
    assert DjangoSession.objects.count() == 1


def test_an_admin_session_expires_after_12_hours(administrator, clock):
    browser = Client()
    browser.post("/admin/login/", {"username": administrator.username, "password": PASSWORD})
    assert browser.cookies["sessionid"]["httponly"]
    assert browser.cookies["sessionid"]["samesite"] == "Lax"

    clock.advance(hours=11)
    assert browser.get("/admin/").status_code == 200
    clock.advance(hours=1)
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize(("fallbacks", "status"), [([settings.SECRET_KEY], 200), ([], 302)])
def test_a_replaced_secret_key_ends_admin_sign_ins_unless_the_old_one_is_a_fallback(
    admin_client, fallbacks, status
):
    with override_settings(SECRET_KEY="another-secret-key-" * 3, SECRET_KEY_FALLBACKS=fallbacks):
        assert admin_client.get("/admin/").status_code == status
