"""Authorization requests: what is accepted, what is refused, and what the user must do first."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts.models import EndReason, RefreshToken
from accounts.oauth_errors import AuthorizationError, ClientUnknown, RedirectUriUnknown
from accounts.sso import authorization, browser_sign_ins
from accounts.sso.authorization import Step
from tests.factories import make_user
from tests.sso.flows import (
    BY_BOTH,
    CALLBACK,
    Party,
    authorize,
    challenge_of,
    make_application,
    parse,
    query_of,
    request_parameters,
    sign_in_browser,
)


def error_of(**changes):
    with pytest.raises(AuthorizationError) as raised:
        parse(**changes)
    assert raised.value.redirect_uri == CALLBACK
    return raised.value.code


def step(browser, **changes):
    return authorization.required_step(parse(**changes), browser, timezone.now())


def test_a_valid_request_is_parsed(application):
    request = parse(prompt="login select_account", max_age="60", acr_values="2", login_hint="alice", x="ignored")

    assert (request.application, request.redirect_uri, request.scope) == (
        application,
        CALLBACK,
        "openid profile email",
    )
    assert (request.state, request.nonce, request.code_challenge) == ("the state", "the nonce", challenge_of())
    assert (request.prompt, request.max_age, request.level) == ({"login", "select_account"}, 60, 2)
    assert (request.login_hint, request.audience, request.subject) == ("alice", ("authproject",), None)


@pytest.mark.parametrize("client_id", [None, "", "unknown", "SHOP", "shop ", "shop\x00", "first-party"])
def test_an_unknown_application_is_never_redirected_to(application, client_id):
    with pytest.raises(ClientUnknown):
        parse(client_id=client_id)


def test_a_deactivated_application_is_unknown(application):
    application.is_active = False
    application.save()

    with pytest.raises(ClientUnknown):
        parse()


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "https://shop.example/Callback",
        "https://SHOP.example/callback",
        "HTTPS://shop.example/callback",
        "http://shop.example/callback",
        "https://shop.example/callback/",
        "https://shop.example/callback?",
        "https://shop.example/callback?next=https://evil.example",
        "https://shop.example/callback#",
        "https://shop.example/callback#fragment",
        "https://shop.example/a/../callback",
        "https://shop.example/./callback",
        "https://shop.example//callback",
        "https://shop.example/%63allback",
        "https://shop.example%2Fcallback",
        "https://shop.example\\callback",
        "https://shop.example:443/callback",
        "https://user@shop.example/callback",
        "https://shop.example@evil.example/callback",
        "https://shop.example.evil.example/callback",
        "https://evil.example/https://shop.example/callback",
        " https://shop.example/callback",
        "https://shop.example/callback\n",
        "https://shop.example/callback\x00",
        "//shop.example/callback",
        "/callback",
        "javascript:alert(1)",
    ],
)
def test_only_the_registered_redirect_uri_is_accepted_byte_for_byte(application, redirect_uri):
    with pytest.raises(RedirectUriUnknown):
        parse(redirect_uri=redirect_uri)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("registered_port", ["", ":3000"])
@pytest.mark.parametrize("port", ["", ":1", ":52001"])
def test_a_loopback_address_may_have_any_port(host, registered_port, port, clock):
    make_application(redirect_uris=[f"http://{host}{registered_port}/callback?app=1"])

    uri = f"http://{host}{port}/callback?app=1"
    assert parse(redirect_uri=uri).redirect_uri == uri


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://127.0.0.1:1/other",
        "http://127.0.0.1:1/callback/",
        "http://127.0.0.1:1/callback?x",
        "https://127.0.0.1:1/callback",
        "http://localhost:1/callback",
        "http://127.0.0.2:1/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:123456/callback",
        "http://127.0.0.1:1a/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:\u0661/callback",
        "http://2130706433/callback",
    ],
)
def test_no_more_than_the_port_of_a_loopback_address_may_differ(redirect_uri, clock):
    make_application(redirect_uris=["http://127.0.0.1/callback"])

    with pytest.raises(RedirectUriUnknown):
        parse(redirect_uri=redirect_uri)


def test_the_ports_of_other_addresses_and_names_are_compared(clock):
    make_application(redirect_uris=["http://localhost:3000/callback", "https://shop.example:8443/callback"])

    for uri in ("http://localhost:3001/callback", "https://shop.example/callback"):
        with pytest.raises(RedirectUriUnknown):
            parse(redirect_uri=uri)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openidprofile"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"prompt": "nonsense"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1.5"}, "invalid_request"),
        ({"max_age": "\u0661"}, "invalid_request"),
        ({"max_age": "9" * 10}, "invalid_request"),
        ({"nonce": "a\x00b"}, "invalid_request"),
        ({"nonce": "x" * 2049}, "invalid_request"),
        ({"state": "a\r\nb"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://shop.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"audience": "orders"}, "invalid_target"),
        ({"id_token_hint": "x"}, "invalid_request"),
    ],
)
def test_what_is_wrong_is_returned_to_the_registered_address(application, changes, code):
    assert error_of(**changes) == code


@pytest.mark.parametrize(
    "name", ["scope", "state", "nonce", "code_challenge", "prompt", "response_type", "max_age"]
)
def test_repeated_parameters_are_refused(application, name):
    parameters = request_parameters(prompt="login", max_age="1")
    parameters[name] *= 2

    with pytest.raises(AuthorizationError, match=name) as raised:
        authorization.parse(parameters)
    assert raised.value.code == "invalid_request"


def test_a_repeated_application_or_address_is_never_redirected_to(application):
    with pytest.raises(ClientUnknown):
        authorization.parse(request_parameters() | {"client_id": ["shop", "shop"]})
    with pytest.raises(RedirectUriUnknown):
        authorization.parse(request_parameters() | {"redirect_uri": [CALLBACK, CALLBACK]})


def test_parameters_without_a_value_are_left_out(application):
    request = parse(prompt="", max_age="", acr_values="", state="", nonce="", audience="", id_token_hint="")

    assert (request.prompt, request.max_age, request.level, request.state) == (frozenset(), None, 1, None)


def test_unknown_scopes_are_ignored(application):
    assert parse(scope="offline_access email openid roles").scope == "openid email"


@pytest.mark.parametrize(
    ("acr_values", "level"), [("2", 2), ("1", 1), ("1 2", 1), ("2 1", 1), ("urn:x 2", 2), ("phr", 1), ("22", 1)]
)
def test_a_second_factor_is_needed_only_where_no_other_level_is_accepted(application, acr_values, level):
    assert parse(acr_values=acr_values).level == level


@pytest.mark.parametrize("hint", ["x" * 255, "a\x00b"])
def test_an_unusable_login_hint_is_ignored(application, hint):
    assert parse(login_hint=hint).login_hint == ""


def test_an_audience_must_be_one_of_the_applications(override_auth, clock):
    override_auth(audience=("authproject", "orders", "stock"))
    make_application(audiences=["orders", "stock", "gone"])

    assert parse().audience == ("orders", "stock")
    assert parse(audience="stock").audience == ("stock",)
    assert error_of(audience="authproject") == error_of(audience="gone") == "invalid_target"


def test_with_a_symmetric_key_there_is_no_single_sign_on(application, override_auth, tmp_path):
    override_auth(algorithm="HS256", keys_dir=tmp_path)

    with pytest.raises(ClientUnknown):
        parse()


def test_a_signed_in_browser_needs_no_further_step(application):
    browser, _ = sign_in_browser(make_user())

    assert step(browser) is Step.NONE
    assert step(browser, prompt="none") is Step.NONE
    assert step(browser, prompt="consent") is Step.NONE
    assert step(browser, login_hint="someone else") is Step.NONE


def test_what_the_user_must_do_first(application, clock):
    browser, _ = sign_in_browser(make_user())
    clock.advance(seconds=100)

    assert step(None) is Step.SIGN_IN
    assert step(browser, prompt="login") is Step.SIGN_IN
    assert step(browser, prompt="select_account") is Step.CHOOSE_ACCOUNT
    assert step(browser, max_age="99") is Step.SIGN_IN
    assert step(browser, max_age="100") is Step.NONE
    assert step(browser, max_age="0") is Step.SIGN_IN


def test_a_second_factor_that_was_added_since_must_be_presented(application, enrolled):
    user = make_user()
    browser, cookie = sign_in_browser(user)
    assert step(browser) is Step.NONE
    enrolled(user)

    assert step(browser_sign_ins.find(cookie)) is Step.SECOND_FACTOR
    by_both, _ = sign_in_browser(user, BY_BOTH, previous=browser)
    assert step(by_both) is Step.NONE
    assert step(by_both, acr_values="2") is Step.NONE


def test_an_application_that_needs_a_second_factor_hears_that_the_user_has_none(application):
    browser, _ = sign_in_browser(make_user())

    with pytest.raises(AuthorizationError) as raised:
        step(browser, acr_values="2")
    assert raised.value.code == "unmet_authentication_requirements"


def test_without_a_prompt_the_application_hears_what_is_missing(application, enrolled):
    def code(browser, **changes):
        with pytest.raises(AuthorizationError) as raised:
            step(browser, prompt="none", **changes)
        assert raised.value.redirect_uri == CALLBACK
        return raised.value.code

    user = make_user()
    _, cookie = sign_in_browser(user)
    enrolled(user)

    assert code(None) == "login_required"
    assert code(browser_sign_ins.find(cookie)) == "interaction_required"


def test_what_a_page_hears_without_a_prompt_does_not_tell_users_apart(application, override_auth):
    """Only whether this browser is signed in: a hint of another user's name changes nothing."""
    with pytest.raises(AuthorizationError) as known:
        step(None, prompt="none", login_hint=make_user().username)
    with pytest.raises(AuthorizationError) as unknown:
        step(None, prompt="none", login_hint="nobody")

    assert (known.value.code, str(known.value)) == (unknown.value.code, str(unknown.value))


def test_an_id_token_hint_names_the_expected_user(signed_on, clock):
    hint = signed_on.tokens["id_token"]
    other, _ = sign_in_browser(make_user())

    assert step(signed_on.browser, id_token_hint=hint) is Step.NONE
    assert step(other, id_token_hint=hint) is Step.SIGN_IN
    with pytest.raises(AuthorizationError) as raised:
        step(other, id_token_hint=hint, prompt="none")
    assert raised.value.code == "login_required"
    clock.advance(hours=2)
    assert step(signed_on.browser, id_token_hint=hint) is Step.NONE, "an expired hint is still one"


def test_an_id_token_hint_of_another_application_or_of_another_kind_is_refused(signed_on):
    make_application("other")
    foreign = signed_on.sign_in("other")["id_token"]

    for hint in (foreign, signed_on.tokens["access_token"], signed_on.tokens["id_token"][:-1] + "!"):
        assert error_of(id_token_hint=hint) == "invalid_request"


def test_a_code_is_not_issued_once_the_sign_in_has_ended(application):
    browser, _ = sign_in_browser(make_user())
    request = parse()
    RefreshToken.objects.filter(pk=browser.session.pk).end(EndReason.REVOKED, at=timezone.now())

    with pytest.raises(AuthorizationError) as raised:
        authorization.issue_code(request, browser)
    assert raised.value.code == "login_required"


def test_a_code_counts_as_a_use_of_the_browsers_sign_in(application, override_auth, clock):
    override_auth(refresh_token_lifetime=3600, session_lifetime=5000)
    browser, _ = sign_in_browser(make_user())

    for seconds, expected in ((600, 600 + 3600), (3000, 5000)):
        clock.advance(seconds=seconds)
        authorize(browser)
        session = RefreshToken.objects.get(pk=browser.session.pk)
        assert session.last_used_at == timezone.now()
        assert session.expires_at == browser.session.created_at + dt.timedelta(seconds=expected)


def test_the_browser_returns_with_the_code_the_state_and_the_issuer(application):
    url = authorization.success_url(parse(state="a b&c=ü"), "the code")

    assert url.startswith(CALLBACK + "?")
    assert query_of(url) == {"code": "the code", "state": "a b&c=ü", "iss": "http://localhost:8000"}
    assert query_of(authorization.success_url(parse(state=None), "c")) == {
        "code": "c",
        "iss": "http://localhost:8000",
    }


def test_the_browser_returns_with_the_error_the_state_and_the_issuer(application):
    with pytest.raises(AuthorizationError) as raised:
        parse(scope="profile")

    query = query_of(authorization.error_url(raised.value))
    assert query == {
        "error": "invalid_scope",
        "error_description": "The scope must contain openid.",
        "state": "the state",
        "iss": "http://localhost:8000",
    }


def test_a_query_of_the_registered_address_is_kept(clock):
    make_application(redirect_uris=["https://shop.example/cb?logout=1"])
    url = authorization.success_url(parse(redirect_uri="https://shop.example/cb?logout=1"), "c")

    assert query_of(url)["logout"] == "1"


def test_a_code_that_is_issued_for_another_address_of_the_application_is_refused(clock):
    make_application(redirect_uris=["http://127.0.0.1/cb"])
    browser, _ = sign_in_browser(make_user())
    code = authorize(browser, redirect_uri="http://127.0.0.1:5001/cb")

    assert Party().exchange(code, redirect_uri="http://127.0.0.1:5002/cb").status_code == 400
    assert Party().exchange(code, redirect_uri="http://127.0.0.1:5001/cb").status_code == 200
