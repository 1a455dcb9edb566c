"""The second step of the admin's sign-in, which works without scripts for codes."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import UsernameField
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.conf import auth_settings
from accounts.errors import AuthError, EmailUnverified, InvalidCredentials, Throttled
from accounts.factor_errors import SecondFactorRequired
from accounts.factors.enrollment import STAFF
from accounts.factors.verification import PresentedFactor
from accounts.history.events import Event, record
from accounts.models import PendingSignIn, User
from accounts.users import sign_in
from accounts.users.sign_in import Authenticated, SignInOptions
from accounts.values.authentication import SEVERAL_FACTORS
from accounts.values.clients import NO_CLIENT, Client

AUTH_SESSION_FIELD = "auth_session"
LEVEL_KEY = "authentication_level"
"""Where the Django session stores the level at which the administrator signed in."""


class SecondFactorForm(forms.Form):
    """Asks for a code, a recovery code or, with a script, a passkey. LoginView uses it like its own form."""

    auth_session = forms.CharField(widget=forms.HiddenInput)
    code = forms.CharField(
        label=_("Code"),
        required=False,
        max_length=40,
        help_text=_("From your authenticator app, or one of your recovery codes."),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )
    passkey = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, request: HttpRequest | None = None, *args: Any, **options: Any) -> None:
        self.request = request
        self.user: User | None = None
        super().__init__(*args, **options)

    @property
    def options(self) -> dict[str, Any] | None:
        """The options with which a script asks for a passkey, or None if the user has none."""
        return sign_in.passkey_options_for(self._pending()) if self._has_passkey() else None

    def get_user(self) -> User | None:
        """Return the user, once the form is valid."""
        return self.user

    def clean(self) -> dict[str, Any]:
        """Verify the factor, unless a field is invalid: `login()` is not called then, so no user must be admitted.

        Raises ValidationError if it is wrong, the sign-in has expired, or the user may not use the admin.
        """
        if self.errors:
            return self.cleaned_data
        client = _client(self.request)
        try:
            authenticated = sign_in.with_second_factor(self._pending(), self._presented(), client)
        except AuthError as error:
            raise ValidationError(error.message, code=error.code) from None
        self.user = admit(authenticated, self.request)
        return self.cleaned_data

    def _presented(self) -> PresentedFactor:
        return PresentedFactor.from_form(self.cleaned_data.get("code", ""), self.cleaned_data.get("passkey", ""))

    def _pending(self) -> PendingSignIn:
        return sign_in.find_pending(self.data.get(AUTH_SESSION_FIELD) or self.initial.get(AUTH_SESSION_FIELD, ""))

    def _has_passkey(self) -> bool:
        try:
            return self._pending().owner.has_passkey
        except AuthError:
            return False


class SignInForm(AdminAuthenticationForm):
    """The admin's sign-in form. If the user has a second factor, `second_step` is the form that asks for it."""

    username = UsernameField(
        label=_("Username or email address"),
        widget=forms.TextInput(attrs={"autofocus": True, "autocapitalize": "none", "autocomplete": "username"}),
    )

    second_step: SecondFactorForm | None = None

    def clean(self) -> dict[str, Any]:
        """Authenticate the user.

        Raises ValidationError if the credentials are wrong, the rate limit is reached, the email address is not
        verified, a second factor is missing, or the user may not use the admin.
        """
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username is None or not password:
            return self.cleaned_data
        try:
            authenticated = sign_in.with_password(username, password, _client(self.request), SignInOptions())
        except InvalidCredentials:
            raise self.get_invalid_login_error() from None
        except SecondFactorRequired as error:
            self.second_step = SecondFactorForm(initial={AUTH_SESSION_FIELD: error.sign_in.auth_session})  # type: ignore[union-attr]  # set at a sign-in
            raise ValidationError("") from None
        except (Throttled, EmailUnverified) as error:
            raise ValidationError(error.message, code=error.code) from None
        self.user_cache = admit(authenticated, self.request)
        return self.cleaned_data


def admit(authenticated: Authenticated, request: HttpRequest | None) -> User:
    """Record the sign-in to the admin and return the user, for `login()`.

    Raises ValidationError if the user is not staff, or lacks the second factor that AUTH_SECOND_FACTOR_ROLES
    requires; that is recorded as a failed sign-in.
    """
    user, level, client = authenticated.user, authenticated.authentication.level, _client(request)
    message = _reason_against(user, level)
    if message:
        record(Event.SIGN_IN_FAILED, client=client, user_id=user.pk)
        raise ValidationError(message, code="not_admitted")
    record(Event.ADMIN_SIGN_IN_SUCCEEDED, client=client, user_id=user.pk)
    user.backend = "accounts.admin.backends.CredentialsBackend"  # for `login()`
    if request is not None:
        request.admin_level = level  # type: ignore[attr-defined]  # AuthAdminSite.login stores it in the new session
    return user


def has_required_level(request: HttpRequest) -> bool:
    """Return whether the administrator presented the second factor that AUTH_SECOND_FACTOR_ROLES requires.

    A factor that was removed since does not count any more.
    """
    if STAFF not in auth_settings().second_factor_roles:
        return True
    user: Any = request.user
    return request.session.get(LEVEL_KEY) == SEVERAL_FACTORS and user.has_second_factor


def _reason_against(user: User, level: int) -> str:
    if not user.is_staff:
        return str(AdminAuthenticationForm.error_messages["invalid_login"] % {"username": "username"})
    if level < SEVERAL_FACTORS and STAFF in auth_settings().second_factor_roles:
        return (
            "The admin requires a second factor. Add an authenticator app or a passkey to your account, for "
            "example on the start page of this service, and sign in again."
        )
    return ""


def _client(request: HttpRequest | None) -> Client:
    return Client.from_environ(request.META) if request else NO_CLIENT
