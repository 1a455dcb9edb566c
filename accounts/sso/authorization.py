"""Decide about an authorization request, issue a code, and return the browser to the application.

OpenID Connect Core section 3.1.2, RFC 9207 and RFC 9700 section 2.1.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urlencode

from django.db import IntegrityError
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.models import AuthorizationCode, RefreshToken
from accounts.oauth_errors import AuthorizationError, ClientUnknown
from accounts.sso import authorization_requests, browser_rows
from accounts.sso.authorization_requests import AuthorizationRequest
from accounts.sso.browser_sign_ins import BrowserSignIn
from accounts.values.authentication import SEVERAL_FACTORS
from accounts.values.digests import digest_of

__all__ = ["AuthorizationRequest", "Step", "error_url", "issue_code", "parse", "required_step", "success_url"]

CODE_PREFIX = "authcode_"
"""A fixed prefix, so that secret scanners recognize a leaked code."""

CODE_LIFETIME = timedelta(seconds=60)


class Step(Enum):
    """What the user must do before a code is issued."""

    NONE = "none"
    SIGN_IN = "sign in"
    SECOND_FACTOR = "second factor"
    CHOOSE_ACCOUNT = "choose account"


_ERRORS_WITHOUT_PROMPT = {
    Step.SIGN_IN: ("login_required", "The user is not signed in."),
    Step.SECOND_FACTOR: ("interaction_required", "The user must present a second factor."),
    Step.CHOOSE_ACCOUNT: ("account_selection_required", "The user must choose an account."),
}


def parse(parameters: Mapping[str, Sequence[str]]) -> AuthorizationRequest:
    """Validate the parameters of an authorization request. Unknown parameters are ignored.

    Raises ClientUnknown or RedirectUriUnknown, after which the browser must not be redirected, and
    AuthorizationError for everything else that is wrong.
    """
    return authorization_requests.parse(parameters)


def required_step(request: AuthorizationRequest, browser: BrowserSignIn | None, now: datetime) -> Step:
    """Return what the user must do before the application gets a code.

    Raises AuthorizationError if the user must do something and `prompt` is none, or if the application asks for a
    second factor and the user has none.
    """
    step = _step(request, browser, now)
    if step is Step.SECOND_FACTOR and browser is not None and not browser.session.owner.has_second_factor:
        raise request.error("unmet_authentication_requirements", "The user has no second factor.")
    if step is not Step.NONE and authorization_requests.NO_PROMPT in request.prompt:
        raise request.error(*_ERRORS_WITHOUT_PROMPT[step])
    return step


def issue_code(request: AuthorizationRequest, browser: BrowserSignIn) -> str:
    """Store and return a code for the application. Counts as a use of the browser's sign-in.

    Raises AuthorizationError with `login_required` if the browser's sign-in has ended in the meantime, and
    ClientUnknown if the application was deleted.
    """
    now, session = timezone.now(), browser.session
    code = CODE_PREFIX + secrets.token_urlsafe(32)
    expires_at = min(now + auth_settings().refresh_token_lifetime, session.session_expires_at)
    if not browser_rows.touch(session, now, expires_at):
        raise request.error(*_ERRORS_WITHOUT_PROMPT[Step.SIGN_IN])
    try:
        _store(code, request, session, now)
    except IntegrityError:
        raise ClientUnknown from None
    return code


def success_url(request: AuthorizationRequest, code: str) -> str:
    """Return the address of the application with the code, the state and the issuer (RFC 9207)."""
    return _with_query(request.redirect_uri, {"code": code}, request.state)


def error_url(error: AuthorizationError) -> str:
    """Return the address of the application with the error, the state and the issuer (RFC 9207)."""
    return _with_query(
        error.redirect_uri, {"error": error.code, "error_description": error.description}, error.state
    )


def _store(code: str, request: AuthorizationRequest, session: RefreshToken, now: datetime) -> None:
    AuthorizationCode.objects.create(
        digest=digest_of(code),
        browser=session,
        application=request.application,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        nonce=request.nonce,
        scope=request.scope,
        audience=list(request.audience),
        expires_at=now + CODE_LIFETIME,
    )


def _step(request: AuthorizationRequest, browser: BrowserSignIn | None, now: datetime) -> Step:
    if browser is None or "login" in request.prompt or not _is_expected(request, browser.session, now):
        return Step.SIGN_IN
    if "select_account" in request.prompt:
        return Step.CHOOSE_ACCOUNT
    session = browser.session
    if session.authentication.level < max(
        request.level, SEVERAL_FACTORS if session.owner.has_second_factor else 0
    ):
        return Step.SECOND_FACTOR
    return Step.NONE


def _is_expected(request: AuthorizationRequest, session: RefreshToken, now: datetime) -> bool:
    """Return whether the user is the one that the application expects, and signed in recently enough for it."""
    if request.subject is not None and request.subject != str(session.owner_id):
        return False
    return request.max_age is None or now - session.authenticated_at <= timedelta(seconds=request.max_age)


def _with_query(redirect_uri: str, parameters: Mapping[str, str], state: str | None) -> str:
    query = {**parameters, **({} if state is None else {"state": state}), "iss": auth_settings().issuer}
    separator = "&" if "?" in redirect_uri else "?"
    return f"{redirect_uri}{separator}{urlencode(query)}"
