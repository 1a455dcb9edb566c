"""Authentication for the Django admin, with the same password check and rate limits as the API."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.db.models import QuerySet

from accounts.databases import alias_of
from accounts.errors import InvalidCredentials
from accounts.factor_errors import SecondFactorRequired
from accounts.models import User
from accounts.users import sign_in
from accounts.users.sign_in import SignInOptions
from accounts.values.clients import NO_CLIENT, Client


class CredentialsBackend(ModelBackend):
    """An authentication backend that checks passwords as the API does, and permissions as Django does."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """Return the user, or None if the username or the password is wrong or the user has a second factor.

        Django's own sign-in cannot ask for a factor. The admin of this service does (`accounts.admin.site`).

        Raises accounts.errors.Throttled after too many failed attempts, and EmailUnverified if the user has to
        verify the email address first.
        """
        if username is None or password is None:
            return None
        client = Client.from_environ(request.META) if request else NO_CLIENT
        try:
            authenticated = sign_in.with_password(username, password, client, SignInOptions())
        except (InvalidCredentials, SecondFactorRequired):
            return None
        return authenticated.user

    # A permission that was revoked must not live on in a replica.

    def _get_user_permissions(self, user_obj: Any) -> QuerySet[Permission]:
        found: QuerySet[Permission] = super()._get_user_permissions(user_obj)  # type: ignore[misc]  # not in the stubs
        return found.using(alias_of(User))

    def _get_group_permissions(self, user_obj: Any) -> QuerySet[Permission]:
        found: QuerySet[Permission] = super()._get_group_permissions(user_obj)  # type: ignore[misc]  # not in the stubs
        return found.using(alias_of(User))
