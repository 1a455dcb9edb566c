"""What a WSGI server runs."""

import os
from collections.abc import Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from granian.utils.proxies import wrap_wsgi_with_proxy_headers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authproject.settings")

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

METHODS_WITH_BODY = {"POST", "PUT", "PATCH", "DELETE"}


def with_content_length(application: Application) -> Application:
    """Give bodies that come without a length (chunked, HTTP/2) one: Django reads nothing of them otherwise."""

    def measured(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in METHODS_WITH_BODY and not environ.get("CONTENT_LENGTH"):
            # One byte more than is allowed is enough to be refused for it.
            body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return application(environ, start_response)

    return measured


def build() -> Application:
    """Assemble the application.

    REMOTE_ADDR and the scheme become what the outermost trusted proxy saw; what anyone else claims of
    them counts for nothing.
    """
    django: Application = get_wsgi_application()
    proxies = list(settings.AUTH["trusted_proxies"])
    application: Application = wrap_wsgi_with_proxy_headers(with_content_length(django), proxies)
    return application


application = build()
