"""A list filter by user that completes names. Django's own filter would list every user on the page."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from accounts.admin.lists import BoundedAdmin
from accounts.models import User

_MAX_ID_DIGITS = 18  # any number of that length fits into a bigint


class _UserSelect(AutocompleteSelect):
    """A select with a placeholder. It is the accessible name of the select while no user is chosen."""

    def build_attrs(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the attributes, including the placeholder."""
        return {**super().build_attrs(*args, **options), "data-placeholder": gettext("Any user")}


class UserFilter(admin.SimpleListFilter):
    """Filters a list by user, whose name is completed while it is typed.

    `column` is the name of the foreign key to the user.
    """

    column: ClassVar[str]
    template = "admin/accounts/user_filter.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        self.parameter_name = f"{self.column}__id__exact"
        super().__init__(request, params, model, model_admin)
        self.admin_site = model_admin.admin_site
        self.foreign_key = model._meta.get_field(self.column)
        self.other_parameters = [
            (name, value) for name, value in request.GET.items() if name not in {self.parameter_name, "p"}
        ]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return no choices: the widget loads them when the user types."""
        return []

    def has_output(self) -> bool:
        """Return True, because Django hides a filter that has no choices."""
        return True

    def value(self) -> str | None:
        """Return the id of the chosen user, or None if none is chosen.

        For an invalid id it returns "0", which matches no user.
        """
        chosen = super().value()
        if not chosen:
            return None
        is_id = chosen.isascii() and chosen.isdecimal() and len(chosen) <= _MAX_ID_DIGITS
        return chosen if is_id else "0"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter to the rows of the chosen user."""
        return queryset if self.value() is None else queryset.filter(**{f"{self.column}_id": self.value()})

    def widget(self) -> SafeString:
        """Return the rendered select."""
        widget = _UserSelect(self.foreign_key, self.admin_site)
        field = forms.ModelChoiceField(User.objects.all(), widget=widget)
        rendered: SafeString = field.widget.render(self.parameter_name, self.value())
        return rendered


class ByUserAdmin(BoundedAdmin):
    """A list with a filter by user."""

    user_filter: ClassVar[type[UserFilter]]

    @property
    def media(self) -> forms.Media:
        """Return the scripts and styles, including those of the user filter."""
        foreign_key = self.model._meta.get_field(self.user_filter.column)
        scripts = forms.Media(js=["accounts/user-filter.js"])
        return super().media + AutocompleteSelect(foreign_key, self.admin_site).media + scripts


def link_to_user(user_id: int, text: str) -> str:
    """Return a link to a user's page in the admin."""
    url = reverse("admin:accounts_user_change", args=[user_id])
    return format_html('<a href="{0}" class="cut" title="{1}">{1}</a>', url, text)


def link_to(user: User | None) -> str:
    """Return a link to a user's page, or an empty string for None."""
    return "" if user is None else link_to_user(user.pk, user.username)
