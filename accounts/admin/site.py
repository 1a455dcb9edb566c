"""The admin site: the same limits on guessing as in the API."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from accounts.errors import Throttled


class SignInForm(AdminAuthenticationForm):
    """Says so when there were too many attempts."""

    def clean(self) -> dict[str, Any]:
        """Check the password.

        Raises ValidationError.
        """
        try:
            return super().clean()
        except Throttled as error:
            raise ValidationError(error.message, code=error.code) from None


class AuthAdminSite(AdminSite):
    """Django's admin site under this service's name and rules."""

    site_header = "Token authentication"
    site_title = "Token authentication"
    index_title = "Users and sessions"
    login_form = SignInForm
