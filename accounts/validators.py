"""Rules for new passwords beyond Django's own (NIST SP 800-63B section 3.1.1)."""

from django.core.exceptions import ValidationError

PASSWORD_LENGTH = 128
"""The longest password, in characters; a longer one is refused before it is hashed."""


class MaximumLengthValidator:
    """Refuses passwords that would make hashing a way to keep the server busy."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError where the password is too long."""
        if len(password) > PASSWORD_LENGTH:
            raise ValidationError(
                f"This password is too long. It must contain at most {PASSWORD_LENGTH} characters.",
                code="password_too_long",
            )

    def get_help_text(self) -> str:
        """Say the rule to a person."""
        return f"Your password can contain at most {PASSWORD_LENGTH} characters."
