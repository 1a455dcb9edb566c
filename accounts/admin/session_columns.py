"""What the admin shows of a session: the columns of the list, and the fields of its page."""

from uuid import UUID

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import display
from accounts.admin.display import ago, badge, moment, shorten, shorten_id, two_lines
from accounts.admin.user_filter import link_to_user
from accounts.models import EndReason, RefreshToken, SessionKind, SessionState
from accounts.values.authentication import (
    CODE_METHOD,
    DEVICE_BOUND_KEY_METHOD,
    PASSWORD_METHOD,
    SYNCED_KEY_METHOD,
)

_METHODS = {
    PASSWORD_METHOD: _("password"),
    CODE_METHOD: _("code"),
    DEVICE_BOUND_KEY_METHOD: _("passkey on one device"),
    SYNCED_KEY_METHOD: _("synced passkey"),
}
_MAX_CHILDREN = 20  # that the page of a browser's sign-in links to
_BADGES = {SessionState.LIVE: "good", SessionState.EXPIRED: "neutral", SessionState.ENDED: "warning"}


class SessionColumns:
    """The columns and fields of sessions. Each method returns the content of one."""

    @admin.display(description=_("session"))
    def short_id(self, session: RefreshToken) -> str:
        """Return the end of the id."""
        return shorten_id(session.pk)

    @admin.display(description=_("session ID"))
    def full_id(self, session: RefreshToken) -> str:
        """Return the whole id, by which the search finds the session."""
        return format_html('<span class="id">{}</span>', session.pk)

    @admin.display(description=_("owner"))
    def owner_link(self, session: RefreshToken) -> str:
        """Return a link to the owner."""
        return link_to_user(session.owner_id, session.owner.username)

    @admin.display(description=_("state"))
    def state(self, session: RefreshToken) -> str:
        """Return the state of the session, with the reason on hover if it has ended."""
        state = session.state(timezone.now())
        reason = gettext(session.end_reason_label) if state is SessionState.ENDED else ""
        kind = "bad" if session.end_reason == EndReason.REUSED else _BADGES[state]
        return badge(kind, gettext(state.label), reason)

    @admin.display(description=_("state"))
    def state_explanation(self, session: RefreshToken) -> str:
        """Return the state of the session in full sentences, with its consequences."""
        return format_html("{} {}", self.state(session), _explain(session))

    @admin.display(description=_("factors"))
    def level(self, session: RefreshToken) -> str:
        """Return the level of the session, the `acr` claim: 1, or 2 with a second factor."""
        level = session.authentication.level
        element = '<span class="label">{0} </span><span title="acr {1}">{1}</span>'
        return format_html(element, gettext("factors"), level)

    @admin.display(description=_("authentication"))
    def authentication(self, session: RefreshToken) -> str:
        """Return how the owner signed in, and when a second factor was last presented."""
        names = [gettext(str(_METHODS[method])) for method in session.authentication.methods if method in _METHODS]
        if session.second_factor_at is None:
            return ", ".join(names)
        return format_html(
            "{}; {} {}", ", ".join(names), gettext("second factor"), moment(session.second_factor_at)
        )

    @admin.display(description=_("device"))
    def device(self, session: RefreshToken) -> str:
        """Return the browser or app and the system, as far as the user agent identifies them."""
        return shorten(display.device(session.user_agent))

    @admin.display(description=_("device"))
    def device_and_application(self, session: RefreshToken) -> str:
        """Return the device, with the application below it."""
        return two_lines(display.device(session.user_agent), _holder(session))

    @admin.display(description=_("application"))
    def application_link(self, session: RefreshToken) -> str:
        """Return a link to the application that holds the tokens, or what else the session is."""
        if session.application is None:
            return _holder(session) or gettext("none: a sign-in at this service's own API")
        page = reverse("admin:accounts_application_change", args=[session.application.pk])
        return format_html('<a href="{}">{}</a>', page, session.application.name)

    @admin.display(description=_("single sign-on"))
    def relatives(self, session: RefreshToken) -> str:
        """Return links to the sign-in that the session came of, or to the sessions that came of it."""
        if session.parent_id is not None:
            return format_html("{} {}", gettext("came of"), _link_to_session(session.parent_id))
        children = list(session.children.order_by("-pk").values_list("pk", flat=True)[: _MAX_CHILDREN + 1])
        links = format_html_join(", ", "{}", ((_link_to_session(pk),) for pk in children[:_MAX_CHILDREN]))
        return format_html("{}{}", links, ", …") if len(children) > _MAX_CHILDREN else links

    @admin.display(description=_("IP address"))
    def ip_address(self, session: RefreshToken) -> str:
        """Return the IP address of the sign-in."""
        return shorten(session.address or "")

    @admin.display(description=_("user agent"))
    def browser_header(self, session: RefreshToken) -> str:
        """Return the User-Agent header of the sign-in."""
        return session.user_agent

    @admin.display(description=_("created"))
    def created(self, session: RefreshToken) -> str:
        """Return how long ago the session was started."""
        return ago(gettext("created"), session.created_at)

    @admin.display(description=_("last used"))
    def last_used(self, session: RefreshToken) -> str:
        """Return how long ago the session was last used."""
        return ago(gettext("last used"), session.last_used_at)

    @admin.display(description=_("signed in"))
    def signed_in(self, session: RefreshToken) -> str:
        """Return when the session was started."""
        return moment(session.created_at)

    @admin.display(description=_("password entered"))
    def password_entered(self, session: RefreshToken) -> str:
        """Return when the owner last entered the password: at sign-in, or to confirm an action."""
        return moment(session.authenticated_at)

    @admin.display(description=_("last used"))
    def used(self, session: RefreshToken) -> str:
        """Return when the session was last used, and how often it was refreshed."""
        if session.kind == SessionKind.BROWSER:
            return moment(session.last_used_at)
        refreshes = ngettext("refreshed {} time", "refreshed {} times", session.generation).format(
            session.generation
        )
        return format_html("{}, {}", moment(session.last_used_at), refreshes)

    @admin.display(description=_("expires without use"))
    def expires_unused(self, session: RefreshToken) -> str:
        """Return when the session expires unless it is refreshed before."""
        return moment(session.expires_at)

    @admin.display(description=_("expires at the latest"))
    def expires_anyway(self, session: RefreshToken) -> str:
        """Return when the session expires, however often it is refreshed."""
        return moment(session.session_expires_at)

    @admin.display(description=_("revoked"))
    def revoked(self, session: RefreshToken) -> str:
        """Return when the session was revoked."""
        return moment(session.ended_at)


def _holder(session: RefreshToken) -> str:
    """Return the name of the application, or that the session is the sign-in of a browser. Otherwise empty."""
    if session.kind == SessionKind.BROWSER:
        return gettext(SessionKind.BROWSER.label)
    return session.application.name if session.application else ""


def _link_to_session(session_id: UUID) -> SafeString:
    page = reverse("admin:accounts_refreshtoken_change", args=[session_id])
    return format_html('<a href="{}">{}</a>', page, shorten_id(session_id))


def _explain(session: RefreshToken) -> str:
    state = session.state(timezone.now())
    if state is SessionState.ENDED:
        return gettext("Reason: {}. Its tokens are rejected.").format(gettext(session.end_reason_label))
    if state is SessionState.LIVE and session.kind == SessionKind.BROWSER:
        return gettext("Applications sign the user in without another password.")
    if state is SessionState.LIVE:
        return gettext("Its access token is accepted, and its refresh token can be exchanged for a new one.")
    if session.expires_at < session.session_expires_at:
        return gettext("It was not refreshed in time. Its tokens are rejected, and the next purge deletes it.")
    return gettext("It reached its maximum lifetime. Its tokens are rejected, and the next purge deletes it.")
