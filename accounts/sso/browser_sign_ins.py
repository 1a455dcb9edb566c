"""The sign-in of a browser at the hosted pages: a session without tokens, whose secret is in a cookie."""

from dataclasses import dataclass

from accounts.models import EndReason, RefreshToken
from accounts.users.sign_in import Authenticated
from accounts.values.clients import Client


@dataclass(frozen=True, slots=True)
class BrowserSignIn:
    """A valid sign-in of a browser: its session, which was fetched with its owner."""

    session: RefreshToken


def start(
    authenticated: Authenticated, client: Client, *, previous: BrowserSignIn | None
) -> tuple[BrowserSignIn, str]:
    """Store the sign-in of a user in a browser, and return it with the value of its cookie, which is always new.

    `previous` is the one that the browser had. If it is the same user's, its row is updated, so that the sessions
    of applications that came of it stay. If it is another user's, it is ended with them.

    Raises SecondFactorRequired if the user has a second factor and did not present one, and InvalidCredentials if
    the user was deleted, or the second factor removed, in the meantime.
    """
    raise NotImplementedError


def find(cookie_value: str) -> BrowserSignIn | None:
    """Return the sign-in of a cookie, or None if it is malformed, unknown, ended or expired.

    It has also ended if its owner is inactive or has changed their password. Takes one query.
    """
    raise NotImplementedError


def end(browser: BrowserSignIn, client: Client, reason: EndReason = EndReason.SIGNED_OUT) -> None:
    """End the sign-in of a browser, and every session of an application that came of it."""
    raise NotImplementedError
