"""Middleware for the API and for HTML pages.

Django's middleware for pages (sessions, messages, static files, …) does nothing for the API, and cost a fifth of
the time of a protected request. `PageMiddleware` therefore applies it to pages only.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import import_module
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string

from api.defaults import HOSTED_PAGES

API_PREFIXES = ("/api/", "/.well-known/")
PROBE_PATHS = ("/healthz", "/readyz")
DOCS_PREFIX = "/api/docs"
"""The one HTML page below `/api/`."""

# An API response is not a page: a browser that opens one runs nothing in it, and no page may frame it.
_API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
# The admin's widgets set inline styles. Scripts come from files only.
_PAGE_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

Handler = Callable[[HttpRequest], HttpResponseBase]


class ApiHeadersMiddleware:
    """Adds security headers to API responses.

    Django's own middleware computes the same headers for each of them, so they are computed once and cached.
    """

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response
        self._cached_headers: dict[bool, Sequence[tuple[str, str]]] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle the request."""
        response = self._get_response(request)
        if _is_api_request(request) or _is_probe(request):
            for name, value in self._headers(request):
                response.headers[name] = value
        return response

    def _headers(self, request: HttpRequest) -> Sequence[tuple[str, str]]:
        is_secure = request.is_secure()
        if is_secure not in self._cached_headers:
            self._cached_headers[is_secure] = api_headers(is_secure=is_secure)
        return self._cached_headers[is_secure]


def api_headers(*, is_secure: bool) -> Sequence[tuple[str, str]]:
    """Return the security headers of an API response, over https or not."""
    request = _EncryptedRequest() if is_secure else HttpRequest()
    response = HttpResponse()
    del response.headers["Content-Type"]
    SecurityMiddleware(_no_response).process_response(request, response)
    XFrameOptionsMiddleware(_no_response).process_response(request, response)
    _add_policy(response, _API_POLICY)
    return tuple(response.headers.items())


class _EncryptedRequest(HttpRequest):
    def _get_scheme(self) -> str:
        return "https"


def _no_response(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


class ContentPolicyMiddleware:
    """Adds a Content-Security-Policy to pages whose view sets none."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle the request."""
        response = self._get_response(request)
        _add_policy(response, _PAGE_POLICY)
        return response


def _add_policy(response: HttpResponseBase, policy: str) -> None:
    response.headers.setdefault("Content-Security-Policy", policy)
    # Other origins use CORS. Without CORS, they must not embed these responses.
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")


def metrics_middleware(get_response: Handler) -> Handler:
    """Return the middleware that counts and times requests.

    Imported when a worker starts, because prometheus_client reads its environment at import.
    """
    metrics: Handler = import_module("authproject.metrics").MetricsMiddleware(get_response)
    return metrics


class CrossOriginMiddleware(CorsMiddleware):
    """Adds CORS headers (Fetch standard) to responses to requests with an `Origin` header."""

    def __call__(self, request: HttpRequest) -> Any:
        """Handle the request."""
        if "HTTP_ORIGIN" in request.META:
            return super().__call__(request)
        response = self.get_response(request)
        # A cache must not serve this response to a page of another origin.
        patch_vary_headers(response, ("origin",))  # type: ignore[arg-type]  # no coroutine here
        return response


def cross_origin_headers(environ: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return the CORS headers, and `Vary`, of a response that the server sends itself to a WSGI environment."""
    # Whatever the content type is, it may be the reason for the refusal.
    request = WSGIRequest({**environ, "CONTENT_TYPE": ""})
    response: HttpResponse = CrossOriginMiddleware(_no_response)(request)
    # Not the headers of the body, which is the server's.
    return [(name, value) for name, value in response.headers.items() if not name.lower().startswith("content-")]


class PageMiddleware:
    """Applies `PAGE_MIDDLEWARE` to HTML pages only.

    API requests bypass it: sessions, messages and static files cost a fifth of a protected request and do nothing
    for it. Hosted pages need neither, and check their forms themselves: they get `HOSTED_PAGE_MIDDLEWARE`.
    """

    def __init__(self, get_response: Handler) -> None:
        self._view = self._pages = get_response
        self._hosted_pages = _with_middleware(get_response, settings.HOSTED_PAGE_MIDDLEWARE)
        self._view_hooks: list[Callable[..., HttpResponseBase | None]] = []
        # Reads and sets the cookie `csrftoken`, which the API uses as well.
        self._csrf = CsrfViewMiddleware(get_response)
        for name in reversed(settings.PAGE_MIDDLEWARE):
            middleware = import_string(name)(self._pages)
            if hasattr(middleware, "process_view"):
                self._view_hooks.insert(0, middleware.process_view)
            self._pages = convert_exception_to_response(middleware)  # type: ignore[assignment]  # no coroutine

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle the request.

        Raises django.core.exceptions.DisallowedHost.
        """
        if _is_probe(request):
            return self._view(request)
        if not _is_api_request(request):
            return self._hosted_pages(request) if _is_hosted_page(request) else self._pages(request)
        request.get_host()
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return _plain_http_response()
        if "HTTP_COOKIE" in request.META:
            self._csrf.process_request(request)
        return self._csrf.process_response(request, self._view(request))

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        """Run the `process_view` hooks of `PAGE_MIDDLEWARE` for pages; return the first response, or None."""
        if _is_api_request(request) or _is_probe(request) or _is_hosted_page(request):
            return None
        return next(filter(None, (hook(request, *view) for hook in self._view_hooks)), None)


def _is_api_request(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PREFIXES) and not request.path_info.startswith(DOCS_PREFIX)


def _is_hosted_page(request: HttpRequest) -> bool:
    return request.path_info.startswith(HOSTED_PAGES)


def _with_middleware(get_response: Handler, names: Sequence[str]) -> Handler:
    for name in reversed(names):
        get_response = convert_exception_to_response(import_string(name)(get_response))  # type: ignore[assignment]  # no coroutine
    return get_response


def _is_probe(request: HttpRequest) -> bool:
    # Orchestrators probe a container by its address, whatever ALLOWED_HOSTS says. A probe uses no host name.
    return request.path_info.rstrip("/") in PROBE_PATHS


def _plain_http_response() -> JsonResponse:
    """Refuse plain HTTP.

    A redirect would hide that the client sends passwords and tokens unencrypted.
    """
    body = {"message": "Use https to reach this API.", "code": "invalid_request"}
    return JsonResponse(body, status=HTTPStatus.BAD_REQUEST)
