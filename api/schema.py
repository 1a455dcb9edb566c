"""What the OpenAPI document says beyond the code: the token schemes, and how refusals look."""

from collections.abc import Callable
from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator

from api.cookies import access_name
from api.outputs import ErrorOutput


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library is
    """The headers and the cookie that an access token may come in."""

    target_class = "api.authentication.AccessTokenAuthentication"
    name = ["bearer", "xAccessToken", "cookie"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Describe them."""
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            {"type": "apiKey", "in": "header", "name": "x-access-token"},
            {"type": "apiKey", "in": "cookie", "name": access_name()},
        ]


def refusals(*statuses: int) -> dict[int, Any]:
    """List the statuses that an endpoint refuses with."""
    return dict.fromkeys((*statuses, 503), ErrorOutput)


def one_path_each(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """List each endpoint once, under the path that clients should use."""
    return [
        (path.rstrip("/"), regex, method, callback)
        for path, regex, method, callback in endpoints
        if "refreshToken" not in path
    ]


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document: made once, for it is the same for everybody."""
    make: Callable[..., dict[str, Any]] = SchemaGenerator().get_schema  # type: ignore[no-untyped-call]  # the library is
    return make(request=None, public=True)
