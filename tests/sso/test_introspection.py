"""Introspection of applications' tokens by services, and the check of the algorithm."""

import pytest
from django.core.checks import run_checks

from accounts.models import Service
from accounts.sessions import services
from tests.sso.flows import Party, SingleSignOn, make_application


@pytest.fixture
def orders(override_auth, clock):
    override_auth(audience=("authproject", "orders"))
    service = Service(client_id="orders", audience="orders")
    secret = services.new_secret(service)
    service.save()
    return lambda token: Party("orders", secret).send("/api/oauth/introspect", token=token).json()


def test_a_service_learns_the_application_and_the_scope_of_a_token(orders):
    make_application(audiences=["orders"])
    sign_on = SingleSignOn()
    answer = orders(sign_on.tokens["access_token"])

    assert (answer["active"], answer["client_id"], answer["scope"]) == (True, "shop", "openid profile email")
    assert (answer["username"], answer["aud"]) == ("alice", "orders")


def test_a_token_for_another_audience_or_of_another_type_is_inactive(orders):
    make_application(audiences=["authproject"])
    tokens = SingleSignOn().tokens

    for token in (tokens["access_token"], tokens["id_token"], tokens["refresh_token"]):
        assert orders(token) == {"active": False}


def test_applications_do_not_introspect(application, signed_on):
    response = Party().send("/api/oauth/introspect", token=signed_on.tokens["access_token"])

    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_a_check_says_that_single_sign_on_is_off_with_a_symmetric_key(application, override_auth, algorithm):
    override_auth(algorithm=algorithm)

    found = {message.id for message in run_checks(databases=["default"])}
    assert ("accounts.W003" in found) == (algorithm == "HS256")
    application.is_active = False
    application.save()
    assert "accounts.W003" not in {message.id for message in run_checks(databases=["default"])}
