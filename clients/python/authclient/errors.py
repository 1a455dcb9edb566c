class AuthError(Exception):
    """An error response of the service, or a failure to reach it. `code` is the service's error code.

    This package adds `not_signed_in` (there is no session), `unreachable` (no response), `unexpected_answer` (the
    response is not the service's) and `locked` (another process holds the lock of the session file).
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
        """Whether the session has ended and only a new sign-in helps."""
        return self.code == "not_signed_in" or self.code.startswith("refresh_token_")

    @property
    def may_pass(self) -> bool:
        """Whether a retry may succeed."""
        return self.code == "unreachable" or self.status in {429, 502, 503, 504}
