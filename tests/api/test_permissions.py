"""The permission classes in a project's own views: any renderer, exception handler and way to authenticate."""

import base64
from typing import ClassVar

import pytest
from django.core.exceptions import PermissionDenied
from django.test import override_settings
from django.urls import path
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView, exception_handler

from accounts.users import roles
from accounts.values.clients import NO_CLIENT
from api.authentication import AccessTokenAuthentication
from api.errors import render_error
from api.permissions import Admin, HasRole, Moderator, RecentlyAuthenticated, SignedIn
from tests.conftest import SignedIn as SignedInClient
from tests.factories import PASSWORD, make_user

CACHING = ["django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"]
IN_MEMORY = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


class Editor(HasRole):
    role = "editor"


class Basket(APIView):
    authentication_classes = (AccessTokenAuthentication, BasicAuthentication, SessionAuthentication)
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer)
    permission_classes = (SignedIn,)

    def get(self, request):
        return Response({"of": request.user.username})

    def post(self, request):
        return Response(status=201)

    def get_exception_handler(self):
        return render_error


class Drafts(Basket):
    permission_classes = (Moderator,)


class Shared(Basket):
    permission_classes = (Editor | Moderator,)


class Secret(Basket):
    permission_classes = (RecentlyAuthenticated,)


class NotForModerators(Basket):
    permission_classes = (SignedIn & ~Moderator,)

    def get(self, request):
        self.check_object_permissions(request, object())
        return super().get(request)


class NotYours(Basket):
    def get(self, request):
        raise PermissionDenied("Not yours.")


class Cached(Basket):
    """A view whose responses caches may store, such as those of Django's `UpdateCacheMiddleware`."""

    default_response_headers: ClassVar = {"Cache-Control": "max-age=60", "Vary": "Accept"}


class Plain(Drafts):
    """A view whose project has REST framework's own exception handler."""

    def get_exception_handler(self):
        return exception_handler


urlpatterns = [
    path("basket", Basket.as_view()),
    path("drafts", Drafts.as_view()),
    path("shared", Shared.as_view()),
    path("secret", Secret.as_view()),
    path("not-for-moderators", NotForModerators.as_view()),
    path("not-yours", NotYours.as_view()),
    path("cached", Cached.as_view()),
    path("plain", Plain.as_view()),
]


@pytest.fixture(autouse=True)
def own_urls(db):
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def alice(api):
    return make_user("alice")


@pytest.fixture
def bearer(alice):
    with override_settings(ROOT_URLCONF="authproject.urls"):
        token = SignedInClient("alice").access_token
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def basic():
    client = APIClient()
    credentials = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {credentials}")
    return client


def session(user):
    client = APIClient()
    client.force_login(user)
    return client


def forced(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_a_user_passes_however_they_were_authenticated(alice, bearer):
    for client in (bearer, basic(), session(alice), forced(alice)):
        assert client.get("/basket").json() == {"of": "alice"}


def test_a_role_is_required_however_the_user_was_authenticated(alice, bearer):
    for client in (bearer, basic(), session(alice), forced(alice)):
        response = client.get("/drafts")
        assert (response.status_code, response.json()["code"]) == (403, "role_required")
        assert response.json()["message"] == "Require Moderator Role!"

    roles.grant(alice, ["moderator"], NO_CLIENT)

    for client in (basic(), session(alice), forced(alice)):
        assert client.get("/drafts").status_code == 200


def test_permissions_can_be_combined(alice, bearer):
    assert bearer.get("/shared").status_code == 403
    roles.grant(alice, ["moderator"], NO_CLIENT)

    assert forced(alice).get("/shared").status_code == 200


def test_a_role_can_be_excluded_for_objects_too(alice, bearer):
    assert bearer.get("/not-for-moderators").status_code == 200
    assert forced(alice).get("/not-for-moderators").status_code == 200
    roles.grant(alice, ["moderator"], NO_CLIENT)

    assert forced(alice).get("/not-for-moderators").status_code == 403


def test_a_request_without_a_token_gets_the_code_token_missing(api):
    response = APIClient().get("/basket")

    assert (response.status_code, response.json()["code"]) == (401, "token_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_cache_knows_the_headers_on_which_a_response_depends(alice, bearer):
    bad = APIClient()
    bad.credentials(HTTP_X_ACCESS_TOKEN="nonsense")

    for client in (bearer, basic(), bad, APIClient()):
        assert client.get("/cached")["Vary"].startswith("Accept, Authorization, x-access-token, Cookie")
        assert "Authorization, x-access-token, Cookie" in client.get("/basket")["Vary"]


def test_a_cache_does_not_return_the_response_of_another_user(alice, bearer):
    with override_settings(ROOT_URLCONF="authproject.urls"):
        make_user("bob")
        tokens = {name: SignedInClient(name).access_token for name in ("alice", "bob")}

    with override_settings(MIDDLEWARE=CACHING, CACHES=IN_MEMORY):
        for name, token in tokens.items():
            assert APIClient(headers={"x-access-token": token}).get("/cached").json() == {"of": name}
            assert APIClient(headers={"cookie": f"__Host-access={token}"}).get("/cached").json() == {"of": name}
        assert APIClient().get("/cached").status_code == 401


def test_only_a_token_proves_a_recent_authentication(alice, bearer, clock):
    assert bearer.get("/secret").status_code == 200
    for client in (basic(), session(alice), forced(alice)):
        response = client.get("/secret")
        assert (response.status_code, response.json()["code"]) == (403, "recent_authentication_required")
        assert response.json()["maxAge"] == 300
    clock.advance(seconds=301)

    response = bearer.get("/secret")

    assert (response.status_code, response.json()["maxAge"]) == (403, 300)
    assert 'max_age="300"' in response["WWW-Authenticate"]


def test_the_browsable_api_shows_a_view_that_refuses_some_methods(alice, bearer):
    roles.grant(alice, ["moderator"], NO_CLIENT)

    for client in (forced(alice), bearer, APIClient()):
        response = client.get("/drafts", HTTP_ACCEPT="text/html")
        assert response["Content-Type"].startswith("text/html")
        assert response.status_code in {200, 401, 403}


def test_errors_are_handled_by_any_exception_handler(alice, bearer):
    bad = APIClient()
    bad.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    twice = APIClient()
    twice.credentials(HTTP_AUTHORIZATION="Bearer a", HTTP_X_ACCESS_TOKEN="b")

    assert APIClient().get("/plain").status_code == 401
    assert bad.get("/plain").status_code == 401
    assert 'error="invalid_token"' in bad.get("/plain")["WWW-Authenticate"]
    assert twice.get("/plain").status_code == 400
    assert bearer.get("/plain").status_code == 403
    assert bearer.get("/plain").json() == {"detail": "Require Moderator Role!"}


@pytest.mark.parametrize(("permission", "name"), [(Admin, "Admin"), (Moderator, "Moderator"), (Editor, "Editor")])
def test_a_role_permission_names_its_role_in_the_message(permission, name):
    assert permission().message == f"Require {name} Role!"


def test_a_permission_that_a_view_denies_as_in_django_has_a_message_and_a_code(bearer):
    response = bearer.get("/not-yours")

    assert (response.status_code, response.json()) == (403, {"message": "Not yours.", "code": "permission_denied"})
