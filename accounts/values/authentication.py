"""How a user authenticated: the methods of RFC 8176 and the level that they reach."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

PASSWORD_METHOD = "pwd"  # noqa: S105  the name of a method
CODE_METHOD = "otp"
DEVICE_BOUND_KEY_METHOD = "hwk"
SYNCED_KEY_METHOD = "swk"
USER_VERIFIED_METHOD = "user"
SEVERAL_FACTORS_METHOD = "mfa"

METHODS = (
    PASSWORD_METHOD,
    CODE_METHOD,
    DEVICE_BOUND_KEY_METHOD,
    SYNCED_KEY_METHOD,
    USER_VERIFIED_METHOD,
    SEVERAL_FACTORS_METHOD,
)
"""The methods that this service uses, in the order in which tokens list them."""

METHODS_LENGTH = 40
"""Enough for all methods, joined with blanks."""

SINGLE_FACTOR = 1
SEVERAL_FACTORS = 2

LEVELS = (SINGLE_FACTOR, SEVERAL_FACTORS)
"""The levels, which are the values of the `acr` claim."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """The authentication methods of a session: the `amr` claim (RFC 8176), in the order of METHODS."""

    methods: tuple[str, ...]

    @classmethod
    def of(cls, methods: Collection[str]) -> Self:
        """Return the authentication by these methods. Methods that this service does not use are ignored."""
        return cls(tuple(method for method in METHODS if method in methods))

    @classmethod
    def parse(cls, joined: str) -> Self:
        """Return the authentication whose methods are stored as `joined`."""
        return cls.of(joined.split())

    @property
    def joined(self) -> str:
        """The methods as they are stored: joined with blanks."""
        return " ".join(self.methods)

    @property
    def level(self) -> int:
        """The level that the methods reach: the `acr` claim."""
        return SEVERAL_FACTORS if SEVERAL_FACTORS_METHOD in self.methods else SINGLE_FACTOR

    def with_second_factor(self, factor: "Authentication") -> "Authentication":
        """Return this authentication with a verified second factor added."""
        return self.of({*self.methods, *factor.methods, SEVERAL_FACTORS_METHOD})


BY_PASSWORD = Authentication((PASSWORD_METHOD,))
BY_CODE = Authentication((CODE_METHOD,))
