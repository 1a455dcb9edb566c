"""The challenges of `WWW-Authenticate`: how to authenticate, and why a token was not enough."""

from rest_framework import status

from accounts.errors import (
    AuthError,
    InvalidClient,
    InvalidCredentials,
    RecentAuthenticationRequired,
    TokenMissing,
)
from accounts.factor_errors import SecondFactorRequired
from accounts.oauth_errors import InsufficientScope
from accounts.values.authentication import SEVERAL_FACTORS

BEARER = 'Bearer realm="api"'


def challenge_for(error: AuthError, http_status: int) -> str | None:
    """Return the challenge of the response to an error, or None if the response has none."""
    if isinstance(error, InsufficientScope):
        return f'{BEARER}, error="insufficient_scope", error_description="{error.message}", scope="openid"'
    if isinstance(error, RecentAuthenticationRequired):
        return f'{_step_up(error)}, max_age="{error.max_age}"'
    if isinstance(error, SecondFactorRequired) and error.sign_in is None:
        return f'{_step_up(error)}, acr_values="{SEVERAL_FACTORS}"'
    if http_status != status.HTTP_401_UNAUTHORIZED:
        return None
    if isinstance(error, InvalidClient):
        return 'Basic realm="services"'
    # RFC 6750 section 3.1: the presented token cannot be used.
    is_presented = not isinstance(error, TokenMissing | InvalidCredentials)
    return f'{BEARER}, error="invalid_token", error_description="{error.message}"' if is_presented else BEARER


def _step_up(error: AuthError) -> str:
    """Return the challenge of RFC 9470 section 3, to which the requirement is appended."""
    return f'{BEARER}, error="insufficient_user_authentication", error_description="{error.message}"'
