"""Registered applications: find and authenticate them, and replace their secrets.

As for services, a secret has 256 random bits, so that its SHA-256 cannot be found by brute force.
"""

import secrets

from django.utils.crypto import constant_time_compare

from accounts.conf import auth_settings
from accounts.databases import columns_of
from accounts.errors import InvalidClient
from accounts.limits import attempts
from accounts.models import Application
from accounts.oauth_errors import InvalidTarget
from accounts.sso import id_tokens
from accounts.values.clients import NO_CLIENT, Client
from accounts.values.digests import digest_of

SECRET_PREFIX = "authapp_"  # noqa: S105
"""A fixed prefix, so that secret scanners recognize a leaked secret."""


# Raw SQL: building this query with the ORM took most of its time, and every step of a sign-in needs it.
_FIND = f"SELECT {columns_of(Application)} FROM accounts_application WHERE client_id = %s AND is_active"  # noqa: S608  column names, not input


def find(client_id: str) -> Application | None:
    """Return the active application with this client id, or None. With HS256, there is none."""
    if not client_id.isprintable() or not id_tokens.are_available():
        return None
    return next(iter(Application.objects.raw(_FIND, [client_id])), None)


def authenticate(client_id: str, secret: str | None, client: Client = NO_CLIENT) -> Application:
    """Return the application with this client id, and with this secret if it is confidential.

    A public application has no secret, and must not present one. A failed attempt counts against the network of
    `client`.

    Raises InvalidClient if the application is unknown or inactive or the secret is wrong, or Throttled if the
    network has had too many failed attempts.
    """
    application = find(client_id)
    is_accepted = _accepts(application, secret)
    if application is None or not is_accepted:
        attempts.count_for_address(client)
        raise InvalidClient
    return application


def new_secret(application: Application) -> str:
    """Generate a secret, set its digest on the application, and return it. The caller saves the application.

    The secret before it is still accepted, until `forget_previous_secret` or the next call.
    """
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    application.previous_secret_digest = application.secret_digest
    application.secret_digest = digest_of(secret)
    return secret


def forget_previous_secret(application: Application) -> None:
    """Accept only the current secret from now on. The caller saves the application."""
    application.previous_secret_digest = ""


def audiences_of(application: Application) -> tuple[str, ...]:
    """Return the services that the application's access tokens are for.

    Services that AUTH_AUDIENCE does not list any more are left out.
    """
    known: tuple[str, ...] = auth_settings().audience
    allowed = application.audiences
    return tuple(name for name in known if not allowed or name in allowed)


def select_audience(application: Application, requested: str | None) -> tuple[str, ...]:
    """Return the service that the application asks for, or all those that its access tokens may be for.

    Raises InvalidTarget.
    """
    allowed = audiences_of(application)
    selected = allowed if requested is None else tuple(name for name in allowed if name == requested)
    if not selected:
        raise InvalidTarget
    return selected


def _accepts(application: Application | None, secret: str | None) -> bool:
    if application is not None and not application.is_confidential:
        return not secret
    presented = digest_of(secret or "")
    current = application.secret_digest if application else ""
    previous = application.previous_secret_digest if application else ""
    # Both are compared in any case, so that the time does not depend on which one is stored.
    matches = [constant_time_compare(presented, digest or digest_of("")) for digest in (current, previous)]
    return bool(secret) and any(matches)
