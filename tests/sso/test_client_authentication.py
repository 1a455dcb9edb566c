"""How applications authenticate at the token endpoint."""

from base64 import b64encode
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from accounts.conf import Limit
from accounts.sso import applications
from tests.documented import DocumentedClient
from tests.factories import make_user
from tests.sso.flows import (
    CALLBACK,
    TOKEN,
    VERIFIER,
    Party,
    authorize,
    make_application,
    make_confidential,
    refused,
    sign_in_browser,
)


@pytest.fixture
def shop(clock):
    """Return a confidential application, its secret, and a function that returns a new code."""
    application, secret = make_confidential()
    browser, _ = sign_in_browser(make_user())
    return SimpleNamespace(
        application=application, secret=secret, new_code=lambda client_id="shop": authorize(browser, client_id)
    )


def test_a_confidential_application_authenticates_with_its_secret(shop):
    assert Party(secret=shop.secret).exchange(shop.new_code()).status_code == 200
    in_body = Party().exchange(shop.new_code(), client_secret=shop.secret)
    assert in_body.status_code == 200
    both = Party(secret=shop.secret).exchange(shop.new_code(), client_id="shop")
    assert both.status_code == 200


@pytest.mark.parametrize("secret", [None, "", "wrong", "authapp_" + "x" * 43])
def test_a_missing_or_wrong_secret_is_refused(shop, secret):
    response = Party().exchange(shop.new_code(), client_secret=secret)

    assert refused(response, "invalid_client", 401)
    assert response["WWW-Authenticate"].startswith("Basic ")


def test_two_ways_at_once_and_two_ids_are_refused(shop):
    party = Party(secret=shop.secret)

    assert refused(party.exchange(shop.new_code(), client_secret=shop.secret), "invalid_client", 401)
    assert refused(party.exchange(shop.new_code(), client_id="other"), "invalid_client", 401)


def test_a_secret_is_rotated_without_downtime(shop):
    new = applications.new_secret(shop.application)
    shop.application.save()
    for secret in (shop.secret, new):
        assert Party(secret=secret).exchange(shop.new_code()).status_code == 200

    applications.forget_previous_secret(shop.application)
    shop.application.save()
    assert refused(Party(secret=shop.secret).exchange(shop.new_code()), "invalid_client", 401)
    assert Party(secret=new).exchange(shop.new_code()).status_code == 200


def test_the_secret_before_the_previous_one_is_refused(shop):
    for _ in range(2):
        applications.new_secret(shop.application)
    shop.application.save()

    assert refused(Party(secret=shop.secret).exchange(shop.new_code()), "invalid_client", 401)


def test_a_public_application_must_not_present_a_secret(shop):
    make_application("public")
    code = shop.new_code("public")

    assert refused(Party("public").exchange(code, client_secret=shop.secret), "invalid_client", 401)
    assert Party("public").exchange(code, client_secret="").status_code == 200


def test_a_deactivated_application_is_refused(shop):
    code = shop.new_code()
    shop.application.is_active = False
    shop.application.save()

    assert refused(Party(secret=shop.secret).exchange(code), "invalid_client", 401)


def test_wrong_secrets_are_counted_per_address_and_the_right_one_still_works(shop, override_auth):
    override_auth(address_limit=Limit(3, 900))
    for _ in range(3):
        assert Party(secret="wrong").exchange("x").status_code == 401

    assert refused(Party(secret="wrong").exchange("x"), "throttled", 429)
    assert Party(secret=shop.secret).exchange(shop.new_code()).status_code == 200


def test_secrets_are_stored_as_digests_only(shop):
    assert shop.secret not in repr(vars(shop.application))


@pytest.mark.parametrize("client_id", ["shop.1-a", "shop%2E1%2Da"])
def test_credentials_in_a_header_may_be_form_encoded(client_id, clock):
    _, secret = make_confidential("shop.1-a")
    browser, _ = sign_in_browser(make_user())
    header = b64encode(f"{client_id}:{secret.replace('_', '%5F')}".encode()).decode()
    body = {"grant_type": "authorization_code", "code": authorize(browser, "shop.1-a")}
    form = urlencode({**body, "redirect_uri": CALLBACK, "code_verifier": VERIFIER})

    response = DocumentedClient().post(
        TOKEN, form, "application/x-www-form-urlencoded", headers={"Authorization": f"Basic {header}"}
    )

    assert response.status_code == 200


@pytest.mark.parametrize("header", ["Basic", "Basic ~~~", "Bearer abc", "Basic /w==", "Basic eA=="])
def test_other_credentials_in_a_header_are_refused(header, shop):
    form = "grant_type=refresh_token&refresh_token=x"
    response = DocumentedClient().post(
        TOKEN, form, "application/x-www-form-urlencoded", headers={"Authorization": header}
    )

    assert refused(response, "invalid_client", 401)
