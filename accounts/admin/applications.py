"""Applications in the admin. A secret is shown once, right after it is generated."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin.application_forms import ApplicationAddForm, ApplicationEditForm
from accounts.admin.display import active_badge, ago, moment, shorten
from accounts.admin.lists import BoundedAdmin, confirmation_page
from accounts.models import Application
from accounts.sso import registration
from accounts.values.clients import Client

_FIELDS = ("name", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "audiences")


class Change(NamedTuple):
    """A change that a button on the page of an application makes after confirmation."""

    title: str | Promise
    consequences: str | Promise
    log_message: str
    apply: Callable[..., object]
    done: str | Promise = ""
    """What the next page says. Empty for a change that returns a secret, which is shown instead."""


CHANGES = {
    "secret": Change(
        _("Generate a new secret for {}"),
        _(
            "The application can use both secrets until you drop the previous one. If there already is a previous "
            "one, it stops working now. The new secret is shown once."
        ),
        "Generated a new secret.",
        registration.rotate_secret,
    ),
    "drop": Change(
        _("Drop the previous secret of {}"),
        _("The previous secret stops working now. First make sure that the application uses the new one."),
        "Dropped the previous secret.",
        registration.finish_rotation,
        _("The previous secret was dropped."),
    ),
    "deactivate": Change(
        _("Deactivate {}"),
        _(
            "Its users cannot sign in to it, and its sessions end now. They stay signed in to this service and to "
            "other applications."
        ),
        "Deactivated.",
        registration.deactivate,
        _("The application was deactivated, and its sessions ended."),
    ),
    "activate": Change(
        _("Activate {}"),
        _("Its users can sign in to it again. Sessions that ended stay ended."),
        "Activated.",
        registration.activate,
        _("The application was activated."),
    ),
}


@admin.register(Application)
class ApplicationAdmin(BoundedAdmin):
    """Manages applications that sign their users in here.

    Only superusers may change them: to have an address of one's own registered is enough to receive the tokens of
    everyone who signs in.
    """

    names = (_("application"), _("applications"))
    deletion_consequences = _(
        "Its sessions end now, and its users cannot sign in to it any more. To keep it in the list, deactivate it."
    )
    form = ApplicationEditForm
    list_display = ("title", "identifier", "kind", "address", "state", "created")
    readonly_fields = ("identifier", "kind", "state", "secrets", "registered")

    @admin.display(description=_("name"))
    def title(self, application: Application) -> str:
        """Return the name that users see."""
        return shorten(application.name)

    @admin.display(description=_("client ID"))
    def identifier(self, application: Application) -> str:
        """Return the id in tokens."""
        return shorten(application.client_id)

    @admin.display(description=_("kind"))
    def kind(self, application: Application) -> str:
        """Return whether the application has a secret."""
        return gettext("confidential") if application.is_confidential else gettext("public")

    @admin.display(description=_("redirect addresses"))
    def address(self, application: Application) -> str:
        """Return the redirect addresses."""
        return shorten(" ".join(application.redirect_uris))

    @admin.display(description=_("state"))
    def state(self, application: Application) -> str:
        """Return whether users can sign in to the application."""
        return active_badge(application)

    @admin.display(description=_("secrets"))
    def secrets(self, application: Application) -> str:
        """Return how many secrets are valid."""
        if not application.is_confidential:
            return gettext("none, because the application is public")
        if application.previous_secret_digest:
            return gettext("two: the current one and the previous one")
        return gettext("one")

    @admin.display(description=_("created"))
    def created(self, application: Application) -> str:
        """Return how long ago the application was registered."""
        return ago(gettext("created"), application.created_at)

    @admin.display(description=_("registered"))
    def registered(self, application: Application) -> str:
        """Return when the application was registered."""
        return moment(application.created_at)

    def get_fields(self, request: HttpRequest, obj: Application | None = None) -> tuple[str, ...]:
        """Return the fields. What cannot be changed is a field only while an application is registered."""
        if obj is None:
            return ("name", "client_id", "is_confidential", *_FIELDS[1:])
        return (*_FIELDS, "identifier", "kind", "secrets", "state", "registered")

    def get_form(
        self,
        request: HttpRequest,
        obj: Application | None = None,
        change: bool = False,  # noqa: FBT001, FBT002  Django's signature
        **options: Any,
    ) -> Any:
        """Return the form for a new application, or for a registered one."""
        form = ApplicationEditForm if obj else ApplicationAddForm
        return super().get_form(request, obj, change, **{"form": form, **options})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the administrator is a superuser."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Application | None = None) -> bool:
        """Return whether the administrator is a superuser."""
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Application | None = None) -> bool:
        """Return whether the administrator is a superuser."""
        return bool(request.user.is_superuser)

    def save_model(self, request: HttpRequest, obj: Application, form: Any, change: bool) -> None:  # noqa: FBT001
        """Save the application. A new confidential one gets a secret."""
        client = Client.from_environ(request.META)
        if change:
            registration.change(obj, form.changed_data, client, by=request.user.pk)
        else:
            obj.new_secret = registration.register(obj, client, by=request.user.pk)  # type: ignore[attr-defined]  # for `response_add`

    def response_add(
        self, request: HttpRequest, obj: Application, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the new secret, of which only the digest is stored."""
        if obj.new_secret is None:  # type: ignore[attr-defined]
            return super().response_add(request, obj, post_url_continue)
        return self._render_secret(request, obj, obj.new_secret)  # type: ignore[attr-defined]

    def delete_model(self, request: HttpRequest, obj: Application) -> None:
        """End the sessions of the application, and delete it."""
        registration.delete(obj, Client.from_environ(request.META), by=request.user.pk)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[Any], list[Any]]:
        """Return nothing that is deleted with the application. Django would list every session on the page."""
        return [str(application) for application in objs], {}, set(), []

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs, including those that the buttons post to."""
        view = self.admin_site.admin_view(require_POST(self.change_application))
        pattern = "<int:application_id>/<slug:name>/confirm/"
        return [path(pattern, view, name="accounts_application_confirm"), *super().get_urls()]

    def change_application(self, request: HttpRequest, application_id: int, name: str) -> HttpResponse:
        """Make one of CHANGES after confirmation, and return to the page of the application."""
        application = get_object_or_404(Application, pk=application_id)
        if not self.has_change_permission(request, application):
            raise PermissionDenied
        if name not in CHANGES or (name in {"secret", "drop"} and not application.is_confidential):
            raise Http404
        change = CHANGES[name]
        page = reverse("admin:accounts_application_change", args=[application_id])
        if "confirmed" not in request.POST:
            title = str(change.title).format(application.name)
            return confirmation_page(request, title, change.consequences, back=page)
        result = change.apply(application, Client.from_environ(request.META), by=request.user.pk)
        self.log_change(request, application, change.log_message)
        if isinstance(result, str):
            return self._render_secret(request, application, result)
        self.message_user(request, str(change.done), messages.SUCCESS)
        return HttpResponseRedirect(page)

    def _render_secret(self, request: HttpRequest, application: Application, secret: str) -> HttpResponse:
        """Return a page that contains the secret. A message would store it in a cookie or the database."""
        title = gettext("Secret of {}").format(application.name)
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "application": application,
            "secret": secret,
        }
        return TemplateResponse(request, "admin/accounts/application/secret.html", context)
