"""The user of a request in a project without users of its own."""

from dataclasses import dataclass

from authclient.verifier import AccessToken


@dataclass(frozen=True, slots=True)
class TokenUser:
    """The user of a token, without a database row. `pk` is the user's id at the token service."""

    pk: int
    roles: tuple[str, ...]

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __str__(self) -> str:
        return f"user {self.pk}"


def from_token(token: AccessToken) -> TokenUser:
    """Return the user of a token."""
    return TokenUser(int(token.subject), token.roles)
