"""Authorization requests (OpenID Connect Core section 3.1.2): validate them, decide, and issue a code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from accounts.models import Application
from accounts.oauth_errors import AuthorizationError
from accounts.sso.browser_sign_ins import BrowserSignIn
from accounts.values.clients import Client


class Step(Enum):
    """What the user must do before a code is issued."""

    NONE = "none"
    SIGN_IN = "sign in"
    SECOND_FACTOR = "second factor"
    CHOOSE_ACCOUNT = "choose account"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A valid authorization request. `max_age` is in seconds, and `level` is the minimum `acr`."""

    application: Application
    redirect_uri: str
    scope: str
    state: str | None
    nonce: str
    code_challenge: str
    prompt: frozenset[str]
    max_age: int | None
    level: int
    login_hint: str
    audience: tuple[str, ...]


def parse(parameters: Mapping[str, Sequence[str]]) -> AuthorizationRequest:
    """Validate the parameters of an authorization request. Unknown parameters are ignored.

    Raises ClientUnknown or RedirectUriUnknown, after which the browser must not be redirected, and
    AuthorizationError for everything else that is wrong.
    """
    raise NotImplementedError


def required_step(request: AuthorizationRequest, browser: BrowserSignIn | None, now: datetime) -> Step:
    """Return what the user must do before the application gets a code.

    Raises AuthorizationError if the user must do something and `prompt` is none.
    """
    raise NotImplementedError


def issue_code(request: AuthorizationRequest, browser: BrowserSignIn, client: Client) -> str:
    """Store and return a code for the application. Counts as a use of the browser's sign-in.

    Raises AuthorizationError with `login_required` if the browser's sign-in has ended in the meantime.
    """
    raise NotImplementedError


def success_url(request: AuthorizationRequest, code: str) -> str:
    """Return the address of the application with the code, the state and the issuer (RFC 9207)."""
    raise NotImplementedError


def error_url(error: AuthorizationError) -> str:
    """Return the address of the application with the error, the state and the issuer (RFC 9207)."""
    raise NotImplementedError
