"""The authorization endpoint and the sign-out page, as browsers and applications see them."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from accounts.models import AuthorizationCode, RefreshToken
from tests.api.pages import COOKIE, ORIGIN, Browser, authorize_path, returned
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user
from tests.factors.conftest import add_app
from tests.sso.flows import CALLBACK, VERIFIER, Party, SingleSignOn, make_application

ALICE = {"username": "alice", "password": PASSWORD}
OWN_PAGE = [{"Sec-Fetch-Site": "same-origin"}, {"Referer": f"{ORIGIN}/sign-in"}]


@pytest.fixture
def shop(clock):
    return make_application(post_logout_redirect_uris=["https://shop.example/bye"])


@pytest.fixture
def browser(shop):
    make_user("alice")
    return Browser()


@pytest.fixture
def signed_in_browser(browser):
    browser.submit(browser.open("/sign-in"), **ALICE)
    return browser


def reenter(browser, page):
    response = browser.submit(page, **ALICE)
    return browser.get(response["Location"])


@pytest.mark.parametrize(
    "changes", [{"client_id": "unknown"}, {"client_id": None}, {"redirect_uri": "https://evil.example/"}]
)
def test_a_request_of_an_unknown_application_or_address_gets_a_page(signed_in_browser, changes):
    response = signed_in_browser.get(authorize_path(**changes, prompt="none"))

    assert response.status_code == 400
    assert "Go back to the application" in response.text
    assert "evil.example" not in response.text


def test_an_error_returns_to_the_application(signed_in_browser):
    answer = returned(signed_in_browser.get(authorize_path(response_type="token")))

    assert (answer["error"], answer["state"]) == ("unsupported_response_type", "s1")


@pytest.mark.parametrize("headers", [{}, *OWN_PAGE])
def test_prompt_none_never_shows_a_page(browser, headers):
    refused = returned(browser.get(authorize_path(prompt="none"), **headers))
    browser.submit(browser.open("/sign-in"), **ALICE)
    answered = returned(browser.get(authorize_path(prompt="none"), **headers))

    assert (refused["error"], refused["state"]) == ("login_required", "s1")
    assert "code" in answered


@pytest.mark.parametrize("headers", OWN_PAGE)
def test_after_a_form_a_page_leads_on_to_the_application(signed_in_browser, headers):
    # Chromium applies form-action of the page with the form to all redirects that follow, also to those of the
    # application.
    response = signed_in_browser.get(authorize_path(), **headers)

    assert response.status_code == 200
    assert response["Refresh"].startswith(f"0; url={CALLBACK}?code=")
    assert response["Referrer-Policy"] == "no-referrer"
    assert f'href="{CALLBACK}?code=' in response.text


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site", "Referer": "https://shop.example/"}, {"Sec-Fetch-Site": "none"}],
)
def test_an_application_gets_its_answer_by_a_redirect_that_no_cache_stores_and_no_referrer_leaves(
    signed_in_browser, headers
):
    response = signed_in_browser.get(authorize_path(), **headers)

    assert (response.status_code, "code" in returned(response)) == (303, True)
    assert (response["Cache-Control"], response["Referrer-Policy"]) == ("no-store", "no-referrer")


def test_a_request_by_post_is_repeated_by_get(signed_in_browser):
    parameters = dict(parse_qsl(urlsplit(authorize_path()).query))
    response = signed_in_browser.http.post(
        "/authorize",
        urlencode(parameters),
        "application/x-www-form-urlencoded",
        headers={"Origin": "https://shop.example"},
    )

    assert response.status_code == 303
    assert not AuthorizationCode.objects.exists()
    assert "code" in returned(signed_in_browser.get(response["Location"]))


def test_head_issues_no_code(signed_in_browser):
    assert signed_in_browser.http.head(authorize_path()).status_code == 405
    assert not AuthorizationCode.objects.exists()


@pytest.mark.parametrize("demand", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "login select_account"}])
def test_a_demand_for_a_new_sign_in_is_answered_by_one_sign_in_and_not_by_an_earlier_one(
    signed_in_browser, clock, demand
):
    clock.advance(seconds=5)
    first = signed_in_browser.cookie
    page = signed_in_browser.open(authorize_path(**demand))
    asked = parse_qsl(urlsplit(page.path).query)[0][1]
    assert page.fields["username"] == "alice"
    assert signed_in_browser.open(asked).path.startswith("/sign-in")  # to go on without signing in asks again

    assert "code" in returned(reenter(signed_in_browser, page))
    assert signed_in_browser.cookie != first
    assert RefreshToken.objects.filter(kind="browser").count() == 1


def test_a_demand_for_a_new_sign_in_is_not_answered_by_an_invented_time(signed_in_browser, clock):
    clock.advance(seconds=5)
    page = signed_in_browser.open(authorize_path(prompt="login"))
    asked = parse_qsl(urlsplit(page.path).query)[0][1]
    reenter(signed_in_browser, page)

    assert "code" in returned(signed_in_browser.get(asked))
    assert signed_in_browser.open(asked.replace("state=s1", "state=s2")).path.startswith("/sign-in")
    assert signed_in_browser.open(authorize_path(prompt="login", asked="1:x")).path.startswith("/sign-in")
    clock.advance(hours=2)
    assert signed_in_browser.open(asked).path.startswith("/sign-in")


def test_the_user_chooses_to_go_on_or_to_use_another_account(signed_in_browser, clock):
    make_user("bob")
    clock.advance(seconds=1)
    page = signed_in_browser.open(authorize_path(prompt="select_account"))
    assert page.texts["h1"] == "Signed in as alice"
    assert "code" in returned(signed_in_browser.get(page.links["Continue to Shop"]))

    clock.advance(seconds=1)
    other = signed_in_browser.open(page.links["Use another account"])
    assert other.fields["username"] == ""
    response = signed_in_browser.submit(other, username="bob", password=PASSWORD)
    assert "code" in returned(signed_in_browser.get(response["Location"]))
    assert RefreshToken.objects.get(kind="browser", ended_at=None).owner.username == "bob"


def id_token_of(browser):
    """Sign in to the application with the browser's sign-in, and return the ID token."""
    code = returned(browser.get(authorize_path()))["code"]
    response = Party().exchange(code)
    assert response.status_code == 200, response.content
    return response.json()["id_token"]


def test_an_application_that_expects_a_user_is_not_signed_in_as_another(signed_in_browser, clock):
    make_user("bob")
    hint = id_token_of(signed_in_browser)
    assert "code" in returned(signed_in_browser.get(authorize_path(id_token_hint=hint)))

    browser = Browser()
    page = browser.open(authorize_path(id_token_hint=hint))
    response = browser.submit(page, username="bob", password=PASSWORD)

    assert returned(browser.get(response["Location"]))["error"] == "login_required"


def test_an_application_that_requires_a_second_factor_gets_one(signed_in_browser, clock):
    client = SignedIn("alice")
    app = add_app(client)
    clock.advance(seconds=30)
    browser = Browser()
    # As if the browser had signed in before the factor was added.
    browser.http.cookies = signed_in_browser.http.cookies
    page = browser.open(authorize_path(acr_values="2"))
    assert page.path.startswith("/sign-in/second-factor")
    wrong = browser.answer(page, 403, code="000000")
    response = browser.submit(wrong, code=app.code())

    assert "code" in returned(browser.get(response["Location"]))
    assert RefreshToken.objects.get(kind="browser", ended_at=None).authentication.joined == "pwd otp mfa"


def test_a_sign_out_is_confirmed_and_ends_the_sign_in(signed_in_browser):
    page = signed_in_browser.open("/signout")
    assert RefreshToken.objects.get(kind="browser").ended_at is None
    done = signed_in_browser.answer(page, 200)

    assert done.texts["h1"] == "You are signed out"
    assert RefreshToken.objects.get(kind="browser").ended_at is not None
    assert signed_in_browser.http.cookies[COOKIE].value == ""
    assert signed_in_browser.open("/signout").texts["h1"] == "You are signed out"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_sign_out_with_the_id_token_of_this_sign_in_needs_no_confirmation(signed_in_browser, method):
    hint = id_token_of(signed_in_browser)
    query = urlencode(
        {"id_token_hint": hint, "post_logout_redirect_uri": "https://shop.example/bye", "state": "z"}
    )
    if method == "post":
        headers = {"Origin": "https://shop.example"}
        response = signed_in_browser.http.post(
            "/signout", query, "application/x-www-form-urlencoded", headers=headers
        )
        response = signed_in_browser.get(response["Location"])
    else:
        response = signed_in_browser.get(f"/signout?{query}")

    assert (response.status_code, response["Location"]) == (303, "https://shop.example/bye?state=z")
    assert not RefreshToken.objects.filter(ended_at=None).exists()
    assert response.cookies[COOKIE]["max-age"] == 0


def test_a_sign_out_with_the_id_token_of_another_user_is_confirmed(signed_in_browser):
    make_user("bob")
    other = Browser()
    other.submit(other.open("/sign-in"), username="bob", password=PASSWORD)
    page = signed_in_browser.open(f"/signout?{urlencode({'id_token_hint': id_token_of(other)})}")

    assert page.texts["h1"] == "Do you want to sign out?"
    live = RefreshToken.objects.filter(kind="browser", ended_at=None)
    assert [session.owner.username for session in live] == ["alice"]


def test_another_site_cannot_sign_out_without_an_id_token(signed_in_browser):
    page = signed_in_browser.open("/signout")
    for fields in (page.fields, {}):
        response = signed_in_browser.http.post(
            "/signout",
            urlencode(fields),
            "application/x-www-form-urlencoded",
            headers={"Origin": "https://evil.example"},
        )
        assert response.status_code in {303, 403}
    assert RefreshToken.objects.get(kind="browser").ended_at is None


def test_an_application_signs_its_user_out_whoever_is_signed_in_in_the_browser(signed_in_browser):
    someone = SingleSignOn("bob")
    query = urlencode({"id_token_hint": someone.tokens["id_token"]})

    asked = signed_in_browser.open(f"/signout?{query}")
    assert asked.texts["h1"] == "Do you want to sign out?"
    assert not RefreshToken.objects.filter(owner=someone.user, ended_at=None).exists()
    assert RefreshToken.objects.get(owner__username="alice").ended_at is None
    assert signed_in_browser.answer(asked, 200).texts["h1"] == "You are signed out"
    assert RefreshToken.objects.get(owner__username="alice").ended_at is not None


def refresh_past_the_sign_in(browser, clock):
    """Let the browser's sign-in expire while the application refreshes its session; return the application's tokens."""
    code = returned(browser.get(authorize_path()))["code"]
    tokens = Party().exchange(code, code_verifier=VERIFIER).json()
    clock.advance(hours=23)
    tokens = Party().refresh(tokens["refresh_token"]).json()
    clock.advance(hours=2)
    assert browser.open("/choose-account").path == "/sign-in"
    return tokens


def test_a_sign_out_ends_what_came_of_a_sign_in_that_expired(signed_in_browser, clock):
    tokens = refresh_past_the_sign_in(signed_in_browser, clock)
    page = signed_in_browser.open("/signout")
    assert page.texts["h1"] == "Do you want to sign out?"
    signed_in_browser.submit(page)

    assert Party().refresh(tokens["refresh_token"]).status_code == 400


def test_a_sign_out_ends_what_came_of_the_sign_in_before_the_last(signed_in_browser, clock):
    tokens = refresh_past_the_sign_in(signed_in_browser, clock)
    signed_in_browser.submit(signed_in_browser.open("/sign-in"), **ALICE)
    assert Party().refresh(tokens["refresh_token"]).status_code == 200
    signed_in_browser.submit(signed_in_browser.open("/signout"))

    assert not RefreshToken.objects.filter(ended_at=None).exists()


def test_an_application_signs_its_user_out_in_a_browser_without_a_cookie(browser):
    someone = SingleSignOn("bob")
    query = {"id_token_hint": someone.tokens["id_token"], "post_logout_redirect_uri": "https://shop.example/bye"}
    response = browser.get(f"/signout?{urlencode(query)}")

    assert (response.status_code, response["Location"]) == (303, "https://shop.example/bye")
    assert not RefreshToken.objects.filter(ended_at=None).exists()


def test_a_sign_out_returns_to_a_registered_address_only(signed_in_browser):
    query = {"client_id": "shop", "post_logout_redirect_uri": "https://shop.example/bye", "state": "z"}
    page = signed_in_browser.open(f"/signout?{urlencode(query)}")
    response = signed_in_browser.submit(page, {"Sec-Fetch-Site": "same-origin"})
    assert response["Refresh"] == "0; url=https://shop.example/bye?state=z"


def test_a_sign_out_does_not_return_to_another_address(signed_in_browser):
    query = {"client_id": "shop", "post_logout_redirect_uri": "https://evil.example/"}
    done = signed_in_browser.answer(signed_in_browser.open(f"/signout?{urlencode(query)}"), 200)

    assert done.texts["h1"] == "You are signed out"
    assert "Refresh" not in done.response
    assert "evil.example" not in done.html


def test_a_code_is_in_no_page_of_ours_except_the_one_that_leads_on(signed_in_browser):
    page = signed_in_browser.open(f"/sign-in?another&next={quote(authorize_path())}")

    assert "code=" not in page.html.replace("response_type=code", "")
