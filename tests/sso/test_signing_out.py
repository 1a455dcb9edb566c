"""Sign-out that an application starts: whom it signs out, and where the browser goes."""

import pytest

from accounts.errors import InvalidRequest
from accounts.models import EndReason, RefreshToken
from accounts.sso import browser_sign_ins, signing_out
from accounts.tokens import signing
from tests.conftest import Api
from tests.factories import make_user
from tests.sso.flows import BROWSER, Party, SingleSignOn, make_application, sign_in_browser

DONE = "https://shop.example/signed-out"


@pytest.fixture
def signed_on(clock):
    make_application(post_logout_redirect_uris=[DONE])
    make_application("other", post_logout_redirect_uris=["https://other.example/done?x=1"])
    return SingleSignOn()


def parse(browser, **parameters):
    return signing_out.parse({name: [value] for name, value in parameters.items()}, browser)


def test_signing_out_ends_the_browsers_sign_in_and_every_session_that_came_of_it(signed_on):
    other = signed_on.sign_in("other")
    hint = signed_on.tokens["id_token"]
    request = parse(signed_on.browser, id_token_hint=hint, post_logout_redirect_uri=DONE, state="a b&c")

    assert request.is_confirmed
    address = signing_out.sign_out(signed_on.browser, request, BROWSER)

    assert address == f"{DONE}?state=a+b%26c"
    assert browser_sign_ins.find(signed_on.cookie) is None
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 400
    assert Party("other").refresh(other["refresh_token"]).status_code == 400
    for tokens in (signed_on.tokens, other):
        assert Api().get("/api/test/user", tokens["access_token"]).json()["code"] == "token_revoked"
    assert set(RefreshToken.objects.values_list("end_reason", flat=True)) == {EndReason.SIGNED_OUT}


def test_other_sign_ins_of_the_user_stay(signed_on):
    elsewhere, cookie = sign_in_browser(signed_on.user)
    signing_out.sign_out(signed_on.browser, parse(signed_on.browser), BROWSER)

    assert browser_sign_ins.find(cookie) == elsewhere


def test_an_expired_id_token_still_confirms(signed_on, clock):
    clock.advance(hours=3)

    assert parse(signed_on.browser, id_token_hint=signed_on.tokens["id_token"]).is_confirmed


def test_without_an_id_token_of_this_browsers_sign_in_the_user_is_asked(signed_on):
    elsewhere, _ = sign_in_browser(signed_on.user)
    someone, _ = sign_in_browser(make_user())
    hint = signed_on.tokens["id_token"]

    assert not parse(signed_on.browser).is_confirmed
    assert not parse(signed_on.browser, client_id="shop").is_confirmed
    assert not parse(None, id_token_hint=hint).is_confirmed
    assert not parse(elsewhere, id_token_hint=hint).is_confirmed
    assert not parse(someone, id_token_hint=hint).is_confirmed


def forged_hints(signed_on):
    claims = signing.read(signed_on.tokens["id_token"], "JWT")
    yield signed_on.tokens["access_token"]
    yield signed_on.tokens["id_token"][:-4] + "AAAA"
    yield signing.sign(claims, "logout+jwt")
    yield signing.sign({**claims, "iss": "https://evil.example"}, "JWT")
    yield signing.sign({**claims, "sid": "x"}, "JWT")
    yield signing.sign({**claims, "aud": ["shop"]}, "JWT")
    yield ""
    yield "x.y.z"


def test_an_id_token_that_was_not_issued_here_confirms_nothing_and_redirects_nowhere(signed_on):
    for hint in forged_hints(signed_on):
        request = parse(signed_on.browser, id_token_hint=hint, post_logout_redirect_uri=DONE)
        assert (request.is_confirmed, request.redirect_uri, request.application) == (False, None, None), hint


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/", DONE + "/", DONE + "?x=1", DONE + "#x", DONE.upper(), DONE.replace("https", "http"),
        "https://shop.example/a/../signed-out", "https://shop.example@evil.example/signed-out", "//evil.example",
        "https://shop.example/callback", "https://other.example/done?x=1", "",
    ],
)  # fmt: skip
def test_the_browser_returns_only_to_a_registered_address_of_the_application(signed_on, address):
    request = parse(
        signed_on.browser, id_token_hint=signed_on.tokens["id_token"], post_logout_redirect_uri=address
    )

    assert (request.is_confirmed, request.redirect_uri) == (True, None)
    assert signing_out.sign_out(signed_on.browser, request, BROWSER) is None


def test_the_application_may_be_named_by_its_client_id(signed_on):
    request = parse(
        signed_on.browser, client_id="other", post_logout_redirect_uri="https://other.example/done?x=1"
    )

    assert request.application is not None
    assert request.application.client_id == "other"
    assert signing_out.sign_out(None, request, BROWSER) == "https://other.example/done?x=1"
    with_state = parse(
        None, client_id="other", post_logout_redirect_uri="https://other.example/done?x=1", state="s"
    )
    assert signing_out.sign_out(None, with_state, BROWSER) == "https://other.example/done?x=1&state=s"


def test_the_id_token_of_another_application_than_the_named_one_is_refused(signed_on):
    with pytest.raises(InvalidRequest):
        parse(signed_on.browser, client_id="other", id_token_hint=signed_on.tokens["id_token"])


@pytest.mark.parametrize("name", ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"])
def test_repeated_parameters_are_refused(signed_on, name):
    with pytest.raises(InvalidRequest):
        signing_out.parse({name: ["x", "y"]}, signed_on.browser)


@pytest.mark.parametrize("state", ["", "x" * 2049, "a\r\nLocation: https://evil.example"])
def test_an_unusable_state_is_left_out(signed_on, state):
    request = parse(signed_on.browser, client_id="shop", post_logout_redirect_uri=DONE, state=state)

    assert signing_out.sign_out(None, request, BROWSER) == DONE


def test_a_deactivated_application_gets_no_browser_back(signed_on):
    type(make_application("third")).objects.filter(client_id="shop").update(is_active=False)
    request = parse(signed_on.browser, id_token_hint=signed_on.tokens["id_token"], post_logout_redirect_uri=DONE)

    assert (request.redirect_uri, request.is_confirmed) == (None, True)


def test_signing_out_without_a_sign_in_ends_nothing(signed_on):
    assert signing_out.sign_out(None, parse(None), BROWSER) is None
    assert not RefreshToken.objects.exclude(ended_at=None).exists()
