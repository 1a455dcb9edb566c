"""Generate the OpenAPI document, with the security schemes and the constraints of fields."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from accounts.conf import auth_settings
from accounts.values import languages
from accounts.values.passwords import MAX_PASSWORD_LENGTH
from api.http.cookies import access_name

_generation_lock = Lock()


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library is
    """The security schemes of access tokens: two headers and a cookie."""

    target_class = "api.authentication.AccessTokenAuthentication"
    name = ["bearer", "xAccessToken", "cookie"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Return the schemes as alternatives."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Return the definitions of the schemes."""
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            {"type": "apiKey", "in": "header", "name": "x-access-token"},
            {"type": "apiKey", "in": "cookie", "name": access_name()},
        ]


class TextField(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # the library is
    """A string without NUL characters, which databases cannot store."""

    target_class = "api.serializers.inputs.StringField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the schema of the field."""
        max_length = {} if self.target.max_length is None else {"maxLength": self.target.max_length}
        return {"type": "string", "pattern": r"^[^\x00]*$", **max_length}


class NewPasswordField(TextField):  # type: ignore[no-untyped-call]  # the library is
    """A password of an allowed length. A schema cannot express the other rules."""

    target_class = "api.serializers.inputs.NewPasswordField"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the schema of the field."""
        field_schema = super().map_serializer_field(auto_schema, direction)
        return {**field_schema, "minLength": auth_settings().password_min_length, "maxLength": MAX_PASSWORD_LENGTH}


class AudienceField(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # the library is
    """One of the services of AUTH_AUDIENCE."""

    target_class = "api.serializers.inputs.AudienceField"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the schema of the field."""
        return {"type": "string", "enum": list(auth_settings().audience)}


class LanguageField(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # the library is
    """One of the languages that have translations."""

    target_class = "api.serializers.inputs.LanguageField"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the schema of the field."""
        return {"type": "string", "enum": list(languages.supported())}


def with_example(**value: Any) -> Callable[[type[Any]], type[Any]]:
    """Return a decorator that adds an example to a serializer."""
    return extend_schema_serializer(examples=[OpenApiExample("example", value)])


def remove_duplicate_paths(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Return each endpoint once, under the path that clients should use."""
    return [
        (path.rstrip("/"), regex, method, callback)
        for path, regex, method, callback in endpoints
        if "refreshToken" not in path
    ]


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document, generated once per process."""
    # drf-spectacular loads its extensions with the first document; a simultaneous second call would fail.
    with _generation_lock:
        generate: Callable[..., dict[str, Any]] = SchemaGenerator().get_schema  # type: ignore[no-untyped-call]  # the library is
        return generate(request=None, public=True)
