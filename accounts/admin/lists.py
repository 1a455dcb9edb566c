"""Lists that stay usable at any number of rows."""

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
from django.utils.functional import cached_property

from accounts.admin.dashboard import MAX_COUNT, bounded_count

_CSRF_FIELD = "csrfmiddlewaretoken"

_Action = Callable[[Any, HttpRequest, Any], HttpResponse | None]


def requires_confirmation(question: str) -> Callable[[_Action], _Action]:
    """Have an action say to how many rows it is about to be done, and do it once that is confirmed."""

    def decorator(action: _Action) -> _Action:
        @wraps(action)
        def wrapper(self: "BoundedAdmin", request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            if "confirmed" in request.POST:
                return action(self, request, queryset)
            title = self.get_actions(request)[action.__name__][2]
            number = bounded_count(queryset)
            noun = self.opts.verbose_name if number == "1" else self.opts.verbose_name_plural
            chosen = f"{number} {noun}"
            return confirmation_page(request, title, chosen, question, back=request.get_full_path())

        return wrapper

    return decorator


def pluralize(count: int, singular: str, plural: str, *names: object) -> str:
    """Say what was done to how many: `one` for one of them, else `more`."""
    return (singular if count == 1 else plural).format(count, *names)


def confirmation_page(
    request: HttpRequest, title: str, chosen: object, question: str, *, back: str
) -> HttpResponse:
    """Ask whether something is really to be done to what was chosen; a yes posts the same form, `confirmed`."""
    context = {
        **admin.site.each_context(request),
        "title": title,
        "subtitle": None,
        "chosen": chosen,
        "question": question,
        "back": back,
        "form": [(name, values) for name, values in request.POST.lists() if name != _CSRF_FIELD],
    }
    return TemplateResponse(request, "admin/accounts/confirm.html", context)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic for the checker only
    """Counts no further than a person pages. Who looks for more filters or searches."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, or MAX_COUNT if there are more."""
        rows: models.QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin passes nothing else
        return rows.order_by()[:MAX_COUNT].count()


class BoundedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for the checker only
    """Counts no whole table, sorts by the primary key alone, deletes one at a time."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    ordering = ("-pk",)
    sortable_by = ()

    class Media:
        css: ClassVar[dict[str, Sequence[str]]] = {"all": ["accounts/admin.css"]}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, or run an action on a selection; refuse a selection or query that names nothing.

        Raises django.core.exceptions.BadRequest.
        """
        try:
            return super().changelist_view(request, extra_context)
        except (ValueError, OverflowError, ValidationError, DataError) as error:
            raise BadRequest(f"The query or the selection is not valid: {type(error).__name__}") from None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow what the filters ask for: other lookups are slow, or fail, or tell what is not shown."""
        if lookup in {getattr(entry, "parameter_name", None) for entry in self.list_filter}:
            return True
        field, _, condition = lookup.partition("__")
        names = {entry for entry in self.list_filter if isinstance(entry, str)}
        columns = {getattr(entry, "column", "") for entry in self.list_filter}
        return field in names | columns and condition in {"exact", "id__exact", "name__exact", "isnull"}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out Django's bulk deletion, which loads all that is selected and all that hangs on it."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions
