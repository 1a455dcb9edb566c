"""An access token that is too long for a cookie, or for any request, leaves out claims instead of being dropped."""

import logging

import pytest

from accounts.models import Role, Service, User
from accounts.sessions import services
from accounts.tokens.claims import MAX_TOKEN_LENGTH
from tests.api.test_cookies import Browser
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user
from tests.tokens.forgeries import Forger

BROWSER_LIMIT = 4096


@pytest.fixture
def grant_many(clock):
    """Return a function that creates a user with `count` roles besides the usual ones."""

    def create(count, **fields):
        names = [f"department-{number:03}-of-the-company" for number in range(count)]
        Role.objects.bulk_create(Role(name=name) for name in names)
        return make_user("alice", roles=("user", "moderator", *names), **fields)

    return create


def claims_in(token):
    return Forger.read(token.split(".")[1])


def sign_in():
    browser = Browser()
    assert browser.sign_in_with_cookies().status_code == 200
    return browser


@pytest.mark.parametrize("domain", ["", "auth.a-company-with-a-rather-long-name.example"])
def test_a_cookie_is_never_larger_than_browsers_store(grant_many, override_auth, domain):
    override_auth(cookie_domain=domain)
    user = grant_many(80)

    for count in range(80, 40, -1):
        Role.objects.filter(name=f"department-{count:03}-of-the-company").delete()
        cookies = sign_in().http.cookies
        cookie = cookies["__Secure-access" if domain else "__Host-access"]
        assert len(cookie.OutputString()) <= BROWSER_LIMIT
        if "roles_omitted" not in claims_in(cookie.value):
            break
    else:
        pytest.fail("The roles were omitted however few they were.")
    assert len(claims_in(cookie.value)["roles"]) == user.roles.count()
    assert len(cookie.OutputString()) > BROWSER_LIMIT - 50  # no more than one role is left out of what fits


def test_roles_that_do_not_fit_in_a_cookie_are_enforced_all_the_same(grant_many, caplog):
    user = grant_many(150)
    caplog.set_level(logging.WARNING)

    browser = sign_in()

    claims = claims_in(browser.cookie("__Host-access").value)
    assert (claims["roles"], claims["roles_omitted"]) == ([], True)
    assert f"The access token of user {user.pk} has more than" in caplog.text
    assert "department" not in caplog.text
    assert browser.get("/api/test/mod").content == b"Moderator Content."
    assert browser.get("/api/test/admin").status_code == 403


def test_a_refresh_and_a_step_up_set_a_cookie_that_fits(grant_many):
    grant_many(150)
    browser = sign_in()

    for path, body in (("refreshtoken", {}), ("reauthenticate", {"password": PASSWORD})):
        assert browser.send("POST", f"/api/auth/{path}", body).status_code == 200
        assert len(browser.cookie("__Host-access").OutputString()) <= BROWSER_LIMIT
        assert browser.get("/api/test/mod").status_code == 200


def test_a_role_that_is_revoked_is_not_read_from_the_database_either(grant_many, assert_refused):
    user = grant_many(150)
    browser = sign_in()
    # Without a signal, so that the token is not stale.
    User.roles.through.objects.filter(user=user, role="moderator").delete()

    assert_refused(browser.get("/api/test/mod"), 403, "role_required")


def test_a_token_in_the_body_lists_all_roles(grant_many):
    grant_many(150)

    claims = claims_in(SignedIn("alice").access_token)

    assert len(claims["roles"]) == 152
    assert "roles_omitted" not in claims


def test_profile_claims_are_left_out_before_roles(grant_many, override_auth):
    override_auth(profile_claims=("username", "fullname"))
    grant_many(60, fullname="𝒶" * 150)

    browser = sign_in()

    claims = claims_in(browser.cookie("__Host-access").value)
    assert len(claims["roles"]) == 62
    assert not {"username", "fullname", "roles_omitted"} & set(claims)


@pytest.mark.parametrize("count", [150, 500])
def test_long_roles_and_profile_claims_are_both_left_out(grant_many, override_auth, count):
    override_auth(profile_claims=("username", "fullname"))
    grant_many(count, fullname="𝒶" * 150)
    User.objects.update(username="𝒷" * 150)

    browser = Browser()
    assert browser.sign_in_with_cookies("alice@example.com").status_code == 200

    claims = claims_in(browser.cookie("__Host-access").value)
    assert claims["roles_omitted"]
    assert len(browser.cookie("__Host-access").OutputString()) <= BROWSER_LIMIT
    assert browser.get("/api/test/mod").status_code == 200


def test_no_issued_token_is_too_long_to_be_verified(grant_many):
    grant_many(500)

    signed_in = SignedIn("alice")

    assert len(signed_in.access_token) <= MAX_TOKEN_LENGTH
    assert signed_in.content("mod").status_code == 200


def test_introspection_returns_the_roles_that_a_token_leaves_out(grant_many, override_auth):
    override_auth(audience=("authproject", "orders"))
    grant_many(150)
    service = Service(client_id="orders", audience="orders")
    services.new_secret(service)
    token = sign_in().cookie("__Host-access").value

    assert len(services.introspect(service, token)["roles"]) == 152
