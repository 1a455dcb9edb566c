"""Responses to requests that are rejected before they reach the application."""

import json
from typing import Any

from granian.rsgi import Scope

from accounts.conf import auth_settings
from authproject.middleware import api_headers, cross_origin_headers
from authproject.proxies import trust_proxies
from authproject.request_threads import SERVER_NAME, WsgiResponse
from authproject.wsgi_calls import build_environ, no_write


class RequestRejected(Exception):
    """A request that is rejected before it reaches the application. `response` is what the client gets."""

    def __init__(
        self, status: int, message: str, code: str = "invalid_request", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        headers = [SERVER_NAME, ("content-type", "application/json"), ("cache-control", "no-store")]
        if retry_after is not None:
            headers.append(("retry-after", str(retry_after)))
        self.response = WsgiResponse(status, headers, json.dumps({"message": message, "code": code}).encode())

    def secured(self, scope: Scope) -> WsgiResponse:
        """Return the response with the headers of every API response over the client's scheme to its origin."""
        environ = build_environ(scope, b"")
        headers = (*api_headers(is_secure=_is_secure(environ)), *cross_origin_headers(environ))
        lowercase_headers = [(name.lower(), value) for name, value in headers]
        return self.response._replace(headers=[*self.response.headers, *lowercase_headers])


def _is_secure(environ: dict[str, Any]) -> bool:
    """Return whether the client uses https, which a trusted proxy may say."""
    schemes: list[str] = []

    def remember_scheme(environ: dict[str, Any], _: Any) -> list[bytes]:
        schemes.append(environ["wsgi.url_scheme"])
        return []

    trust_proxies(remember_scheme, auth_settings().trusted_proxies)(environ, no_write)
    return schemes == ["https"]
