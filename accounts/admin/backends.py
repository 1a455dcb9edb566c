"""Signs people into the Django admin by the same rule, and under the same limits, as the API."""

from typing import Any

from django.contrib.auth.backends import ModelBackend

from accounts.errors import InvalidCredentials
from accounts.models import User
from accounts.users import credentials
from accounts.values.clients import NO_CLIENT, Client


class CredentialsBackend(ModelBackend):
    """Django's permissions, with this service's way to check a password."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """Return the user, or None.

        Raises accounts.errors.Throttled or EmailUnverified.
        """
        if username is None or password is None:
            return None
        client = Client.from_environ(request.META) if request else NO_CLIENT
        try:
            return credentials.authenticate(username, password, client)
        except InvalidCredentials:
            return None
