"""A view that receives logout tokens of the token service (OpenID Connect Back-Channel Logout 1.0).

AUTH_SERVICE = {"issuer": "https://auth.example.com", "audience": "orders", "client_id": "shop"}
urlpatterns = [path("backchannel-logout", authclient.django.logout.receive)]

Ended sessions are in the cache `AUTH_SERVICE["ended_sessions"]`, or the default one. All processes must share it.
"""

from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from authclient.django.conf import service_settings
from authclient.django.ended_sessions import CacheEndedSessions, ended_sessions
from authclient.logout import LogoutReceiver


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """End the session that a logout token names: its access tokens are refused from then on.

    Raises ImproperlyConfigured if AUTH_SERVICE has no `client_id`.
    """
    response = _receiver().receive(request.body)
    return HttpResponse(response.body, status=response.status, headers=response.headers)


def _receiver() -> LogoutReceiver:
    service, store = service_settings(), ended_sessions()
    if store is None:
        raise ImproperlyConfigured('AUTH_SERVICE must have "client_id", the id of your application.')
    return _create_receiver(service["issuer"], service["client_id"], store, service.get("token_lifetime", 86_400))


@cache
def _create_receiver(issuer: str, client_id: str, store: CacheEndedSessions, lifetime: int) -> LogoutReceiver:
    return LogoutReceiver(issuer, client_id=client_id, ended_sessions=store, token_lifetime=lifetime)
