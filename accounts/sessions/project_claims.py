"""Claims that a project adds to access tokens, with the function that AUTH_CLAIMS names.

A fault of the function is the project's, and no token is issued without its claims: a service may decide by them.
"""

import json
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils.module_loading import import_string

from accounts.conf import auth_settings
from accounts.models import RefreshToken
from accounts.tokens import strict_json

MAX_SIZE = 1024
"""Bytes of JSON of all added claims together, so that the token fits in a cookie (RFC 6265 section 6.1)."""


class ProjectClaimsFault(Exception):
    """The function failed, or returned claims that cannot be added. Requests get 500 `internal_error`."""


def of_session(session: RefreshToken) -> dict[str, Any]:
    """Return the claims that the project adds to the access tokens of a session that has its owner.

    Names that are not in AUTH_EXTRA_CLAIMS are left out. Returns no claims if AUTH_CLAIMS is not set.

    Raises ProjectClaimsFault, and django.db.DatabaseError or InterfaceError if the function does.
    """
    settings = auth_settings()
    if not settings.claims:
        return {}
    returned = _call(settings.claims, session)
    if not isinstance(returned, dict):
        raise ProjectClaimsFault(f"{settings.claims} returned {type(returned).__name__}. Allowed: a dict.")
    return _validate({name: returned[name] for name in settings.extra_claims if name in returned})


def _call(path: str, session: RefreshToken) -> object:
    try:
        return import_string(path)(session.owner, session)
    except (DatabaseError, InterfaceError):
        raise  # a database that cannot be reached is reported as such
    except Exception as error:
        # Not as it is: an error of this API, or Django's Http404, would look like a decision of this service.
        raise ProjectClaimsFault(f"{path} raised {type(error).__name__}.") from error


def _validate(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims as every verifier will read them."""
    try:
        text = json.dumps(claims, allow_nan=False, separators=(",", ":"))
        # Not every dict survives: the keys 1 and "1" are the same name in JSON, which verifiers refuse.
        parsed: dict[str, Any] = strict_json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProjectClaimsFault(
            f"The added claims are not JSON ({type(error).__name__}): {_names(claims)}."
        ) from None
    if len(text) > MAX_SIZE:
        raise ProjectClaimsFault(
            f"The added claims have {len(text)} bytes: {_names(claims)}. Allowed: {MAX_SIZE}."
        )
    return parsed


def _names(claims: dict[str, Any]) -> str:
    return ", ".join(claims)
