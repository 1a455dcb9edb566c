"""A filter by user that asks for a few names at a time, where Django's own would list every user."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.lists import BoundedAdmin
from accounts.models import User

_MAX_ID_DIGITS = 18  # digits, which any database takes for a bigint


class _UserSelect(AutocompleteSelect):
    """Says what it means while nobody is chosen, which is all that a screen reader has for a name."""

    def build_attrs(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Add it."""
        return {**super().build_attrs(*args, **options), "data-placeholder": "anyone"}


class UserFilter(admin.SimpleListFilter):
    """Chooses one user by the beginning of the username or e-mail address; `column` refers to the user."""

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
        """Offer none: the widget asks for them."""
        return []

    def has_output(self) -> bool:
        """Tell that the filter is shown although it offers nothing by itself."""
        return True

    def value(self) -> str | None:
        """Return the id chosen; 0, which nobody has, where it is none."""
        chosen = super().value()
        if not chosen:
            return None
        is_id = chosen.isascii() and chosen.isdecimal() and len(chosen) <= _MAX_ID_DIGITS
        return chosen if is_id else "0"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of the user chosen."""
        return queryset if self.value() is None else queryset.filter(**{f"{self.column}_id": self.value()})

    def widget(self) -> SafeString:
        """Render the field that completes a name."""
        widget = _UserSelect(self.foreign_key, self.admin_site)
        field = forms.ModelChoiceField(User.objects.all(), widget=widget)
        rendered: SafeString = field.widget.render(self.parameter_name, self.value())
        return rendered


class ByUserAdmin(BoundedAdmin):
    """A list that is filtered by user, with what completes a user's name."""

    user_filter: ClassVar[type[UserFilter]]

    change_list_template = "admin/accounts/by_user.html"

    @property
    def media(self) -> forms.Media:
        """Bring it."""
        foreign_key = self.model._meta.get_field(self.user_filter.column)
        return super().media + AutocompleteSelect(foreign_key, self.admin_site).media


def link_to_user(user_id: int, text: str) -> str:
    """Lead to a user."""
    return format_html('<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[user_id]), text)
