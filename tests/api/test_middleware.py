"""`request.user` in plain Django views, with `AccessTokenMiddleware`."""

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory

from accounts.models import EndReason
from accounts.sessions import lifecycle
from accounts.values.clients import NO_CLIENT
from api.middleware import AccessTokenMiddleware
from tests.conftest import SignedIn
from tests.factories import make_administrator, make_user


def user_of(request, *, session_user=None):
    """Return the user that a view sees, and the response."""
    if session_user is not None:
        request.user = session_user
    seen = []

    def view(request):
        seen.append(request.user if request.user.is_authenticated else None)
        return HttpResponse()

    response = AccessTokenMiddleware(view)(request)
    return seen[0], response


def bearer(token, method="get"):
    return getattr(RequestFactory(), method)("/", headers={"authorization": f"Bearer {token}"})


def with_cookie(token, method="get", **headers):
    cookies = f"__Host-access={token}; csrftoken=secret"
    return getattr(RequestFactory(), method)("/", headers={"cookie": cookies, **headers})


@pytest.fixture
def alice():
    return make_user("alice")


@pytest.fixture
def token(alice):
    return SignedIn("alice").access_token


@pytest.mark.parametrize("request_with", [bearer, with_cookie])
def test_the_user_of_the_token_is_the_user_of_the_request(request_with, alice, token):
    user, response = user_of(request_with(token))

    assert user == alice
    assert response["Vary"] == "Authorization, x-access-token, Cookie"


@pytest.mark.parametrize("invalid", ["x", "", "a.b.c", "x,y"])
def test_an_invalid_token_counts_as_none(invalid):
    assert user_of(bearer(invalid))[0] is None


def test_a_revoked_token_counts_as_none(alice, token):
    lifecycle.end_all(alice.pk, EndReason.REVOKED, NO_CLIENT)

    assert user_of(bearer(token))[0] is None


def test_the_token_of_a_deleted_user_counts_as_none(alice, token):
    alice.delete()

    assert user_of(bearer(token))[0] is None


def test_a_cookie_in_a_request_that_changes_something_requires_the_csrf_token(alice, token):
    assert user_of(with_cookie(token, "post"))[0] is None
    assert user_of(with_cookie(token, "post", **{"x-csrftoken": "guess"}))[0] is None
    assert user_of(with_cookie(token, "post", **{"x-csrftoken": "secret"}))[0] == alice
    assert user_of(bearer(token, "post"))[0] == alice


def test_a_user_who_is_signed_in_by_a_session_stays_that_user(token):
    bob = make_user("bob")

    assert user_of(bearer(token), session_user=bob)[0] == bob
    assert user_of(bearer("x"), session_user=bob)[0] == bob


def test_an_anonymous_session_does_not_hide_the_token(alice, token):
    assert user_of(bearer(token), session_user=AnonymousUser())[0] == alice


def test_a_view_that_does_not_need_the_user_costs_no_query(token, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = AccessTokenMiddleware(lambda request: HttpResponse())(bearer(token))

    assert "Vary" not in response


def test_the_body_of_a_form_is_left_to_the_view(override_auth, token):
    override_auth(form_token=True)
    request = RequestFactory().post("/", f"access_token={token}", content_type="application/x-www-form-urlencoded")

    assert user_of(request)[0] is None
    assert request.POST["access_token"] == token


def test_an_asynchronous_view_awaits_the_user(alice, token):
    async def view(request):
        user = await request.auser()
        return HttpResponse(user.username)

    middleware = AccessTokenMiddleware(view)
    request = AsyncRequestFactory().get("/", headers={"authorization": f"Bearer {token}"})

    assert iscoroutinefunction(middleware)
    assert async_to_sync(middleware)(request).content == b"alice"


def test_an_access_token_does_not_open_the_admin(settings):
    settings.PAGE_MIDDLEWARE = [*settings.PAGE_MIDDLEWARE, "api.middleware.AccessTokenMiddleware"]
    root = make_administrator()
    token = SignedIn(root.username).access_token

    assert Client(headers={"authorization": f"Bearer {token}"}).get("/admin/").status_code == 302
