"""The admin site, with the same rate limits on passwords as the API, and the same effects of a new password."""

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth import SESSION_KEY, update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.admin.dashboard import figures_for
from accounts.admin.second_factor import (
    AUTH_SESSION_FIELD,
    LEVEL_KEY,
    SecondFactorForm,
    SignInForm,
    has_required_level,
)
from accounts.errors import InvalidPassword, Throttled
from accounts.history.events import MAX_HISTORY_ENTRIES_PER_DAY
from accounts.users import credentials, passwords
from accounts.values.clients import Client


class OwnPasswordForm(AdminPasswordChangeForm):
    """The form for one's own password.

    A wrong old password counts as a failed sign-in. Without that limit, anyone with access to an unlocked browser
    could guess the password.
    """

    def __init__(self, *args: Any, client: Client, **options: Any) -> None:
        self.client = client
        super().__init__(*args, **options)

    def clean_old_password(self) -> str:
        """Return the old password.

        Raises ValidationError if it is wrong or the rate limit is reached.
        """
        old_password: str = self.cleaned_data["old_password"]
        try:
            credentials.confirm(self.user.pk, old_password, self.client)
        except InvalidPassword as error:
            raise ValidationError(self.error_messages["password_incorrect"], code=error.code) from None
        except Throttled as error:
            raise ValidationError(error.message, code=error.code) from None
        return old_password


class OwnPasswordView(PasswordChangeView):
    """The page on which administrators change their own password."""

    form_class = OwnPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """Return the form's arguments, including the client for the rate limit."""
        return {**super().get_form_kwargs(), "client": Client.from_environ(self.request.META)}

    def form_valid(self, form: Any) -> HttpResponse:
        """Store the password, which ends every API session. This browser stays signed in to the admin."""
        passwords.set_password(form.user, form.cleaned_data["new_password1"], form.client, by=form.user.pk)
        update_session_auth_hash(self.request, form.user)
        return HttpResponseRedirect(self.get_success_url())


class AuthAdminSite(AdminSite):
    """The admin site of this service."""

    site_header = _("Token authentication")
    site_title = _("Token authentication")
    index_title = _("Users and sessions")
    login_form = SignInForm
    login_template = "admin/accounts/login.html"
    index_template = "admin/accounts/index.html"
    enable_nav_sidebar = False  # the header links to the lists, and the width is left to their columns

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether the user is staff and has signed in here: an access token does not open the admin."""
        is_own_session = request.session.get(SESSION_KEY) == str(request.user.pk)
        return is_own_session and super().has_permission(request) and has_required_level(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Return the sign-in page, or process its form: the password, or the second factor."""
        step = copy.copy(self)
        step.login_form = SecondFactorForm if AUTH_SESSION_FIELD in request.POST else SignInForm  # type: ignore[assignment]  # LoginView needs only its methods
        response = super(AuthAdminSite, step).login(request, extra_context)
        if hasattr(request, "admin_level"):  # signed in by this request
            request.session[LEVEL_KEY] = request.admin_level
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Return the first page, with counts of sessions and events."""
        context = {
            "figures": figures_for(request.user),
            "max_per_day": MAX_HISTORY_ENTRIES_PER_DAY,
            **(extra_context or {}),
        }
        return super().index(request, context)

    def admin_view(
        self,
        view: Callable[..., Any],
        cacheable: bool = False,  # noqa: FBT001, FBT002  Django's signature
    ) -> Any:
        """Wrap a view so that it rejects NUL characters, which PostgreSQL cannot store or compare.

        The view raises django.core.exceptions.BadRequest for them.
        """
        protected_view = super().admin_view(view, cacheable)

        @wraps(protected_view)
        def wrapper(request: HttpRequest, *args: Any, **options: Any) -> Any:
            queries = (request.GET.urlencode(), request.POST.urlencode(), quote(request.path_info))
            if any("%00" in query for query in queries):
                raise BadRequest("NUL characters are not allowed.")
            return protected_view(request, *args, **options)

        return wrapper

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Return the page for one's own password, or process its form."""
        view = OwnPasswordView.as_view(
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        request.current_app = self.name
        return view(request)
