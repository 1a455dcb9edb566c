"""The endpoints of a peer: /protected for users in a group, /signin, /refresh, and the floors to compare with."""

from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.urls import include, path
from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

CONTENT = "Admin Content."


class InGroup(BasePermission):
    """Requires a group, looked up in the database."""

    def has_permission(self, request, view):
        return bool(request.user) and request.user.groups.filter(name="admin").exists()


class TokenSaysRole(BasePermission):
    """Requires a role, read from the token."""

    def has_permission(self, request, view):
        return bool(request.auth) and "admin" in request.auth["roles"]


def floor_django(request):
    return HttpResponse(CONTENT, content_type="text/plain")


class FloorDrf(APIView):
    def get(self, request):
        return HttpResponse(CONTENT, content_type="text/plain")


class FloorSelect(FloorDrf):
    """The minimum of a protected request that sees a revocation: read a row, respond."""

    def get(self, request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT is_active FROM auth_user WHERE username = %s", ["alice0"])
            assert cursor.fetchone()
        return super().get(request)


class FloorUpdate(FloorDrf):
    """The minimum of a refresh: read a body, update a row, respond."""

    def post(self, request):
        token = request.data["refresh"]
        with connection.cursor() as cursor:
            cursor.execute("UPDATE auth_user SET last_login = %s WHERE username = %s", [timezone.now(), token])
        return Response({"refresh": token})


def protected_by(authentication, permission):
    class Protected(FloorDrf):
        authentication_classes = [authentication]
        permission_classes = [permission]

    return Protected.as_view()


urlpatterns = [
    path("floor/django", floor_django),
    path("floor/drf", FloorDrf.as_view()),
    path("floor/select", FloorSelect.as_view()),
    path("floor/update", FloorUpdate.as_view()),
]

if settings.PEER == "simplejwt":
    from rest_framework_simplejwt.authentication import JWTAuthentication, JWTStatelessUserAuthentication
    from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
    from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

    class WithRoles(TokenObtainPairSerializer):
        @classmethod
        def get_token(cls, user):
            token = super().get_token(user)
            token["roles"] = list(user.groups.values_list("name", flat=True))
            return token

    class SignIn(TokenObtainPairView):
        serializer_class = WithRoles

    urlpatterns += [
        path("signin", SignIn.as_view()),
        path("refresh", TokenRefreshView.as_view()),
        path("protected", protected_by(JWTAuthentication, TokenSaysRole)),
        path("protected/stateless", protected_by(JWTStatelessUserAuthentication, TokenSaysRole)),
    ]

if settings.PEER == "knox":
    from knox.auth import TokenAuthentication
    from knox.models import AuthToken
    from rest_framework.authtoken.serializers import AuthTokenSerializer

    class KnoxSignIn(APIView):
        def post(self, request):
            serializer = AuthTokenSerializer(data=request.data, context={"request": request})
            serializer.is_valid(raise_exception=True)
            return Response({"access": AuthToken.objects.create(serializer.validated_data["user"])[1]})

    urlpatterns += [
        path("signin", KnoxSignIn.as_view()),
        path("protected", protected_by(TokenAuthentication, InGroup)),
    ]

if settings.PEER == "token":
    from rest_framework.authentication import TokenAuthentication as PlainTokenAuthentication
    from rest_framework.authtoken.views import ObtainAuthToken

    urlpatterns += [
        path("signin", ObtainAuthToken.as_view()),
        path("protected", protected_by(PlainTokenAuthentication, InGroup)),
    ]

if settings.PEER == "allauth":
    from allauth.headless.contrib.rest_framework.authentication import (
        JWTTokenAuthentication,
        XSessionTokenAuthentication,
    )

    urlpatterns += [
        path("_allauth/", include("allauth.headless.urls")),
        path("protected", protected_by(JWTTokenAuthentication, TokenSaysRole)),
        path("protected/session", protected_by(XSessionTokenAuthentication, InGroup)),
    ]
