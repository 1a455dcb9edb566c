"""The base of all lists in the admin: bounded counts, indexed sorting, and actions that ask for confirmation."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.db import DataError, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise, cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.dashboard import MAX_COUNT, bounded_count
from accounts.admin.display import NOTHING

_CSRF_FIELD = "csrfmiddlewaretoken"
_MAX_NAMES = 10  # of selected rows that a confirmation page lists

_Action = Callable[[Any, HttpRequest, Any], HttpResponse | None]


def requires_confirmation(title: str | Promise, consequences: str | Promise) -> Callable[[_Action], _Action]:
    """Return a decorator that shows a confirmation page before it runs an admin action.

    `title` says what the action does; its `{}` is replaced by the number and name of the selected rows, as in
    "Revoke 12 sessions". `consequences` explains the effects in full sentences. Both may be lazy translations.
    """

    def decorator(action: _Action) -> _Action:
        @wraps(action)
        def wrapper(self: "BoundedAdmin", request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            if "confirmed" in request.POST:
                return action(self, request, queryset)
            return confirmation_page(
                request,
                str(title).format(self.describe_selection(queryset)),
                consequences,
                back=request.get_full_path(),
                names=self._names_of(queryset),
            )

        return wrapper

    return decorator


def pluralize(count: int, singular: str, plural: str, *names: object) -> str:
    """Return the translated singular or plural template, filled with the count and the names."""
    return ngettext(singular, plural, count).format(count, *names)


def titled(kind: type[admin.FieldListFilter], title: str | Promise) -> type[admin.FieldListFilter]:
    """Return a filter with a translated title. By default it is the name of the field, which is not translated."""

    class Titled(kind):  # type: ignore[valid-type,misc]  # a variable as the base
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.title = title

    return Titled


def confirmation_page(
    request: HttpRequest,
    title: str | Promise,
    consequences: str | Promise,
    *,
    back: str,
    names: Sequence[str] = (),
) -> HttpResponse:
    """Return a page that asks for confirmation.

    Its form repeats the request with an additional field `confirmed`. `title` is also the label of the button,
    `back` is the URL to return to without a change, and `names` are those of the rows that change, or of the first
    ones.
    """
    context = {
        **admin.site.each_context(request),
        "title": title,
        "subtitle": None,
        "consequences": consequences,
        "back": back,
        "names": names,
        "form": [(name, values) for name, values in request.POST.lists() if name != _CSRF_FIELD],
    }
    return TemplateResponse(request, "admin/accounts/confirm.html", context)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic for the checker only
    """A paginator that stops counting at MAX_COUNT rows. Filters and the search find the rows beyond."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or MAX_COUNT if there are more."""
        rows: models.QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin passes nothing else
        return rows.order_by()[:MAX_COUNT].count()


class BoundedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for the checker only
    """An admin list that stays fast with any number of rows.

    It counts at most MAX_COUNT rows, sorts by the primary key only, and deletes rows one at a time. `names` are
    the singular and the plural name of the model, which may be lazy translations.
    """

    names: ClassVar[tuple[str | Promise, str | Promise] | None] = None
    deletion_consequences: ClassVar[str | Promise] = _("This cannot be undone.")

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    ordering = ("-pk",)
    sortable_by = ()
    empty_value_display = NOTHING

    class Media:
        css: ClassVar[dict[str, Sequence[str]]] = {"all": ["accounts/admin.css"]}

    def __init__(self, model: Any, admin_site: Any) -> None:
        if self.names:
            # Not in the model's `Meta`, whose names are part of the migrations.
            model._meta.verbose_name, model._meta.verbose_name_plural = self.names
        super().__init__(model, admin_site)

    def name_of(self, row: Any) -> str:
        """Return the name of a row, for titles and confirmation pages."""
        return str(row)

    def _names_of(self, queryset: QuerySet[Any]) -> list[str]:
        names = [self.name_of(row) for row in queryset[: _MAX_NAMES + 1]]
        return names if len(names) <= _MAX_NAMES else [*names[:_MAX_NAMES], "…"]

    def describe_selection(self, queryset: QuerySet[Any]) -> str:
        """Return the number and the name of the selected rows: "12 sessions"."""
        number = bounded_count(queryset)
        return f"{number} {self.opts.verbose_name if number == '1' else self.opts.verbose_name_plural}"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Return the list, or run an action on the selected rows.

        Raises django.core.exceptions.BadRequest if a value in the query or the selection is invalid.
        """
        try:
            title = capfirst(self.opts.verbose_name_plural)
            return super().changelist_view(request, {"title": title, **(extra_context or {})})
        except (ValueError, OverflowError, ValidationError, DataError) as error:
            raise BadRequest(f"Invalid query or selection: {type(error).__name__}") from None

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> HttpResponse:
        """Return the page of a row, with the kind and the name of the row as its title."""
        row = context["original"]
        if row is not None:
            context |= {"title": f"{capfirst(self.opts.verbose_name)} {self.name_of(row)}", "subtitle": None}
        return super().render_change_form(request, context, *args, **options)

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """Return the confirmation page of a deletion, which names the row and the effects."""
        name = self.name_of(context["object"])
        context |= {"name": name, "consequences": self.deletion_consequences}
        if not (context["perms_lacking"] or context["protected"]):
            context["title"] = gettext("Delete {} {}").format(self.opts.verbose_name, name)
        return super().render_delete_form(request, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return what administrators changed in a row, with the name of the row as the title."""
        response = super().history_view(request, object_id, extra_context)
        context = getattr(response, "context_data", None)  # None for a redirect, because the row does not exist
        if context is not None:
            name = self.name_of(context["object"])
            context |= {"name": name, "title": gettext("Log of changes: {}").format(name)}
        return response

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether one of the list's filters uses the lookup.

        Other lookups may scan the table, raise an exception, or disclose columns that the admin does not show.
        """
        if lookup in {getattr(entry, "parameter_name", None) for entry in self.list_filter}:
            return True
        field, _, condition = lookup.partition("__")
        fields = (entry[0] if isinstance(entry, tuple) else entry for entry in self.list_filter)
        names = {name for name in fields if isinstance(name, str)}
        columns = {getattr(entry, "column", "") for entry in self.list_filter}
        return field in names | columns and condition in {"exact", "id__exact", "name__exact", "isnull"}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions, without Django's bulk deletion.

        It loads every selected row with all related rows into memory.
        """
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions
