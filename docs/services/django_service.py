"""An orders service in Django that verifies access tokens with `api.stateless`, without a database."""

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
        "DEFAULT_AUTHENTICATION_CLASSES": ["api.stateless.StatelessAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "UNAUTHENTICATED_USER": None,
    },
)

import django
from django.core.wsgi import get_wsgi_application

django.setup()

from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView


class Orders(APIView):
    """The orders of the user."""

    def get(self, request):
        return Response({"orders": [], "of": str(request.user.pk), "roles": request.user.roles})


urlpatterns = [path("orders", Orders.as_view())]

if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application()).serve_forever()
