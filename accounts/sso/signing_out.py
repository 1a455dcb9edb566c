"""Sign-out that an application starts (OpenID Connect RP-Initiated Logout 1.0).

An ID token proves that the request comes from its application. Its session ends in any case, together with the
sign-in that it came of. If the browser has another sign-in, the user is asked before that one ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from accounts.errors import InvalidRequest, TokenInvalid
from accounts.models import Application, EndReason, RefreshToken
from accounts.sessions import lifecycle
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
    `hinted` is the session of the ID token, also if it is not of this browser, or has ended.
    """

    application: Application | None
    redirect_uri: str | None
    state: str | None
    is_confirmed: bool
    hinted: RefreshToken | None = None


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
    hinted = _find_session(hint) if hint else None
    return SignOutRequest(
        application=application,
        redirect_uri=_redirect_uri(values, application),
        state=_state(values),
        is_confirmed=hinted is not None and browser is not None and hinted.parent_id == browser.session.pk,
        hinted=hinted,
    )


def end_hinted(request: SignOutRequest, client: Client) -> int | None:
    """End the sign-in that the session of the ID token came of, with all other sessions that did.

    It may be the sign-in of another user or browser, or have expired before its sessions.

    Returns the id of the user, or None if nothing was ended.
    """
    session = request.hinted
    if session is None:
        return None
    came_of_it = RefreshToken.objects.filter(pk=session.pk)
    has_ended = False
    if session.parent_id is not None:
        has_ended = lifecycle.end(session.parent_id, EndReason.SIGNED_OUT, client)
        came_of_it = RefreshToken.objects.filter(parent=session.parent_id)
    # What the end of the sign-in did not reach, because it ended, or expired and was purged, before.
    left = lifecycle.end_many(came_of_it, EndReason.SIGNED_OUT, client)
    return session.owner_id if has_ended or left else None


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


def _find_session(hint: IdTokenHint) -> RefreshToken | None:
    session = RefreshToken.objects.filter(pk=hint.session_id, application_id=hint.client_id).first()
    return session if session is not None and str(session.owner_id) == hint.subject else None
