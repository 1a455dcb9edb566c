"""The sign-in of a browser at the hosted pages."""

import pytest
from django.utils import timezone

from accounts.errors import InvalidCredentials
from accounts.factor_errors import SecondFactorRequired
from accounts.models import Activity, EndReason, RefreshToken, SessionKind
from accounts.sso import browser_sign_ins
from accounts.tokens import refresh_tokens
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.sso.flows import BROWSER, BY_BOTH, Party, SingleSignOn, make_application, sign_in_browser


def reason(browser):
    return RefreshToken.objects.get(pk=browser.session.pk).end_reason


def test_a_sign_in_is_a_session_of_its_own_kind(clock):
    user = make_user()
    browser, cookie = sign_in_browser(user)
    row = RefreshToken.objects.get()

    assert (row.kind, row.owner, row.parent, row.application) == (SessionKind.BROWSER, user, None, None)
    assert (row.address, row.user_agent, row.authenticated_at) == ("192.0.2.7", "Firefox", timezone.now())
    assert browser_sign_ins.find(cookie) == browser
    assert Activity.objects.get().event == "sign_in:succeeded"


def test_finding_a_sign_in_costs_two_queries_with_roles_and_factors(clock, django_assert_num_queries):
    _, cookie = sign_in_browser(make_user(roles=("user", "admin")))

    with django_assert_num_queries(2):
        owner = browser_sign_ins.find(cookie).session.owner
        assert (sorted(owner.role_names), owner.has_second_factor) == (["admin", "user"], False)


@pytest.mark.parametrize(
    "change", ["", "x", "authsso_", "short", "truncated", "longer", "other secret", "other id"]
)
def test_any_other_cookie_is_refused(clock, change):
    _, cookie = sign_in_browser(make_user())
    altered = {
        "short": cookie[:20],
        "truncated": cookie[:-1],
        "longer": cookie + "A",
        "other secret": cookie[:-2] + ("AA" if not cookie.endswith("AA") else "BB"),
        "other id": cookie[:9] + ("A" if cookie[9] != "A" else "B") + cookie[10:],
    }

    assert browser_sign_ins.find(altered.get(change, change)) is None
    assert browser_sign_ins.find("ü" * len(cookie)) is None


def test_a_refresh_token_is_no_cookie_and_a_cookie_no_refresh_token(signed_in):
    sign_in_browser(make_user())
    secret = refresh_tokens.parse(signed_in.refresh_token)
    assert browser_sign_ins.find(signed_in.refresh_token) is None
    assert browser_sign_ins.find(browser_sign_ins._encode(secret.session_id, secret.secret)) is None

    browser, cookie = sign_in_browser(make_user())
    _, cookie_secret = browser_sign_ins._decode(cookie)
    forged = refresh_tokens.encode(refresh_tokens.RefreshSecret(browser.session.pk, 0, cookie_secret))
    for presented in (cookie, forged):
        assert Api().refresh(presented).json()["code"] == "refresh_token_unknown"
        assert Api().post("/api/auth/signout", {"refreshToken": presented}).status_code == 204
    assert browser_sign_ins.find(cookie) is not None


@pytest.mark.parametrize("how", ["ended", "expired", "unused", "inactive", "password", "deleted"])
def test_a_sign_in_that_is_not_valid_any_more_is_not_found(how, clock, override_auth):
    user = make_user()
    browser, cookie = sign_in_browser(user)
    if how == "ended":
        browser_sign_ins.end(browser, BROWSER)
    elif how == "expired":
        clock.advance(days=31)
    elif how == "unused":
        clock.advance(days=1)
    elif how == "inactive":
        type(user).objects.filter(pk=user.pk).update(is_active=False)
    elif how == "password":
        user.set_password("another long password")
        user.save()
    else:
        user.delete()

    assert browser_sign_ins.find(cookie) is None


def test_a_second_factor_is_needed_where_the_account_has_one(clock, enrolled):
    user = make_user()
    enrolled(user)

    with pytest.raises(SecondFactorRequired):
        sign_in_browser(user)
    browser, _ = sign_in_browser(user, BY_BOTH)
    assert browser.session.authentication.level == 2
    assert browser.session.second_factor_at == timezone.now()


def test_a_second_factor_that_was_removed_meanwhile_is_not_good(clock, enrolled):
    user = make_user()
    factor = enrolled(user)
    browser, _ = sign_in_browser(user, BY_BOTH)
    factor.delete()

    for previous in (None, browser):
        with pytest.raises(InvalidCredentials):
            sign_in_browser(user, BY_BOTH, previous=previous)


def test_the_next_sign_in_of_the_same_user_keeps_the_row_and_what_came_of_it(signed_on, clock, enrolled):
    clock.advance(hours=1)
    enrolled(signed_on.user)
    renewed, cookie = sign_in_browser(signed_on.user, BY_BOTH, previous=signed_on.browser)

    assert renewed.session.pk == signed_on.browser.session.pk
    assert cookie != signed_on.cookie
    assert browser_sign_ins.find(signed_on.cookie) is None, "a cookie that was known before is useless"
    assert renewed.session.authenticated_at == timezone.now()
    assert renewed.session.authentication.level == 2
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 200


def test_the_sign_in_of_another_user_ends_the_previous_one_with_all_that_came_of_it(signed_on):
    other, _ = sign_in_browser(make_user(), previous=signed_on.browser)

    assert other.session.pk != signed_on.browser.session.pk
    assert reason(signed_on.browser) == EndReason.SIGNED_OUT
    assert Party().refresh(signed_on.tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert Api().get("/api/test/user", signed_on.tokens["access_token"]).json()["code"] == "token_revoked"


@pytest.mark.parametrize("has_expired", [False, True])
def test_what_came_of_a_sign_in_ends_with_the_next_one_if_that_is_not_remembered(signed_on, clock, has_expired):
    previous = signed_on.browser
    clock.advance(hours=23)
    tokens = Party().refresh(signed_on.tokens["refresh_token"]).json()
    clock.advance(hours=2 * has_expired)
    elsewhere = SingleSignOn("bob").tokens
    renewed, _ = sign_in_browser(signed_on.user, previous=previous, remember=False)

    session = RefreshToken.objects.get(parent=renewed.session.pk)
    assert session.session_expires_at == renewed.session.session_expires_at
    clock.advance(hours=11)
    tokens = Party().refresh(tokens["refresh_token"]).json()
    clock.advance(hours=2)
    assert Party().refresh(tokens["refresh_token"]).status_code == 400
    assert Party().refresh(elsewhere["refresh_token"]).status_code == 200


@pytest.fixture
def expired(signed_on, clock):
    """The sign-in of a browser that was not used for a day, while the application refreshed its session."""
    clock.advance(hours=23)
    signed_on.tokens = Party().refresh(signed_on.tokens["refresh_token"]).json()
    clock.advance(hours=2)
    assert browser_sign_ins.find(signed_on.cookie) is None
    return browser_sign_ins.find_with_expired(signed_on.cookie)


def test_the_next_sign_in_of_the_same_user_keeps_what_came_of_one_that_expired(signed_on, expired):
    renewed, _ = sign_in_browser(signed_on.user, previous=expired)

    assert renewed.session.pk != expired.session.pk
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 200
    browser_sign_ins.end(renewed, BROWSER)
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 400


def test_the_sign_in_of_another_user_ends_what_came_of_one_that_expired(signed_on, expired):
    sign_in_browser(make_user(), previous=expired)

    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 400


def test_an_expired_sign_in_is_found_only_while_a_session_that_came_of_it_is_valid(signed_on, expired, clock):
    assert browser_sign_ins.find_with_expired(signed_on.cookie) == expired
    clock.advance(hours=25)
    assert browser_sign_ins.find_with_expired(signed_on.cookie) is None


def test_an_expired_sign_in_is_found_by_its_cookie_only_and_not_after_its_end(signed_on, expired):
    other = signed_on.cookie[:-1] + ("A" if signed_on.cookie[-1] != "A" else "B")
    assert browser_sign_ins.find_with_expired(other) is None
    browser_sign_ins.end(expired, BROWSER)
    assert browser_sign_ins.find_with_expired(signed_on.cookie) is None


def test_a_sign_in_that_ended_in_between_is_replaced_by_a_new_row(signed_on):
    browser_sign_ins.end(signed_on.browser, BROWSER)
    renewed, cookie = sign_in_browser(signed_on.user, previous=signed_on.browser)

    assert renewed.session.pk != signed_on.browser.session.pk
    assert browser_sign_ins.find(cookie) is not None


def test_of_two_renewals_of_one_sign_in_the_second_gets_a_row_of_its_own(signed_on):
    first, _ = sign_in_browser(signed_on.user, previous=signed_on.browser)
    second, _ = sign_in_browser(signed_on.user, previous=signed_on.browser)

    assert first.session.pk == signed_on.browser.session.pk != second.session.pk


def test_a_sign_in_that_is_not_remembered_ends_sooner(clock):
    browser, _ = sign_in_browser(make_user(), remember=False)

    assert browser.session.remember is False
    assert (browser.session.session_expires_at - timezone.now()).total_seconds() == 12 * 3600


def test_a_sign_in_is_listed_and_ended_by_its_owner_like_every_session(signed_on):
    client = SignedIn("alice")
    listed = {row["id"] for row in client.get("/api/auth/sessions", client.access_token).json()}
    assert {str(pk) for pk in RefreshToken.objects.values_list("pk", flat=True)} == listed

    client.delete(f"/api/auth/sessions/{signed_on.browser.session.pk}", client.access_token)
    assert set(RefreshToken.objects.exclude(ended_at=None).values_list("end_reason", flat=True)) == {
        EndReason.ENDED_BY_OWNER
    }
    assert RefreshToken.objects.filter(ended_at=None).count() == 1


def test_ending_an_applications_session_ends_only_that_one(signed_on):
    make_application("other")
    other = signed_on.sign_in("other")
    client = SignedIn("alice")
    session = RefreshToken.objects.get(application="shop")

    client.delete(f"/api/auth/sessions/{session.pk}", client.access_token)

    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 400
    assert Party("other").refresh(other["refresh_token"]).status_code == 200
    assert browser_sign_ins.find(signed_on.cookie) is not None


def test_a_password_change_ends_the_sign_in_but_not_the_session_that_changed_it(signed_on):
    make_application("other")
    other = signed_on.sign_in("other")
    body = {"currentPassword": "correct horse battery", "newPassword": "another long password"}

    response = Api().post("/api/auth/password/change", body, signed_on.tokens["access_token"])

    assert response.status_code == 204
    assert browser_sign_ins.find(signed_on.cookie) is None
    assert Party("other").refresh(other["refresh_token"]).status_code == 400
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 200


def test_neither_the_cookie_nor_its_secret_is_stored(clock):
    _, cookie = sign_in_browser(make_user())
    _, secret = browser_sign_ins._decode(cookie)
    row = RefreshToken.objects.get()

    assert bytes(row.secret_digest) != secret
    assert secret not in bytes(row.secret_digest)
