"""What is purged of single sign-on, what stays, and what a deletion takes along."""

from django.core.management import call_command

from accounts.models import Application, AuthorizationCode, EndReason, RefreshToken, User
from tests.sso.flows import Party, authorize, make_application, refused


def test_codes_are_purged_a_day_after_they_expired(signed_on, clock):
    clock.advance(hours=23)
    call_command("purge_expired_tokens", verbosity=0)
    assert AuthorizationCode.objects.count() == 1
    assert refused(signed_on.party.exchange(signed_on.code))
    assert RefreshToken.objects.get(application="shop").end_reason == EndReason.CODE_REUSED

    clock.advance(hours=2)
    call_command("purge_expired_tokens", verbosity=0)
    assert not AuthorizationCode.objects.exists()


def test_a_browsers_sign_in_is_purged_with_the_last_session_that_came_of_it(signed_on, clock):
    clock.advance(hours=20)
    tokens = signed_on.party.refresh(signed_on.tokens["refresh_token"]).json()
    clock.advance(hours=5)  # the browser's sign-in was last used 25 hours ago
    call_command("purge_expired_tokens", verbosity=0)

    assert RefreshToken.objects.filter(pk=signed_on.browser.session.pk).exists()
    assert signed_on.party.refresh(tokens["refresh_token"]).status_code == 200

    clock.advance(hours=25)
    call_command("purge_expired_tokens", verbosity=0)
    assert not RefreshToken.objects.exists()


def test_a_code_of_a_purged_sign_in_is_refused(application, signed_on):
    code = authorize(signed_on.browser)
    RefreshToken.objects.filter(pk=signed_on.browser.session.pk)._raw_delete("default")

    assert refused(Party().exchange(code))


def test_an_application_is_deleted_with_its_sessions_and_no_others(signed_on):
    make_application("other")
    other = signed_on.sign_in("other")
    Application.objects.get(client_id="shop").delete()

    assert set(RefreshToken.objects.values_list("application", flat=True)) == {None, "other"}
    assert Party().userinfo(signed_on.tokens["access_token"]).json()["code"] == "token_revoked"
    assert Party("other").refresh(other["refresh_token"]).status_code == 200


def test_an_account_is_deleted_with_all_of_it(signed_on):
    User.objects.get(pk=signed_on.user.pk).delete()

    assert not RefreshToken.objects.exists()
    assert not AuthorizationCode.objects.exists()
    assert Party().userinfo(signed_on.tokens["access_token"]).json()["code"] == "token_revoked"
