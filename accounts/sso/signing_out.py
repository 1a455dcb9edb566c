"""Sign-out that an application starts (OpenID Connect RP-Initiated Logout 1.0)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accounts.models import Application
from accounts.sso.browser_sign_ins import BrowserSignIn
from accounts.values.clients import Client


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
    """Validate the parameters of a sign-out request. Unknown and unusable parameters are ignored.

    Raises RedirectUriUnknown if the address to return to is not registered, and InvalidRequest if a parameter is
    repeated.
    """
    raise NotImplementedError


def sign_out(browser: BrowserSignIn | None, request: SignOutRequest, client: Client) -> str | None:
    """End the browser's sign-in with all its sessions, and return the address to return to, or None."""
    raise NotImplementedError
