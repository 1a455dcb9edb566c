"""Sign-out that an application starts: whom it signs out, and where the browser goes."""

from uuid import UUID

import pytest
from django.utils import timezone

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
    assert not parse(elsewhere, id_token_hint=hint).is_confirmed
    assert not parse(someone, id_token_hint=hint).is_confirmed


def end_hinted(signed_on, browser=None):
    request = parse(browser, id_token_hint=signed_on.tokens["id_token"])
    assert not request.is_confirmed
    return signing_out.end_hinted(request, BROWSER)


def is_signed_in(tokens, client_id="shop"):
    return Party(client_id).refresh(tokens["refresh_token"]).status_code == 200


def test_the_sign_in_of_an_id_token_ends_also_without_its_cookie(signed_on):
    other = signed_on.sign_in("other")
    _, elsewhere = sign_in_browser(signed_on.user)

    assert end_hinted(signed_on) == signed_on.user.pk
    assert browser_sign_ins.find(signed_on.cookie) is None
    assert browser_sign_ins.find(elsewhere), "another sign-in of the user"
    assert not is_signed_in(signed_on.tokens)
    assert not is_signed_in(other, "other")
    assert end_hinted(signed_on) is None, "nothing was left"


@pytest.mark.parametrize("is_purged", [False, True])
def test_the_sessions_of_a_sign_in_that_expired_before_them_end_with_an_id_token(signed_on, clock, is_purged):
    other = signed_on.sign_in("other")
    elsewhere = SingleSignOn("bob")
    clock.advance(hours=23)
    tokens = [
        Party(name).refresh(each["refresh_token"]) for name, each in (("shop", signed_on.tokens), ("other", other))
    ]
    clock.advance(hours=23)
    if is_purged:
        RefreshToken.objects.filter(pk=signed_on.browser.session.pk)._raw_delete("default")

    assert browser_sign_ins.find(signed_on.cookie) is None
    assert end_hinted(signed_on) == signed_on.user.pk
    assert not is_signed_in(tokens[0].json())
    assert not is_signed_in(tokens[1].json(), "other")
    assert RefreshToken.objects.get(owner=elsewhere.user, kind="tokens").ended_at is None


def test_an_id_token_of_another_user_never_ends_the_sign_in_of_this_browser(signed_on):
    someone = SingleSignOn("bob")

    assert end_hinted(signed_on, browser=someone.browser) == signed_on.user.pk
    assert browser_sign_ins.find(someone.cookie)
    assert is_signed_in(someone.tokens)


def test_a_session_that_survived_its_sign_in_ends_with_its_id_token(signed_on):
    session_id = signing.read(signed_on.tokens["id_token"], "JWT")["sid"]
    RefreshToken.objects.filter(kind="browser").end(
        EndReason.REVOKED, at=timezone.now(), surviving=UUID(session_id)
    )
    assert is_signed_in(signed_on.tokens)

    assert end_hinted(signed_on) == signed_on.user.pk
    assert not RefreshToken.objects.filter(ended_at=None).exists()


def test_a_forged_id_token_ends_nothing(signed_on):
    claims = signing.read(signed_on.tokens["id_token"], "JWT")
    of_others = [signing.sign({**claims, **changes}, "JWT") for changes in ({"aud": "other"}, {"sub": "2"})]
    for hint in (*forged_hints(signed_on), *of_others):
        assert signing_out.end_hinted(parse(None, id_token_hint=hint), BROWSER) is None
    assert not RefreshToken.objects.exclude(ended_at=None).exists()


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
