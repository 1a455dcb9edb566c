"""Middleware, by what a request has a use for.

What Django has for pages (sessions, messages, static files, …) does nothing for the API, and asked of each request
in turn it would take a protected one a fifth of its time.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from importlib import import_module
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string

API_PREFIXES = ("/api/", "/.well-known/")
DOCS_PREFIX = "/api/docs"
"""The one page among what is there for programs."""

# What programs read is no page: a browser that is led there runs nothing in it, and lets no page frame it.
_API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
# Swagger UI and the widgets of the admin set styles of their own; scripts come from files alone.
_PAGE_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

Handler = Callable[[HttpRequest], HttpResponseBase]


class ApiHeadersMiddleware:
    """Says what a browser, and the pages in it, may make of an answer for programs.

    What Django's own middleware has to say of these is the same each time, so it is asked once.
    """

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response
        self._cached_headers: dict[bool, Sequence[tuple[str, str]]] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        response = self._get_response(request)
        if _is_api_request(request):
            for name, value in self._headers(request):
                response.headers[name] = value
        return response

    def _headers(self, request: HttpRequest) -> Sequence[tuple[str, str]]:
        is_secure = request.is_secure()
        if is_secure not in self._cached_headers:
            response = HttpResponse()
            del response.headers["Content-Type"]
            SecurityMiddleware(self._get_response).process_response(request, response)
            XFrameOptionsMiddleware(self._get_response).process_response(request, response)
            _add_policy(response, _API_POLICY)
            self._cached_headers[is_secure] = tuple(response.headers.items())
        return self._cached_headers[is_secure]


class ContentPolicyMiddleware:
    """Says where a page may load from and who may show it, where its view has not said so."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        response = self._get_response(request)
        _add_policy(response, _PAGE_POLICY)
        return response


def _add_policy(response: HttpResponseBase, policy: str) -> None:
    response.headers.setdefault("Content-Security-Policy", policy)
    # Pages of other origins have CORS; what they embed without it they have no use for.
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")


def metrics_middleware(get_response: Handler) -> Handler:
    """Count and time requests. What does so is loaded when a worker begins, and by no check of the settings."""
    metrics: Handler = import_module("authproject.metrics").MetricsMiddleware(get_response)
    return metrics


class CrossOriginMiddleware(CorsMiddleware):
    """Answers browsers by the Fetch standard's CORS protocol; what has no `Origin` needs no such answer."""

    def __call__(self, request: HttpRequest) -> Any:
        """Answer the request, with CORS headers for a page of another origin."""
        if "HTTP_ORIGIN" in request.META:
            return super().__call__(request)
        response = self.get_response(request)
        # A cache must not give this answer to a page that has an origin.
        patch_vary_headers(response, ("origin",))  # type: ignore[arg-type]  # no coroutine here
        return response


class PageMiddleware:
    """Leads pages through the middleware of `PAGE_MIDDLEWARE`, and the API past it."""

    def __init__(self, get_response: Handler) -> None:
        self._view = self._pages = get_response
        self._view_hooks: list[Callable[..., HttpResponseBase | None]] = []
        # Of the cookie `csrftoken`, which the API's views ask for as well.
        self._csrf = CsrfViewMiddleware(get_response)
        for name in reversed(settings.PAGE_MIDDLEWARE):
            middleware = import_string(name)(self._pages)
            if hasattr(middleware, "process_view"):
                self._view_hooks.insert(0, middleware.process_view)
            self._pages = convert_exception_to_response(middleware)  # type: ignore[assignment]  # no coroutine

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request.

        Raises django.core.exceptions.DisallowedHost.
        """
        if not _is_api_request(request):
            return self._pages(request)
        request.get_host()
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return _plain_http_response()
        if "HTTP_COOKIE" in request.META:
            self._csrf.process_request(request)
        return self._csrf.process_response(request, self._view(request))

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        """Ask what each of them has against the view of a page."""
        if _is_api_request(request):
            return None
        return next(filter(None, (hook(request, *view) for hook in self._view_hooks)), None)


def _is_api_request(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PREFIXES) and not request.path_info.startswith(DOCS_PREFIX)


def _plain_http_response() -> JsonResponse:
    """Refuse what a redirect would hide: a program that sends passwords and tokens for all to read."""
    body = {"message": "This API is reached by https alone.", "code": "invalid_request"}
    return JsonResponse(body, status=HTTPStatus.BAD_REQUEST)
