"""Authentication for the Django admin, with the same password check and rate limits as the API."""

from typing import Any

from django.contrib.auth.backends import ModelBackend

from accounts.errors import InvalidCredentials
from accounts.models import User
from accounts.users import credentials
from accounts.values.clients import NO_CLIENT, Client


class CredentialsBackend(ModelBackend):
    """An authentication backend that checks passwords as the API does, and permissions as Django does."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """Return the user, or None if the username or the password is wrong.

        Raises accounts.errors.Throttled after too many failed attempts, and EmailUnverified if the user has to
        verify the email address first.
        """
        if username is None or password is None:
            return None
        client = Client.from_environ(request.META) if request else NO_CLIENT
        try:
            return credentials.authenticate(username, password, client)
        except InvalidCredentials:
            return None
