"""AUTH_SECOND_FACTOR_ROLES: roles that only a token of level 2 contains."""

from types import SimpleNamespace

import pytest
from django.utils import timezone

from accounts.models import Role, Service, User
from accounts.sessions import services
from accounts.tokens import access_tokens
from api.permissions import Moderator
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import add_app, second_step


@pytest.fixture
def moderator(clock, override_auth):
    override_auth(second_factor_roles=("moderator",))
    user = make_user(roles=("user", "moderator"))
    client = SignedIn(user.username)
    client.user = user
    return client


def test_a_token_without_a_second_factor_does_not_contain_the_role(moderator, assert_refused):
    assert moderator.claims.roles == ("user",)
    response = moderator.content("mod")
    assert_refused(response, 403, "second_factor_required")
    assert 'acr_values="2"' in response["WWW-Authenticate"]
    assert moderator.content("user").status_code == 200


def test_a_user_who_lacks_the_role_is_told_so(clock, override_auth, assert_refused):
    override_auth(second_factor_roles=("moderator",))
    assert_refused(SignedIn(make_user().username).content("mod"), 403, "role_required")


def test_other_roles_need_no_factor(clock, override_auth):
    override_auth(second_factor_roles=("moderator",))
    assert SignedIn(make_user(roles=("admin",)).username).content("admin").status_code == 200


def test_enrolling_and_one_refresh_lead_into_the_role(moderator):
    add_app(moderator)
    moderator.access_token = moderator.refresh(moderator.refresh_token).json()["accessToken"]
    assert moderator.claims.roles == ("moderator", "user")
    assert moderator.content("mod").status_code == 200


def test_enrolling_ends_the_other_sessions_without_a_factor_where_a_role_needs_one(moderator, assert_refused):
    other = SignedIn(moderator.user.username)
    add_app(moderator)
    assert_refused(other.content("user"), 401, "token_revoked")
    assert moderator.content("user").status_code == 200


def test_enrolling_ends_no_session_where_no_role_needs_a_factor(signed_in):
    name = signed_in.get("/api/auth/me", signed_in.access_token).json()["username"]
    other = SignedIn(name)
    add_app(signed_in)
    assert other.content("user").status_code == 200


def test_removing_the_factor_leads_out_of_the_role(moderator, assert_refused):
    add_app(moderator)
    pair = moderator.refresh(moderator.refresh_token).json()
    factors = moderator.get("/api/auth/factors", pair["accessToken"]).json()["factors"]
    assert moderator.delete(f"/api/auth/factors/{factors[0]['id']}", pair["accessToken"]).status_code == 204
    assert_refused(Api().get("/api/test/mod", pair["accessToken"]), 401, "token_stale")
    token = moderator.refresh(pair["refreshToken"]).json()["accessToken"]
    assert_refused(Api().get("/api/test/mod", token), 403, "second_factor_required")


@pytest.mark.parametrize("lag", [0, 60])
def test_the_setting_takes_effect_at_the_next_refresh(clock, override_auth, lag, assert_refused):
    override_auth(revocation_lag=lag)
    client = SignedIn(make_user(roles=("moderator",)).username)
    assert client.content("mod").status_code == 200
    override_auth(second_factor_roles=("moderator",))
    token = client.refresh(client.refresh_token).json()["accessToken"]
    assert_refused(Api().get("/api/test/mod", token), 403, "second_factor_required")


def test_roles_that_do_not_fit_into_a_token_are_read_under_the_same_rule(clock, override_auth, assert_refused):
    override_auth(second_factor_roles=("moderator",))
    Role.objects.bulk_create([Role(name=f"role-{number}-{'x' * 30}") for number in range(400)])
    user = make_user(roles=("user", "moderator"))
    user.roles.add(*Role.objects.filter(name__startswith="role-"))
    client = SignedIn(user.username)
    assert client.claims.roles_omitted
    assert_refused(client.content("mod"), 403, "second_factor_required")
    app = add_app(client)
    signed_in = second_step(Api(), user.username, code=app.code(steps=1)).json()
    assert access_tokens.verify(signed_in["accessToken"], at=timezone.now()).roles_omitted
    assert Api().get("/api/test/mod", signed_in["accessToken"]).status_code == 200


def test_introspection_returns_how_the_user_authenticated(with_app):
    service = Service(client_id="orders", audience="authproject", is_active=True)
    services.new_secret(service)
    token = second_step(Api(), with_app.user.username, code=with_app.app.code()).json()["accessToken"]
    response = services.introspect(service, token)
    assert (response["acr"], response["amr"]) == ("2", ["pwd", "otp", "mfa"])
    assert User.objects.count() == 1


def test_a_user_of_another_authentication_has_no_role_that_needs_a_factor(override_auth):
    request = SimpleNamespace(user=make_user(roles=("user", "moderator")), auth=None)
    permission = Moderator()
    assert permission.has_permission(request, None)
    override_auth(second_factor_roles=("moderator",))
    assert not permission.has_permission(request, None)
    assert permission.code == "second_factor_required"
