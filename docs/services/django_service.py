"""An orders service in Django that verifies access tokens with `authclient.django`, without a database."""

import os

from django.conf import settings

settings.configure(
    SECRET_KEY="not used by this service",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    DATABASES={},
    USE_TZ=True,
    AUTH_SERVICE={"issuer": os.environ["ISSUER"], "audience": os.environ.get("AUDIENCE", "orders")},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["authclient.django.authentication.AccessTokenAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "EXCEPTION_HANDLER": "authclient.django.errors.render_error",
        "UNAUTHENTICATED_USER": None,
    },
)

import django
from django.core.wsgi import get_wsgi_application

django.setup()

from authclient.django.permissions import has_role
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Orders(APIView):
    """The orders of the user. Only moderators may delete them."""

    def get_permissions(self):
        required = [IsAuthenticated]
        if self.request.method == "DELETE":
            required.append(has_role("moderator"))
        return [permission() for permission in required]

    def get(self, request):
        return Response({"orders": [], "of": str(request.user.pk), "roles": request.user.roles})

    def delete(self, request):
        return Response({"deleted": 0})


urlpatterns = [path("orders", Orders.as_view())]

if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application()).serve_forever()
