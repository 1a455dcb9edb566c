"""Registered services in the admin. A secret is shown once, right after it is generated."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin.application_forms import NamesField
from accounts.admin.display import active_badge, ago, moment, shorten
from accounts.admin.lists import BoundedAdmin, confirmation_page
from accounts.conf import auth_settings
from accounts.models import Role, Service
from accounts.sessions import services

_REPLACEMENT_CONSEQUENCES = _(
    "The current secret stops working now. The service is refused until it uses the new one, which is shown once."
)


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Registers or changes a service."""

    audiences = NamesField(
        required=False,
        label=_("Audiences of its own tokens"),
        help_text=_("The services that it may call with tokens of its own. Select none to refuse it such tokens."),
    )
    roles = NamesField(
        required=False, label=_("Roles in its own tokens"), help_text=_("What it may do at these services.")
    )

    class Meta:
        model = Service
        fields = ("client_id", "audience", "audiences", "roles", "is_active")
        labels: ClassVar = {"client_id": _("Client ID"), "audience": _("Audience"), "is_active": _("Active")}
        help_texts: ClassVar = {
            "client_id": _("The ID with which the service authenticates, as in orders-api."),
            "audience": _("The `aud` claim of tokens for this service. It can introspect no other access tokens."),
            "is_active": _("Clear this to refuse the service's requests."),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = {
            "audiences": auth_settings().audience,
            "roles": tuple(Role.objects.values_list("name", flat=True)),
        }
        for name, values in choices.items():
            if name in self.fields:  # read-only fields are not
                self.fields[name].offer(values, getattr(self.instance, name))  # type: ignore[attr-defined]


@admin.register(Service)
class ServiceAdmin(BoundedAdmin):
    """Manages the services that may introspect and revoke tokens."""

    names = (_("service"), _("services"))
    deletion_consequences = _("The service cannot authenticate any more, so its requests are refused from now on.")
    form = ServiceForm
    list_display = ("name", "audience_of_tokens", "state", "created")
    fields = ("client_id", "audience", "audiences", "roles", "is_active", "registered")
    readonly_fields = ("registered",)

    @admin.display(description=_("client ID"))
    def name(self, service: Service) -> str:
        """Return the id with which the service authenticates."""
        return shorten(service.client_id)

    @admin.display(description=_("audience"))
    def audience_of_tokens(self, service: Service) -> str:
        """Return the `aud` claim of tokens for the service."""
        return shorten(service.audience)

    @admin.display(description=_("state"))
    def state(self, service: Service) -> str:
        """Return whether the service may authenticate."""
        return active_badge(service)

    @admin.display(description=_("created"))
    def created(self, service: Service) -> str:
        """Return how long ago the service was registered."""
        return ago(gettext("created"), service.created_at)

    @admin.display(description=_("registered"))
    def registered(self, service: Service) -> str:
        """Return when the service was registered."""
        return moment(service.created_at)

    def get_fields(self, request: HttpRequest, obj: Service | None = None) -> tuple[str, ...]:
        """Return the fields. Only superusers can grant roles."""
        return tuple(name for name in self.fields if name != "roles" or request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        """Return whether the administrator may change the service.

        Only superusers may change one that has roles: a new secret is enough to use them.
        """
        is_privileged = obj is not None and bool(obj.roles) and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not is_privileged

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:  # noqa: FBT001
        """Save the service, and generate a secret for a new one."""
        if not change:
            obj.new_secret = services.new_secret(obj)  # type: ignore[attr-defined]  # for `response_add`
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: Service, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the new secret. Only its digest is stored, so it cannot be shown again."""
        return self._render_secret(request, obj, obj.new_secret)  # type: ignore[attr-defined]

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs, including the one that the button for a new secret posts to."""
        view = self.admin_site.admin_view(require_POST(self.generate_secret))
        return [path("<int:service_id>/secret/", view, name="accounts_service_secret"), *super().get_urls()]

    def generate_secret(self, request: HttpRequest, service_id: int) -> HttpResponse:
        """Replace the secret of a service after confirmation, and show the new one."""
        service = get_object_or_404(Service, pk=service_id)
        if not self.has_change_permission(request, service):
            raise PermissionDenied
        if "confirmed" not in request.POST:
            title = gettext("Replace the secret of {}").format(service)
            page = reverse("admin:accounts_service_change", args=[service_id])
            return confirmation_page(request, title, _REPLACEMENT_CONSEQUENCES, back=page)
        secret = services.new_secret(service)
        service.save(update_fields=["secret_digest"])
        self.log_change(request, service, "Generated a new secret.")
        return self._render_secret(request, service, secret)

    def _render_secret(self, request: HttpRequest, service: Service, secret: str) -> HttpResponse:
        """Return a page that contains the secret.

        A message on the next page would store the secret in a cookie or the database in between.
        """
        title = gettext("Secret of {}").format(service)
        context = {**self.admin_site.each_context(request), "title": title, "service": service, "secret": secret}
        return TemplateResponse(request, "admin/accounts/service/secret.html", context)
