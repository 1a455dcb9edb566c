"""The WSGI application. `make serve` runs it through `authproject.rsgi`."""

import os
import re
from collections.abc import Callable
from typing import Any

from django.core.wsgi import get_wsgi_application

from accounts.conf import auth_settings
from authproject.proxies import Application, trust_proxies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authproject.settings")

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+", re.ASCII)
_BOUNDARY = re.compile(r";\s*boundary=\"?([A-Za-z0-9'()+_,./:=?-]{1,70})\"?", re.ASCII | re.IGNORECASE)


def normalize_content_type(application: Application) -> Application:
    """Wrap a WSGI application so that Content-Type holds only the media type and a form's boundary.

    All content is UTF-8. Django would also decode the query string in any charset that a request names, and fails
    on some of them before a view is reached.
    """

    def normalized(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if claimed := environ.get("CONTENT_TYPE"):
            media_type = _MEDIA_TYPE.match(claimed.strip())
            boundary = _BOUNDARY.search(claimed)
            environ["CONTENT_TYPE"] = (media_type[0] if media_type else "application/octet-stream") + (
                f"; boundary={boundary[1]}" if boundary else ""
            )
        return application(environ, start_response)

    return normalized


def build_application() -> Application:
    """Return Django's WSGI application with the wrappers above."""
    django: Application = get_wsgi_application()
    proxies = auth_settings().trusted_proxies
    return trust_proxies(normalize_content_type(django), proxies)


application = build_application()
