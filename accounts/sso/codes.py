"""Exchange an authorization code for the tokens of a new session (RFC 6749 section 4.1.3, RFC 7636)."""

from dataclasses import dataclass

from accounts.models import Application
from accounts.sessions.lifecycle import TokenPair
from accounts.values.clients import Client


@dataclass(frozen=True, slots=True)
class Issued:
    """The tokens of an application's session, their scope, and the ID token."""

    pair: TokenPair
    scope: str
    id_token: str

    def __repr__(self) -> str:
        return "Issued(...)"


def exchange(application: Application, code: str, redirect_uri: str, code_verifier: str, client: Client) -> Issued:
    """Exchange a code for tokens, once. A second use ends the session that the first one opened.

    Raises InvalidGrant if the code is unknown, expired, used, or was issued for another application, redirect URI
    or challenge; or if the browser's sign-in has ended.
    """
    raise NotImplementedError
