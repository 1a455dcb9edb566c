"""Registered services in the admin. A secret is shown once, right after it is generated."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from accounts.admin.lists import BoundedAdmin
from accounts.models import Service
from accounts.sessions import services


@admin.register(Service)
class ServiceAdmin(BoundedAdmin):
    """Manages the services that may introspect and revoke tokens."""

    list_display = ("client_id", "audience", "is_active", "created_at")
    fields = ("client_id", "audience", "is_active", "created_at")
    readonly_fields = ("created_at",)

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
        """Replace the secret of a service, and show the new one."""
        service = get_object_or_404(Service, pk=service_id)
        if not self.has_change_permission(request, service):
            raise PermissionDenied
        secret = services.new_secret(service)
        service.save(update_fields=["secret_digest"])
        self.log_change(request, service, "Generated a new secret.")
        return self._render_secret(request, service, secret)

    def _render_secret(self, request: HttpRequest, service: Service, secret: str) -> HttpResponse:
        """Return a page that contains the secret.

        A message on the next page would store the secret in a cookie or the database in between.
        """
        context = {**self.admin_site.each_context(request), "service": service, "secret": secret}
        return TemplateResponse(request, "admin/accounts/service/secret.html", context)
