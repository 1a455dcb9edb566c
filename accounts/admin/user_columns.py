"""What the admin shows of a user: the columns of the list, and the read-only fields of the user's page."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.display import active_badge, ago, badge, moment, shorten
from accounts.factors import listing, recovery_codes
from accounts.factors.listing import Factor
from accounts.history.events import Event
from accounts.models import Activity, User


class UserColumns:
    """The columns and read-only fields of users. Each method returns the content of one."""

    @admin.display(description=_("username"))
    def name(self, user: User) -> str:
        """Return the username."""
        return shorten(user.username)

    @admin.display(description=_("email address"))
    def address(self, user: User) -> str:
        """Return the email address."""
        return shorten(user.email)

    @admin.display(description=_("full name"))
    def person(self, user: User) -> str:
        """Return the full name."""
        return shorten(user.fullname)

    @admin.display(description=_("state"))
    def state(self, user: User) -> str:
        """Return whether the user may sign in."""
        return active_badge(user)

    @admin.display(description=_("admin access"))
    def admin_access(self, user: User) -> str:
        """Return whether the user can sign in to the admin, and with which rights."""
        if not user.is_staff:
            return ""
        return badge("warning", gettext("superuser") if user.is_superuser else gettext("staff"))

    @admin.display(description=_("created"))
    def created(self, user: User) -> str:
        """Return how long ago the account was created."""
        return ago(gettext("created"), user.created_at)

    @admin.display(description=_("sessions"))
    def sessions_link(self, user: User) -> str:
        """Return a link to the user's sessions."""
        url = reverse("admin:accounts_refreshtoken_changelist")
        return format_html('<a href="{}?owner__id__exact={}">{}</a>', url, user.pk, gettext("sessions"))

    @admin.display(description=_("registered"))
    def registered(self, user: User) -> str:
        """Return when the account was created."""
        return moment(user.created_at)

    @admin.display(description=_("last sign-in"))
    def last_sign_in(self, user: User) -> str:
        """Return the time of the last sign-in in the security history, to the API or the admin."""
        signed_in = (Event.SIGN_IN_SUCCEEDED, Event.ADMIN_SIGN_IN_SUCCEEDED)
        entries = Activity.objects.filter(user=user, event__in=signed_in).order_by("-pk")
        return moment(entries.values_list("at", flat=True).first())

    @admin.display(description=_("email verified"))
    def email_verified(self, user: User) -> str:
        """Return when the user last confirmed the email address."""
        return moment(user.email_verified_at) or gettext("No")

    @admin.display(description=_("second factors"))
    def second_factors(self, user: User) -> str:
        """Return the user's second factors with their last use, and how many recovery codes are left."""
        factors = listing.factors_of(user)
        if not factors:
            return gettext("None")
        lines = [(_describe(factor),) for factor in factors]
        left = recovery_codes.count(user)
        lines.append((ngettext("{} recovery code is left", "{} recovery codes are left", left).format(left),))
        return format_html_join("", "{}<br>", lines)

    @admin.display(description=_("password"))
    def password_state(self, user: User) -> str:
        """Return whether the user has a password, with a link to change it."""
        state = gettext("Set") if user.has_usable_password() else gettext("Not set, so the user cannot sign in")
        return format_html('{} (<a href="../password/">{}</a>)', state, gettext("change password"))


def _describe(factor: Factor) -> str:
    kind = gettext("Passkey") if factor.type == listing.PASSKEY else gettext("Authenticator app")
    used = moment(factor.last_used_at) or gettext("never")
    return format_html("{} “{}”, {}: {}", kind, factor.name, gettext("last used"), used)
