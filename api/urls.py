"""Paths. Each works with and without its trailing slash, and none redirects: a POST would be lost."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, re_path

from accounts.users.email_verification import VERIFY_PAGE
from accounts.users.passwords import RESET_PAGE
from api.views import content, discovery, docs, email_verification, health, pages, passwords, services
from api.views.activity import ActivityList
from api.views.profile import Me
from api.views.reauthenticate import Reauthenticate
from api.views.refresh import Refresh
from api.views.sessions import Session, Sessions
from api.views.sign_in import SignIn
from api.views.sign_out import SignOut, SignOutAll
from api.views.sign_up import SignUp

_UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


def _at(path: str, view: Callable[..., Any], name: str) -> URLPattern:
    return re_path(rf"^{path}/?$", view, name=name)


urlpatterns = [
    # First what is asked for most: Django tries one after the other.
    _at("api/auth/refreshtoken", Refresh.as_view(), "refresh"),
    _at("api/auth/refreshToken", Refresh.as_view(), "refresh-as-some-spell-it"),
    _at("api/test/all", content.PublicContent.as_view(), "public-content"),
    _at("api/test/user", content.UserContent.as_view(), "user-content"),
    _at("api/test/mod", content.ModeratorContent.as_view(), "moderator-content"),
    _at("api/test/admin", content.AdminContent.as_view(), "admin-content"),
    _at("api/auth/signup", SignUp.as_view(), "sign-up"),
    _at("api/auth/signin", SignIn.as_view(), "sign-in"),
    _at("api/auth/signout", SignOut.as_view(), "sign-out"),
    _at("api/auth/signout-all", SignOutAll.as_view(), "sign-out-all"),
    _at("api/auth/sessions", Sessions.as_view(), "sessions"),
    _at(rf"api/auth/sessions/(?P<session_id>{_UUID})", Session.as_view(), "session"),
    _at("api/auth/activity", ActivityList.as_view(), "activity"),
    _at("api/auth/me", Me.as_view(), "me"),
    _at("api/auth/reauthenticate", Reauthenticate.as_view(), "reauthenticate"),
    _at("api/auth/password/change", passwords.PasswordChange.as_view(), "change-password"),
    _at("api/auth/password/reset", passwords.PasswordReset.as_view(), "reset-password"),
    _at("api/auth/password/reset/confirm", passwords.PasswordResetConfirm.as_view(), "reset-password-confirm"),
    _at("api/auth/email/verify", email_verification.EmailVerify.as_view(), "verify-email"),
    _at("api/auth/email/verify/resend", email_verification.EmailVerifyResend.as_view(), "resend-verification"),
    _at(RESET_PAGE, pages.ResetPasswordPage.as_view(), "reset-password-page"),
    _at(VERIFY_PAGE, pages.VerifyEmailPage.as_view(), "verify-email-page"),
    _at("api/oauth/introspect", services.Introspection.as_view(), "introspection"),
    _at("api/oauth/revoke", services.Revocation.as_view(), "revocation"),
    _at(r"\.well-known/jwks\.json", discovery.KeySet.as_view(), "keys"),
    _at(r"\.well-known/oauth-authorization-server(?:/[\w./-]*)?", discovery.Metadata.as_view(), "metadata"),
    _at("api/schema", docs.Schema.as_view(), "schema"),
    _at("api/docs", docs.Docs.as_view(url_name="schema"), "docs"),
    _at("healthz", health.Liveness.as_view(), "liveness"),
    _at("readyz", health.Readiness.as_view(), "readiness"),
    re_path(r"^$", pages.StartPage.as_view(), name="start"),
]
