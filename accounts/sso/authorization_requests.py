"""Validate the parameters of an authorization request (OpenID Connect Core section 3.1.2.1, RFC 9700)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.errors import TokenInvalid
from accounts.models import Application
from accounts.oauth_errors import AuthorizationError, ClientUnknown, InvalidTarget, RedirectUriUnknown
from accounts.sso import applications, id_tokens, userinfo
from accounts.sso.redirect_uris import is_registered
from accounts.values.authentication import LEVELS, SEVERAL_FACTORS, SINGLE_FACTOR

NO_PROMPT = "none"
PROMPTS = (NO_PROMPT, "login", "consent", "select_account")
CHALLENGE_METHOD = "S256"

MAX_TEXT_LENGTH = 2048
"""The maximum number of characters of `state` and `nonce`."""

_MAX_HINT_LENGTH = 254
_KNOWN = (
    "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    "prompt", "max_age", "acr_values", "login_hint", "id_token_hint", "audience",
    "request", "request_uri", "registration",
)  # fmt: skip
_UNSUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A valid authorization request.

    `max_age` is in seconds, `level` is the minimum `acr`, and `subject` is the id of the user whom the application
    expects, or None.
    """

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
    subject: str | None = None

    def error(self, code: str, description: str) -> AuthorizationError:
        """Return the error with which the browser returns to the application."""
        return AuthorizationError(code, description, redirect_uri=self.redirect_uri, state=self.state)


class _Invalid(Exception):
    """A parameter is invalid. The arguments are the error's code and description."""


def parse(parameters: Mapping[str, Sequence[str]]) -> AuthorizationRequest:
    """Validate the parameters. Unknown ones are ignored, and those without a value are left out.

    Raises ClientUnknown, RedirectUriUnknown or AuthorizationError.
    """
    application = applications.find(_only(parameters, "client_id") or "")
    if application is None:
        raise ClientUnknown
    redirect_uri = _only(parameters, "redirect_uri") or ""
    if not is_registered(redirect_uri, application.redirect_uris):
        raise RedirectUriUnknown
    state = _only(parameters, "state") or None
    try:
        fields = _parse_fields(parameters, application)
    except _Invalid as invalid:
        code, description = invalid.args
        raise AuthorizationError(code, description, redirect_uri=redirect_uri, state=state) from None
    return AuthorizationRequest(application=application, redirect_uri=redirect_uri, state=state, **fields)


def _only(parameters: Mapping[str, Sequence[str]], name: str) -> str | None:
    """Return the value of a parameter that appears exactly once, else None."""
    values = parameters.get(name, ())
    return values[0] if len(values) == 1 else None


def _parse_fields(parameters: Mapping[str, Sequence[str]], application: Application) -> dict[str, Any]:
    repeated = [name for name in _KNOWN if len(parameters.get(name, ())) > 1]
    if repeated:
        raise _Invalid("invalid_request", f"The parameter {repeated[0]} must not be repeated.")
    values = {name: value for name in _KNOWN if (value := _only(parameters, name))}
    for name, code in _UNSUPPORTED.items():
        if name in values:
            raise _Invalid(code, f"The parameter {name} is not supported.")
    _require_code_flow(values)
    return {
        "scope": _parse_scope(values),
        "nonce": _parse_text(values, "nonce"),
        "code_challenge": _parse_challenge(values),
        "prompt": _parse_prompt(values),
        "max_age": _parse_max_age(values),
        "level": _parse_level(values),
        "login_hint": _parse_login_hint(values),
        "audience": _parse_audience(values, application),
        "subject": _parse_hint(values, application),
    }


def _require_code_flow(values: Mapping[str, str]) -> None:
    _parse_text(values, "state")
    if "response_type" not in values:
        raise _Invalid("invalid_request", "The parameter response_type is missing.")
    if values["response_type"] != "code":
        raise _Invalid("unsupported_response_type", "Use response_type=code.")
    if values.get("response_mode", "query") != "query":
        raise _Invalid("invalid_request", "Use response_mode=query, or leave it out.")


def _parse_scope(values: Mapping[str, str]) -> str:
    scope = userinfo.granted_scope(values.get("scope", ""))
    if userinfo.OPENID not in scope.split():
        raise _Invalid("invalid_scope", "The scope must contain openid.")
    return scope


def _parse_text(values: Mapping[str, str], name: str) -> str:
    text = values.get(name, "")
    if len(text) > MAX_TEXT_LENGTH or not text.isprintable():
        raise _Invalid("invalid_request", f"The parameter {name} is too long, or has control characters.")
    return text


def _parse_challenge(values: Mapping[str, str]) -> str:
    if values.get("code_challenge_method") != CHALLENGE_METHOD:
        raise _Invalid("invalid_request", "PKCE is required: use code_challenge_method=S256.")
    challenge = values.get("code_challenge", "")
    if _CHALLENGE.fullmatch(challenge) is None:
        raise _Invalid("invalid_request", "The code_challenge must be a SHA-256 in base64url, of 43 characters.")
    return challenge


def _parse_prompt(values: Mapping[str, str]) -> frozenset[str]:
    prompts = frozenset(values.get("prompt", "").split())
    if not prompts <= set(PROMPTS):
        raise _Invalid("invalid_request", f"Unknown prompt. Allowed: {', '.join(PROMPTS)}.")
    if NO_PROMPT in prompts and len(prompts) > 1:
        raise _Invalid("invalid_request", "The prompt none excludes others.")
    return prompts


def _parse_max_age(values: Mapping[str, str]) -> int | None:
    text = values.get("max_age")
    if text is not None and _SECONDS.fullmatch(text) is None:
        raise _Invalid("invalid_request", "The max_age must be a whole number of seconds.")
    return None if text is None else int(text)


def _parse_level(values: Mapping[str, str]) -> int:
    """Return the lowest of the acceptable levels. Unknown ones are ignored (OpenID Connect section 5.5.1.1)."""
    requested = values.get("acr_values", "").split()
    levels = [level for level in LEVELS if str(level) in requested]
    return SEVERAL_FACTORS if levels == [SEVERAL_FACTORS] else SINGLE_FACTOR


def _parse_login_hint(values: Mapping[str, str]) -> str:
    hint = values.get("login_hint", "")
    return hint if len(hint) <= _MAX_HINT_LENGTH and hint.isprintable() else ""


def _parse_audience(values: Mapping[str, str], application: Application) -> tuple[str, ...]:
    try:
        return applications.select_audience(application, values.get("audience"))
    except InvalidTarget as error:
        raise _Invalid(error.code, error.message) from None


def _parse_hint(values: Mapping[str, str], application: Application) -> str | None:
    token = values.get("id_token_hint")
    if token is None:
        return None
    try:
        hint = id_tokens.read_hint(token)
    except TokenInvalid:
        hint = None
    if hint is None or hint.client_id != application.client_id:
        raise _Invalid("invalid_request", "The id_token_hint is not an ID token of this application.")
    return hint.subject
