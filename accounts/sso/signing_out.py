"""Sign-out that an application starts (OpenID Connect RP-Initiated Logout 1.0)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from accounts.errors import InvalidRequest, TokenInvalid
from accounts.models import Application, RefreshToken
from accounts.sso import applications, browser_sign_ins, id_tokens
from accounts.sso.browser_sign_ins import BrowserSignIn
from accounts.sso.id_tokens import IdTokenHint
from accounts.values.clients import Client

MAX_STATE_LENGTH = 2048

_KNOWN = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state")


@dataclass(frozen=True, slots=True)
class SignOutRequest:
    """A sign-out request. `redirect_uri` is None, or registered for the application.

    `is_confirmed` says that an ID token of this browser's sign-in came with it, so that the user is not asked.
    """

    application: Application | None
    redirect_uri: str | None
    state: str | None
    is_confirmed: bool


def parse(parameters: Mapping[str, Sequence[str]], browser: BrowserSignIn | None) -> SignOutRequest:
    """Validate the parameters of a sign-out request.

    Unknown parameters are ignored, and so is an ID token that is not one of this service, an unknown application,
    and an address to return to that is not registered: the user can sign out, but is not redirected.

    Raises InvalidRequest if a parameter is repeated, or if the ID token is another application's than `client_id`.
    """
    repeated = [name for name in _KNOWN if len(parameters.get(name, ())) > 1]
    if repeated:
        raise InvalidRequest(errors={name: ["This parameter must not be repeated."] for name in repeated})
    values = {name: parameters[name][0] for name in _KNOWN if parameters.get(name)}
    hint = _read_hint(values)
    client_id = values.get("client_id") or (hint.client_id if hint else "")
    if hint is not None and hint.client_id != client_id:
        raise InvalidRequest(errors={"id_token_hint": ["This is the ID token of another application."]})
    application = applications.find(client_id)
    return SignOutRequest(
        application=application,
        redirect_uri=_redirect_uri(values, application),
        state=_state(values),
        is_confirmed=hint is not None and browser is not None and _is_from(browser, hint),
    )


def sign_out(browser: BrowserSignIn | None, request: SignOutRequest, client: Client) -> str | None:
    """End the browser's sign-in with all its sessions, and return the address to return to, or None."""
    if browser is not None:
        browser_sign_ins.end(browser, client)
    if request.redirect_uri is None or request.state is None:
        return request.redirect_uri
    separator = "&" if "?" in request.redirect_uri else "?"
    return f"{request.redirect_uri}{separator}{urlencode({'state': request.state})}"


def _read_hint(values: Mapping[str, str]) -> IdTokenHint | None:
    try:
        return id_tokens.read_hint(values.get("id_token_hint", ""))
    except TokenInvalid:
        return None


def _redirect_uri(values: Mapping[str, str], application: Application | None) -> str | None:
    address = values.get("post_logout_redirect_uri")
    is_registered = application is not None and address in application.post_logout_redirect_uris
    return address if is_registered else None


def _state(values: Mapping[str, str]) -> str | None:
    state = values.get("state", "")
    return state if state and len(state) <= MAX_STATE_LENGTH and state.isprintable() else None


def _is_from(browser: BrowserSignIn, hint: IdTokenHint) -> bool:
    """Return whether the session of an ID token came of this browser's sign-in.

    Otherwise any page could sign the user out, with an ID token of someone else or of another browser.
    """
    if hint.subject != str(browser.session.owner_id):
        return False
    children = RefreshToken.objects.filter(parent=browser.session.pk, application_id=hint.client_id)
    return children.filter(pk=hint.session_id).exists()
