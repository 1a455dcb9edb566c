"""The Django admin asks for the second factor, and may require one of all staff."""

import json
import re

import pytest
from django.contrib.auth import authenticate
from django.test import Client

from accounts.models import PendingSignIn
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_administrator, make_user
from tests.factors.conftest import add_app, add_passkey
from tests.webauthn import SoftwareAuthenticator

LOGIN = "/admin/login/"


@pytest.fixture
def staff(clock):
    user = make_administrator("root")
    client = SignedIn("root")
    client.user = user
    return client


def first_step(browser, **fields):
    return browser.post(
        f"{LOGIN}?next=/admin/accounts/user/", {"username": "root", "password": PASSWORD, **fields}
    )


def auth_session_in(response):
    return re.search(r'name="auth_session" value="([^"]+)"', response.text)[1]


def second_step(browser, response, **fields):
    body = {"auth_session": auth_session_in(response), "next": "/admin/accounts/user/", **fields}
    return browser.post(LOGIN, body)


def is_signed_in(browser):
    return browser.get("/admin/").status_code == 200


def test_a_password_alone_does_not_sign_in_to_the_admin(staff):
    add_app(staff)
    browser = Client()
    response = first_step(browser)
    assert (response.status_code, "second factor" in response.text) == (200, True)
    assert "sessionid" not in browser.cookies
    assert not is_signed_in(browser)


def test_a_code_completes_the_sign_in_and_leads_to_the_page_that_was_asked_for(staff):
    app, browser = add_app(staff), Client()
    response = second_step(browser, first_step(browser), code=app.code(steps=1))
    assert (response.status_code, response["Location"]) == (302, "/admin/accounts/user/")
    assert is_signed_in(browser)
    assert not PendingSignIn.objects.exists()


def test_a_recovery_code_completes_the_sign_in(staff):
    add_app(staff)
    browser = Client()
    assert second_step(browser, first_step(browser), code=staff.recovery_codes[0]).status_code == 302
    assert is_signed_in(browser)


def test_a_passkey_completes_the_sign_in(staff):
    authenticator, browser = SoftwareAuthenticator(), Client()
    add_passkey(staff, authenticator)
    response = first_step(browser)
    options = json.loads(re.search(r'id="passkey-options"[^>]*>(.*?)</script>', response.text)[1])
    response = second_step(browser, response, passkey=json.dumps(authenticator.get(options)))
    assert response.status_code == 302
    assert is_signed_in(browser)


@pytest.mark.parametrize(
    "fields", [{"code": "000000"}, {"code": ""}, {"passkey": "{"}, {"passkey": "[]"}, {"code": "x" * 30}]
)
def test_a_wrong_factor_does_not_sign_in_and_can_be_tried_again(staff, fields):
    app, browser = add_app(staff), Client()
    refused = second_step(browser, first_step(browser), **fields)
    assert (refused.status_code, "errornote" in refused.text) == (200, True)
    assert not is_signed_in(browser)
    assert second_step(browser, refused, code=app.code(steps=1)).status_code == 302


def test_an_invented_auth_session_does_not_sign_in(staff):
    browser = Client()
    response = browser.post(LOGIN, {"auth_session": "authsess_x", "code": "123456"})
    assert "Sign in again" in response.text
    assert not is_signed_in(browser)


def test_who_is_not_staff_is_not_admitted_after_the_second_factor_either(with_app):
    browser = Client()
    response = browser.post(LOGIN, {"username": with_app.user.username, "password": PASSWORD})
    assert second_step(browser, response, code=with_app.app.code()).status_code == 200
    assert not is_signed_in(browser)


def test_djangos_own_authentication_refuses_users_with_a_factor(with_app):
    assert authenticate(None, username=with_app.user.username, password=PASSWORD) is None


class TestRequiredOfStaff:
    @pytest.fixture(autouse=True)
    def _require(self, override_auth):
        override_auth(second_factor_roles=("staff",))

    def test_staff_without_a_factor_are_told_to_add_one(self, staff):
        browser = Client()
        assert "requires a second factor" in first_step(browser).text
        assert not is_signed_in(browser)

    def test_staff_with_a_factor_are_admitted(self, staff):
        app, browser = add_app(staff), Client()
        second_step(browser, first_step(browser), code=app.code(steps=1))
        assert is_signed_in(browser)

    def test_a_session_from_before_is_not_admitted_any_more(self, staff, override_auth):
        override_auth(second_factor_roles=())
        browser = Client()
        first_step(browser)
        assert is_signed_in(browser)
        override_auth(second_factor_roles=("staff",))
        assert not is_signed_in(browser)

    def test_the_factor_of_another_administrator_in_an_invalid_form_raises_no_level(self, staff, override_auth):
        override_auth(second_factor_roles=())
        browser, authenticator = Client(), SoftwareAuthenticator()
        first_step(browser)
        add_app(staff)
        make_administrator("other")
        other = SignedIn("other")
        add_passkey(other, authenticator)
        override_auth(second_factor_roles=("staff",))
        pending = other.sign_in("other").json()
        credential = json.dumps(authenticator.get(pending["passkey"]))
        body = {"auth_session": pending["authSession"], "passkey": credential, "code": "x" * 41}
        assert browser.post(LOGIN, body).status_code == 200
        assert not is_signed_in(browser)

    def test_a_removed_factor_ends_the_admission(self, staff):
        app, browser = add_app(staff), Client()
        second_step(browser, first_step(browser), code=app.code(steps=1))
        assert staff.delete(f"/api/auth/factors/{staff.factor_id}", staff.access_token).status_code == 204
        assert not is_signed_in(browser)


class TestUserPage:
    def test_a_users_page_lists_the_factors_and_no_secret(self, with_app, admin_client):
        add_passkey(with_app, SoftwareAuthenticator(), name="Laptop")
        page = admin_client.get(f"/admin/accounts/user/{with_app.user.pk}/change/").text
        assert "Authenticator app “Phone”" in page
        assert "Passkey “Laptop”" in page
        assert "10 recovery codes are left" in page

    def test_factors_are_removed_after_a_confirmation_that_says_what_happens(
        self, with_app, admin_client, assert_refused
    ):
        path = f"/admin/accounts/user/{with_app.user.pk}/factors/"
        question = admin_client.post(path).text
        assert f"Remove all second factors of {with_app.user.username}" in question
        assert with_app.content().status_code == 200

        assert admin_client.post(path, {"confirmed": "yes"}).status_code == 302
        assert_refused(with_app.content(), 401, "token_revoked")
        assert SignedIn(with_app.user.username).activity()[1]["event"] == "factor:reset"

    def test_only_administrators_who_may_change_the_user_remove_factors(self, with_app, clock):
        browser = Client()
        browser.force_login(make_user(is_staff=True))
        assert browser.post(f"/admin/accounts/user/{with_app.user.pk}/factors/").status_code == 403

    def test_sessions_show_their_level(self, with_app, admin_client):
        page = admin_client.get("/admin/accounts/refreshtoken/").text
        assert 'title="acr 2"' in page
        session = with_app.claims.session_id
        assert "second factor" in admin_client.get(f"/admin/accounts/refreshtoken/{session}/change/").text
