"""The API's paths.

Each works with and without a trailing slash and never redirects, because a redirect would lose the body of a POST.
"""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, re_path

from api.views import (
    content,
    discovery,
    docs,
    email_verification,
    factors,
    health,
    hosted,
    hosted_accounts,
    mail_links,
    oauth,
    pages,
    passwords,
    services,
)
from api.views.activity import ActivityList
from api.views.authorize import Authorize
from api.views.hosted_sign_out import SignOutPage
from api.views.profile import Me
from api.views.reauthenticate import PasskeyReauthenticationOptions, Reauthenticate
from api.views.refresh import Refresh
from api.views.sessions import Session, Sessions
from api.views.sign_in import PasskeySignInOptions, SignIn, SignInWithPasskey, SignInWithSecondFactor
from api.views.sign_out import SignOut, SignOutAll
from api.views.sign_up import SignUp

_UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


def _path(path: str, view: Callable[..., Any], name: str) -> URLPattern:
    return re_path(rf"^{path}/?$", view, name=name)


urlpatterns = [
    # The most frequent paths come first, because Django tries them in order.
    _path("api/auth/refreshtoken", Refresh.as_view(), "refresh"),
    _path("api/auth/refreshToken", Refresh.as_view(), "refresh-camel-case"),
    _path("api/test/all", content.PublicContent.as_view(), "public-content"),
    _path("api/test/user", content.UserContent.as_view(), "user-content"),
    _path("api/test/mod", content.ModeratorContent.as_view(), "moderator-content"),
    _path("api/test/admin", content.AdminContent.as_view(), "admin-content"),
    _path("api/auth/signup", SignUp.as_view(), "sign-up"),
    _path("api/auth/signin", SignIn.as_view(), "sign-in"),
    _path("api/auth/signin/second-factor", SignInWithSecondFactor.as_view(), "sign-in-second-factor"),
    _path("api/auth/signin/passkey/options", PasskeySignInOptions.as_view(), "sign-in-passkey-options"),
    _path("api/auth/signin/passkey", SignInWithPasskey.as_view(), "sign-in-passkey"),
    _path("api/auth/signout", SignOut.as_view(), "sign-out"),
    _path("api/auth/signout-all", SignOutAll.as_view(), "sign-out-all"),
    _path("api/auth/sessions", Sessions.as_view(), "sessions"),
    _path(rf"api/auth/sessions/(?P<session_id>{_UUID})", Session.as_view(), "session"),
    _path("api/auth/activity", ActivityList.as_view(), "activity"),
    _path("api/auth/me", Me.as_view(), "me"),
    _path("api/auth/reauthenticate", Reauthenticate.as_view(), "reauthenticate"),
    _path(
        "api/auth/reauthenticate/passkey/options",
        PasskeyReauthenticationOptions.as_view(),
        "reauthenticate-passkey-options",
    ),
    _path("api/auth/password/change", passwords.PasswordChange.as_view(), "change-password"),
    _path("api/auth/password/reset", passwords.PasswordReset.as_view(), "reset-password"),
    _path("api/auth/password/reset/confirm", passwords.PasswordResetConfirm.as_view(), "reset-password-confirm"),
    _path("api/auth/email/verify", email_verification.EmailVerify.as_view(), "verify-email"),
    _path("api/auth/email/verify/resend", email_verification.EmailVerifyResend.as_view(), "resend-verification"),
    _path("api/auth/factors", factors.Factors.as_view(), "factors"),
    _path("api/auth/factors/totp", factors.Authenticators.as_view(), "add-authenticator"),
    _path("api/auth/factors/totp/confirm", factors.AuthenticatorConfirmation.as_view(), "confirm-authenticator"),
    _path("api/auth/factors/passkeys/options", factors.PasskeyOptions.as_view(), "passkey-creation-options"),
    _path("api/auth/factors/passkeys", factors.Passkeys.as_view(), "add-passkey"),
    _path("api/auth/factors/recovery-codes", factors.RecoveryCodes.as_view(), "renew-recovery-codes"),
    _path(rf"api/auth/factors/(?P<factor_id>{_UUID})", factors.FactorDetail.as_view(), "factor"),
    # Single sign-on: the authorization endpoint, and the hosted pages.
    _path("authorize", Authorize.as_view(), "authorize"),
    _path("sign-in", hosted.SignInPage.as_view(), "sign-in-page"),
    _path("sign-in/second-factor", hosted.SecondFactorPage.as_view(), "second-factor-page"),
    _path("sign-up", hosted_accounts.SignUpPage.as_view(), "sign-up-page"),
    _path("choose-account", hosted.ChooseAccountPage.as_view(), "choose-account"),
    _path("forgot-password", hosted_accounts.ForgotPasswordPage.as_view(), "forgot-password"),
    _path("resend-verification", hosted_accounts.ResendVerificationPage.as_view(), "resend-verification-page"),
    _path("signout", SignOutPage.as_view(), "sign-out-page"),
    # The defaults of AUTH_RESET_URL, AUTH_INVITATION_URL and AUTH_VERIFY_URL.
    _path("reset-password", mail_links.ResetPasswordPage.as_view(), "reset-password-page"),
    _path("invitation", mail_links.InvitationPage.as_view(), "invitation-page"),
    _path("verify-email", mail_links.VerifyEmailPage.as_view(), "verify-email-page"),
    _path("api/oauth/token", oauth.Token.as_view(), "token"),
    _path("api/oauth/userinfo", oauth.UserInfo.as_view(), "userinfo"),
    _path("api/oauth/introspect", services.Introspection.as_view(), "introspection"),
    _path("api/oauth/revoke", services.Revocation.as_view(), "revocation"),
    _path(r"\.well-known/jwks\.json", discovery.KeySet.as_view(), "keys"),
    _path(r"\.well-known/openid-configuration", discovery.ProviderMetadata.as_view(), "provider-metadata"),
    _path(r"\.well-known/oauth-authorization-server(?:/[\w./-]*)?", discovery.Metadata.as_view(), "metadata"),
    _path(r"\.well-known/webauthn", discovery.RelatedOrigins.as_view(), "related-origins"),
    _path("api/schema", docs.Schema.as_view(), "schema"),
    _path("api/docs", docs.Docs.as_view(), "docs"),
    _path("healthz", health.Liveness.as_view(), "liveness"),
    _path("readyz", health.Readiness.as_view(), "readiness"),
    re_path(r"^favicon\.ico$", pages.favicon, name="favicon"),
    re_path(r"^$", pages.StartPage.as_view(), name="start"),
]
