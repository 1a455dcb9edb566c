class AuthError(Exception):
    """The service refused, or could not be reached; `code` says which, as the service spells it.

    This package adds `not_signed_in` (there is no session), `unreachable` (no answer came) and `locked` (another
    process holds the session's file, and does not let go).
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    @property
    def needs_sign_in(self) -> bool:
        """Whether the session is over, and nothing but a new sign-in helps."""
        return self.code == "not_signed_in" or self.code.startswith("refresh_token_")

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.code == "unreachable" or self.status in {429, 502, 503, 504}
