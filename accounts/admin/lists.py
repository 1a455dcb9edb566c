"""Lists that stay usable at any number of rows."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.utils.functional import cached_property

MOST_ROWS = 1000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic for the checker only
    """Counts no further than a person pages. Who looks for more filters or searches."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, or MOST_ROWS if there are more."""
        rows: models.QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin passes nothing else
        return rows.order_by()[:MOST_ROWS].count()


class BoundedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for the checker only
    """Counts no whole table, sorts by the primary key alone, deletes one at a time."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    ordering = ("-pk",)
    sortable_by = ()

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out Django's bulk deletion, which loads all that is selected and all that hangs on it."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions
