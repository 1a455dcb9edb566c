"""The hosted pages for sign-in, sign-up and the second factor, as a browser without scripts sees them."""

import json
import re
from datetime import timedelta
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth import user_logged_in, user_logged_out, user_login_failed
from django.db import OperationalError

from accounts.conf import Limit
from accounts.models import PendingSignIn, RefreshToken, User
from accounts.users import invitations, sign_in
from accounts.values.clients import NO_CLIENT
from api.defaults import HOSTED_PAGES
from api.http import page_forms
from tests.api.pages import COOKIE, ORIGIN, Browser, authorize_path, returned
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.factors.conftest import add_app, add_passkey
from tests.sso.flows import CALLBACK, make_application
from tests.webauthn import SoftwareAuthenticator

PAGES = [
    "/sign-in",
    "/sign-up",
    "/forgot-password",
    "/resend-verification",
    "/reset-password",
    "/verify-email",
    "/invitation",
]
ALICE = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def browser(clock):
    make_user("alice")
    return Browser()


@pytest.fixture
def shop(db):
    return make_application()


def sign_in_page(browser, **request):
    """Open the sign-in page as an application does."""
    return browser.open(authorize_path(**request))


def arrive(browser, response):
    """Follow a redirect to the authorization endpoint and on to the application; return what it gets."""
    assert response.status_code == 303, response.content
    return returned(browser.get(response["Location"]))


# What every page has


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_not_cached_framed_or_found_in_a_referrer(browser, path):
    headers = browser.get(path).headers
    policy = dict(directive.split(" ", 1) for directive in headers["Content-Security-Policy"].split("; "))

    assert headers["Cache-Control"] == "no-store"
    assert (policy["frame-ancestors"], headers["X-Frame-Options"]) == ("'none'", "DENY")
    assert (policy["script-src"], policy["style-src"], policy["form-action"]) == ("'self'", "'self'", "'self'")
    # With no-referrer, browsers would send our own forms with `Origin: null`.
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_inline_script_or_style(browser, path):
    html = browser.open(path).html

    assert not re.findall(r"<script(?![^>]+(?:src=|application/json))|<style|\sstyle=|\son\w+=", html)


@pytest.mark.parametrize("path", PAGES)
def test_every_field_of_a_page_has_a_label_or_is_hidden(browser, path):
    page = browser.open(path)
    for name, attributes in page.inputs.items():
        is_labelled = f'<label for="{attributes.get("id")}"' in page.html or attributes.get("type") in {
            "hidden",
            "checkbox",
        }
        assert is_labelled, name


@pytest.mark.parametrize("path", [*PAGES, "/choose-account", "/signout", "/authorize"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_gets_405_as_a_page(browser, path, method):
    response = browser.http.generic(method, path)

    assert response.status_code == 405
    assert response["Content-Type"].startswith("text/html")
    assert "GET" in response["Allow"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_that_takes_a_password_is_in_paths_that_hash_and_needs_no_django_session(browser, settings, path):
    page = browser.open(path)

    assert path.startswith(settings.PATHS_THAT_HASH) or 'type="password"' not in page.html
    assert path.startswith(HOSTED_PAGES)  # for which authproject runs no middleware for sessions
    assert settings.SESSION_COOKIE_NAME not in browser.http.cookies


@pytest.mark.parametrize("path", PAGES)
def test_too_many_parameters_get_a_page_and_lead_nowhere(browser, path, caplog):
    many = "&".join(f"p{number}=1" for number in range(1001))
    nested = browser.open(f"{path}?next={quote('/authorize?' + many)}")
    assert not nested.action or "next" not in nested.action
    for response in (
        browser.get(f"{path}?{many}"),
        browser.http.put(f"{path}?next={quote('/authorize?' + many)}"),
    ):
        assert response["Content-Type"].startswith("text/html")
        assert response["Cache-Control"] == "no-store"
    assert "TooManyFieldsSent" not in caplog.text


@pytest.mark.parametrize("path", PAGES)
def test_head_gets_the_headers_of_the_page(browser, path):
    response = browser.http.head(path)

    assert (response.status_code, response.content) == (200, b"")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_in_the_language_that_the_application_or_the_browser_prefers(browser, shop, path):
    german = f"{path}?next={quote(authorize_path(ui_locales='fr de'))}"

    assert '<html lang="de">' in browser.get(path, **{"Accept-Language": "de"}).text
    assert '<html lang="de">' in browser.get(german, **{"Accept-Language": "en"}).text
    assert browser.get(path)["Content-Language"] == "en"


def test_a_project_gives_the_pages_its_name_and_style(browser, settings, tmp_path):
    folder = tmp_path / "api" / "hosted"
    folder.mkdir(parents=True)
    (folder / "brand.html").write_text("<p>Our company</p>")
    (folder / "style.html").write_text('<link rel="stylesheet" href="/static/ours.css">')
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]

    html = browser.open("/sign-in").html

    assert "<p>Our company</p>" in html
    assert '<link rel="stylesheet" href="/static/ours.css">' in html
    assert "Token authentication service" not in html


def test_an_error_is_in_the_language_of_the_page(browser):
    browser = Browser(**{"Accept-Language": "de"})
    page = browser.answer(browser.open("/sign-in"), 403, username="alice", password="wrong")

    assert page.texts["error"] == "Benutzername oder Passwort ist falsch."
    assert page.texts["title"].startswith("Fehler: ")


@pytest.mark.parametrize(
    ("typed", "field", "text"),
    [
        ({"username": "a b"}, "username", "Ein Benutzername kann nur Buchstaben, Ziffern und . _ - + enthalten"),
        ({"username": ""}, "username", "Dieses Feld "),
        ({"email": "x"}, "email", "Geben Sie eine gültige E-Mail-Adresse ein."),
        ({"password": "x" * 5000}, "password", "Dieses Passwort ist zu lang. Es darf höchstens "),
        ({"password": "authproject1"}, "password", "Dieses Passwort ist zu leicht zu erraten."),
    ],
)
def test_the_rules_for_names_and_passwords_are_in_the_language_of_the_page(browser, typed, field, text):
    browser = Browser(**{"Accept-Language": "de"})
    values = {"username": "dora", "email": "dora@example.com", "password": PASSWORD, **typed}
    page = browser.answer(browser.open("/sign-up"), 400, **values)

    assert page.description(field).startswith(text)


def test_a_fault_of_the_database_is_a_page(browser, monkeypatch):
    page = browser.open("/sign-in")

    def fail(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(sign_in, "with_password", fail)
    failed = browser.answer(page, 503, **ALICE)

    assert "The service is not available right now." in failed.html
    assert failed.response["Retry-After"] == "1"


@pytest.mark.parametrize("body", ["a=1&" * 2000, "username=%ff&csrfmiddlewaretoken=x", "x" * 1000])
def test_a_strange_form_is_refused_with_a_page(browser, body):
    browser.open("/sign-in")
    response = browser.http.post("/sign-in", body, "application/x-www-form-urlencoded", headers={"Origin": ORIGIN})

    assert response.status_code in {400, 403}
    assert "<html" in response.text


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_a_body_that_is_no_plain_form_is_refused(browser, content_type):
    response = browser.http.post("/sign-in", "{}", content_type, headers={"Origin": ORIGIN})

    assert (response.status_code, "<html" in response.text) == (415, True)


# The password


def test_a_person_signs_in_and_returns_to_the_application(browser, shop):
    page = sign_in_page(browser)
    response = browser.submit(page, **ALICE)
    cookie = response.cookies[COOKIE]

    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    answer = arrive(browser, response)
    assert (answer["state"], set(answer)) == ("s1", {"code", "state", "iss"})


def test_the_second_application_needs_no_password(browser, shop):
    make_application("blog", redirect_uris=["https://blog.example/cb"])
    arrive(browser, browser.submit(sign_in_page(browser), **ALICE))

    response = browser.get(authorize_path(client_id="blog", redirect_uri="https://blog.example/cb"))

    assert response["Location"].startswith("https://blog.example/cb?code=")


def test_the_page_names_the_application_and_contains_its_hint(browser, shop):
    page = sign_in_page(browser, login_hint="bob@example.com")

    assert "to continue to Shop" in page.html
    assert page.fields["username"] == "bob@example.com"
    assert page.focused == ["password"]


def test_what_an_application_sends_is_escaped(browser, shop):
    page = sign_in_page(browser, login_hint='"><script>alert(1)</script>')

    assert page.fields["username"] == '"><script>alert(1)</script>'
    assert "<script>alert" not in page.html


@pytest.mark.parametrize(
    "typed", [{"username": "alice", "password": "wrong"}, {"username": "nobody", "password": PASSWORD}]
)
def test_a_wrong_password_and_an_unknown_user_get_the_same_page(browser, shop, typed):
    page = browser.answer(sign_in_page(browser), 403, remember=None, **typed)

    assert page.texts["error"] == "Invalid username or password!"
    assert page.fields["username"] == typed["username"]
    assert "remember" not in page.fields
    assert page.fields.get("password", "") == ""
    assert (page.focused, page.description("password")) == (["password"], "Invalid username or password!")
    assert browser.cookie is None
    # The corrected form leads to the application.
    assert "code" in arrive(browser, browser.submit(page, **ALICE))


def test_an_empty_field_gets_the_focus_and_a_description(browser):
    page = browser.answer(browser.open("/sign-in"), 400, username="", password="")

    assert page.focused == ["username"]
    assert page.inputs["password"]["aria-invalid"] == "true"
    assert page.description("username") == "This field is required."


def test_password_managers_know_the_fields(browser):
    inputs = browser.open("/sign-in").inputs
    new = browser.open("/sign-up").inputs

    assert inputs["username"]["autocomplete"] == "username webauthn"
    assert inputs["password"]["autocomplete"] == "current-password"
    assert [new[name]["autocomplete"] for name in ("username", "email", "password")] == [
        "username",
        "email",
        "new-password",
    ]


@pytest.mark.parametrize(("typed", "lasts"), [({}, True), ({"remember": None}, False)])
def test_the_cookie_outlives_the_browser_only_if_the_user_wants_it(browser, typed, lasts):
    cookie = browser.submit(browser.open("/sign-in"), **ALICE, **typed).cookies[COOKIE]

    assert bool(cookie["max-age"]) == lasts
    assert RefreshToken.objects.get().remember == lasts


def test_too_many_attempts_get_429_with_the_time_to_wait(browser, override_auth, fast_password_hasher):
    override_auth(account_limit=Limit(2, 60))
    page = browser.open("/sign-in")
    for _ in range(2):
        page = browser.answer(page, 403, username="alice", password="wrong")
    page = browser.answer(page, 429, **ALICE)

    seconds = page.response["Retry-After"]
    assert page.texts["error"] == f"Too many attempts. Try again in {seconds} seconds."
    assert page.fields["username"] == "alice"


def test_a_user_whose_address_is_not_verified_can_ask_for_another_link(browser, override_auth, mailoutbox):
    override_auth(unverified_signin=False)
    page = browser.answer(browser.open("/sign-in"), 403, **ALICE)
    assert page.texts["error"].startswith("The email address is not verified.")
    assert browser.cookie is None

    page = browser.open(page.links["Request a new link"])
    done = browser.answer(page, 200, email="alice@example.com")

    assert "you get an email with a link" in done.html
    assert "/verify-email#token=" in mailoutbox[-1].body


def test_a_signed_in_browser_is_shown_who_is_signed_in(browser):
    browser.submit(browser.open("/sign-in"), **ALICE)
    page = browser.open("/sign-in")

    assert page.path == "/choose-account"
    assert page.texts["h1"] == "Signed in as alice"
    assert "username" in browser.open(page.links["Use another account"]).fields


# Fixation, forgery and cookies


def test_a_sign_in_always_sets_a_new_cookie_and_ends_another_users(browser, shop):
    make_user("bob")
    browser.submit(browser.open("/sign-in"), **ALICE)
    first, page = browser.cookie, browser.open("/sign-in?another")
    browser.submit(page, username="bob", password=PASSWORD)

    assert browser.cookie != first
    assert RefreshToken.objects.get(owner__username="alice").ended_at is not None
    browser.http.cookies[COOKIE] = first
    assert browser.get(authorize_path())["Location"].startswith("/sign-in")


@pytest.mark.parametrize("planted", ["", "x", "../..", "authbrowser_" + "A" * 64, "\x00", "ä"])
def test_a_cookie_that_an_attacker_chose_never_becomes_a_sign_in(browser, shop, planted):
    browser.http.cookies[COOKIE] = planted
    browser.submit(sign_in_page(browser), **ALICE)

    assert browser.cookie not in {"", planted}


def test_two_different_cookies_count_as_none(browser, shop):
    browser.submit(browser.open("/sign-in"), **ALICE)
    valid = browser.cookie
    header = f"{COOKIE}={valid}; {COOKIE}=other"

    assert Browser().get(authorize_path(), Cookie=f"{COOKIE}={valid}")["Location"].startswith(CALLBACK)
    assert Browser().get(authorize_path(), Cookie=header)["Location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"{ORIGIN}.evil.example"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Cookie": "csrftoken=x"},
        {"Origin": "http://localhost:8081"},
    ],
)  # fmt: skip
def test_a_form_of_another_site_does_not_sign_in(browser, settings, headers):
    settings.CORS_ALLOWED_ORIGINS = ["http://localhost:8081"]  # may call the API, but has no forms for people
    response = browser.submit(browser.open("/sign-in"), headers, **ALICE)

    assert response.status_code == 403
    assert "This form is not valid any more" in response.text
    assert browser.cookie is None
    assert not RefreshToken.objects.exists()


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303), (None, 303)]
)
def test_a_form_without_an_origin_is_judged_by_its_site(browser, site, status):
    headers = {"Origin": None, "Sec-Fetch-Site": site}

    assert browser.submit(browser.open("/sign-in"), headers, **ALICE).status_code == status
    assert RefreshToken.objects.exists() == (status == 303)


def test_a_form_of_an_origin_that_the_project_trusts_otherwise_does_not_sign_in(browser, monkeypatch):
    trusted = {"https://sister.example"}
    monkeypatch.setitem(vars(page_forms._check), "allowed_origins_exact", trusted)  # CSRF_TRUSTED_ORIGINS

    response = browser.submit(browser.open("/sign-in"), {"Origin": "https://sister.example"}, **ALICE)

    assert (response.status_code, browser.cookie) == (403, None)


@pytest.mark.parametrize("token", [None, "", "x" * 64])
def test_a_form_without_the_token_of_the_page_is_refused(browser, events, token):
    response = browser.submit(browser.open("/sign-in"), csrfmiddlewaretoken=token, **ALICE)

    assert (response.status_code, browser.cookie) == (403, None)
    assert events()[-1]["code"] == "csrf_failed"


def test_the_token_of_forms_changes_with_the_sign_in(browser):
    page = browser.open("/sign-in")
    before = browser.http.cookies[page_forms.COOKIE].value
    browser.submit(page, **ALICE)

    assert browser.http.cookies[page_forms.COOKIE].value != before
    assert browser.submit(page, **ALICE).status_code == 403  # the page in another tab is outdated


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/", "//evil.example/authorize?", "/\\evil.example", "/sign-out", "javascript:alert(1)",
        "/authorize", "/authorize/../x?", "/authorize?a\r\nSet-Cookie: x=1", "/authorize?\x00", "/authorize?ä", "authorize?",
        " /authorize?x", "/authorize%3F", "/authorize?" + "a" * 20000,
    ],
)  # fmt: skip
def test_next_leads_nowhere_but_to_the_authorization_endpoint(browser, path):
    page = browser.open(f"/sign-in?next={quote(path)}")
    response = browser.submit(page, **ALICE)

    assert "next" not in page.action
    assert response["Location"] == "/choose-account"


@pytest.mark.parametrize("name", ["csrftoken", page_forms.COOKIE])
def test_a_token_that_a_sibling_site_planted_is_not_accepted(browser, name):
    planted = "p" * 32
    browser.open("/sign-in")
    cookies = f"{page_forms.COOKIE}={browser.http.cookies[page_forms.COOKIE].value}; {name}={planted}"
    response = browser.http.post(
        "/sign-in",
        urlencode({"csrfmiddlewaretoken": planted, **ALICE}),
        "application/x-www-form-urlencoded",
        headers={"Origin": ORIGIN, "Cookie": cookies},
    )

    assert (response.status_code, browser.cookie) == (403, None)


def test_a_form_that_is_sent_twice_leads_on_to_the_application(browser, shop):
    page = sign_in_page(browser)
    browser.submit(page, **ALICE)
    refused = browser.answer(page, 403, **ALICE)

    assert "code" in returned(browser.get(refused.links["Open the page again"]))


def test_the_token_is_in_a_cookie_that_only_this_host_can_set(browser):
    browser.open("/sign-in")
    cookie = browser.http.cookies[page_forms.COOKIE]

    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
    assert "csrftoken" not in browser.http.cookies


# The second factor


@pytest.fixture
def with_app(browser, clock):
    client = SignedIn("alice")
    client.app = add_app(client)
    clock.advance(seconds=30)
    return client


def test_the_second_factor_is_asked_for_after_the_right_password_only(browser, with_app, shop):
    wrong = browser.answer(sign_in_page(browser), 403, username="alice", password="wrong")
    assert "code" not in wrong.fields

    page = browser.answer(wrong, 200, **ALICE)
    assert (page.focused, browser.cookie) == (["code"], None)
    assert page.inputs["code"]["autocomplete"] == "one-time-code"
    assert "From your authenticator app." in page.description("code")

    answer = arrive(browser, browser.submit(page, code=with_app.app.code()))
    assert "code" in answer
    assert RefreshToken.objects.get(kind="browser").authentication.level == 2


def test_a_recovery_code_completes_the_sign_in(browser, with_app, shop):
    page = browser.answer(sign_in_page(browser), 200, **ALICE)

    assert "code" in arrive(browser, browser.submit(page, code=f" {with_app.recovery_codes[0]} "))


def test_a_wrong_code_can_be_corrected(browser, with_app, shop):
    page = browser.answer(sign_in_page(browser), 200, **ALICE)
    page = browser.answer(page, 403, code="000000")

    assert page.description("code").startswith("The code is wrong, or was used before.")
    assert (page.focused, page.fields["code"]) == (["code"], "")
    assert "code" in arrive(browser, browser.submit(page, code=with_app.app.code()))


@pytest.mark.parametrize("auth_session", ["", "invented", None])
def test_an_unknown_or_expired_sign_in_begins_again_with_the_password(browser, with_app, shop, auth_session):
    page = browser.answer(sign_in_page(browser), 200, **ALICE)
    page = browser.answer(page, 403, code=with_app.app.code(), auth_session=auth_session)

    assert page.texts["error"] == "This sign-in has expired or was used. Sign in again."
    assert "code" in browser.answer(page, 200, **ALICE).fields


def test_a_used_sign_in_is_refused(browser, with_app, shop, clock):
    page = browser.answer(sign_in_page(browser), 200, **ALICE)
    browser.submit(page, code=with_app.app.code())
    clock.advance(seconds=30)
    again = browser.page(browser.get("/sign-in?another"), "/sign-in?another")
    response = browser.submit(
        page, code=with_app.app.code(), csrfmiddlewaretoken=again.fields["csrfmiddlewaretoken"]
    )

    assert response.status_code == 403
    assert not PendingSignIn.objects.exists()


def test_a_passkey_signs_in_and_completes_a_sign_in(browser, shop, api):
    client, authenticator = SignedIn("alice"), SoftwareAuthenticator()
    add_passkey(client, authenticator)
    options = api.post("/api/auth/signin/passkey/options").json()
    response = browser.submit(sign_in_page(browser), passkey=json.dumps(authenticator.get(options)))
    assert "code" in arrive(browser, response)

    page = Browser().open("/sign-in")
    other = Browser()
    page = other.answer(other.open(authorize_path()), 200, **ALICE)
    options = json.loads(re.search(r'id="passkey-options"[^>]*>(.*?)</script>', page.html)[1])
    assert "code" in arrive(other, other.submit(page, code=None, passkey=json.dumps(authenticator.get(options))))


@pytest.mark.parametrize("passkey", ["{}", "[]", "null", "{", '{"a":1,"a":2}', "[" * 100_00])
def test_an_invented_passkey_is_refused(browser, passkey):
    page = browser.answer(browser.open("/sign-in"), 403, passkey=passkey)

    assert page.texts["error"] == "The passkey was not accepted."


def test_the_page_of_the_second_factor_without_a_sign_in_leads_to_the_first(browser, shop):
    assert browser.open(f"/sign-in/second-factor?next={quote(authorize_path())}").path.startswith("/sign-in?next=")


# Sign-up


def test_a_person_signs_up_and_returns_to_the_application(browser, shop, mailoutbox):
    page = browser.open(sign_in_page(browser).links["Create an account"])
    response = browser.submit(page, username="dora", email="dora@example.com", password=PASSWORD)

    assert "code" in arrive(browser, response)
    assert User.objects.get(username="dora").role_names == ("user",)
    assert mailoutbox[-1].to == ["dora@example.com"]


def test_the_errors_of_a_sign_up_are_at_their_fields(browser):
    page = browser.answer(browser.open("/sign-up"), 400, username="a b", email="no address", password="short")

    assert page.focused == ["username"]
    assert all(page.inputs[name]["aria-invalid"] == "true" for name in ("username", "email", "password"))
    assert page.description("email") == "Enter a valid email address."
    assert (page.fields["username"], page.fields["email"], page.fields["password"]) == ("a b", "no address", "")


@pytest.mark.parametrize(("field", "value"), [("username", "alice"), ("email", "alice@example.com")])
def test_a_name_that_is_taken_is_reported_at_its_field(browser, field, value):
    typed = {"username": "dora", "email": "dora@example.com", "password": PASSWORD, field: value}
    page = browser.answer(browser.open("/sign-up"), 400, **typed)

    assert (page.focused, "already in use" in page.description(field)) == ([field], True)


def test_a_username_is_asked_for_only_if_it_is_required(browser, override_auth):
    override_auth(username_required=False)
    page = browser.open("/sign-up")
    assert "username" not in page.fields
    assert page.inputs["email"]["autocomplete"] == "username email"

    browser.submit(page, email="dora@example.com", password=PASSWORD)
    assert browser.open("/choose-account").texts["h1"].startswith("Signed in as user-")


@pytest.mark.parametrize(
    ("mode", "text"), [("closed", "Accounts cannot be created here."), ("invited", "You need an invitation")]
)
def test_the_page_says_why_nobody_can_sign_up(browser, override_auth, mode, text):
    page = browser.open("/sign-up")
    override_auth(signup=mode)

    assert text in browser.open("/sign-up").html
    assert browser.open("/sign-up").action is None
    assert "Create an account" not in browser.open("/sign-in").links
    refused = browser.submit(page, username="dora", email="dora@example.com", password=PASSWORD)
    assert refused.status_code == 403
    assert not User.objects.filter(username="dora").exists()


def test_sign_up_does_not_say_which_addresses_have_accounts(browser, override_auth, mailoutbox):
    override_auth(unverified_signin=False, hide_known_email=True)
    pages = [
        browser.answer(
            browser.open("/sign-up"), 200, username=name, email=f"{name[:-1]}@example.com", password=PASSWORD
        )
        for name in ("alice2", "dora2")
    ]
    known, unknown = (page.html.replace("alice", "X").replace("dora", "X") for page in pages)

    assert known == unknown
    assert browser.cookie is None


# Forgotten passwords, and the pages of emailed links without a script


def test_the_response_does_not_say_whether_an_account_has_the_address(browser, mailoutbox):
    pages = [
        browser.answer(browser.open("/forgot-password"), 200, email=f"{name}@example.com").html
        for name in ("alice", "nobody")
    ]

    assert pages[0].replace("alice", "X") == pages[1].replace("nobody", "X")
    assert [one.to for one in mailoutbox] == [["alice@example.com"]]


@pytest.mark.parametrize("email", ["", "no address", "a@b@c"])
def test_an_address_that_is_none_is_reported_at_the_field(browser, email):
    page = browser.answer(browser.open("/forgot-password"), 400, email=email)

    assert (page.focused, page.inputs["email"]["aria-invalid"]) == (["email"], "true")
    assert page.fields["email"] == email


def test_a_password_is_reset_without_a_script(browser, mailoutbox):
    browser.answer(
        browser.open(browser.open("/sign-in").links["Forgot your password?"]), 200, email="alice@example.com"
    )
    link = re.search(r"\S+#token=\S+", mailoutbox[-1].body)[0]
    page = browser.open("/reset-password")
    weak = browser.answer(page, 400, link=link, newPassword="12345678")
    assert weak.inputs["newPassword"]["aria-invalid"] == "true"
    assert weak.fields["link"] == link

    done = browser.answer(weak, 200, link=link, newPassword="another good one")
    assert "Your password was changed." in done.html
    browser.submit(browser.open(done.links["Sign in"]), username="alice", password="another good one")
    assert browser.cookie
    used = browser.answer(browser.open("/reset-password"), 400, link=link, newPassword="a third good one")
    assert "This link is invalid, has expired or was already used." in used.html


def test_an_address_is_verified_without_a_script(browser, mailoutbox):
    Api().sign_up("dora")
    token = mailoutbox[-1].body.partition("#token=")[2].split()[0]
    done = browser.answer(browser.open("/verify-email"), 200, link=token)

    assert "Your email address is verified." in done.html
    assert User.objects.get(username="dora").is_email_verified


def test_an_invitation_is_accepted_without_a_script(browser, override_auth, mailoutbox, administrator):
    override_auth(signup="invited")
    invitations.invite("erin@example.com", [], timedelta(days=1), NO_CLIENT, by=administrator.pk)
    link = re.search(r"\S+#token=\S+", mailoutbox[-1].body)[0]
    page = browser.open("/invitation")
    assert browser.submit(page, link="", username="erin", password=PASSWORD).status_code == 403

    done = browser.answer(page, 200, link=link, username="erin", password=PASSWORD)

    assert "Your account was created." in done.html
    assert User.objects.get(username="erin").is_email_verified


def test_a_password_is_never_in_a_page(browser, shop):
    secret = "wrong but secret"
    pages = [
        browser.answer(browser.open("/sign-in"), 403, username="alice", password=secret),
        browser.answer(browser.open("/sign-up"), 400, username="alice", email="x@example.com", password=secret),
        browser.answer(browser.open("/reset-password"), 400, link="x", newPassword=secret),
    ]

    assert not [page for page in pages if secret in page.html]


def test_the_signals_of_django_report_sign_ins_at_the_page(browser):
    received = []

    def receive(signal, request, **details):
        received.append((signal, request.path, details.get("session_id") or details.get("credentials")))

    signals = (user_logged_in, user_login_failed, user_logged_out)
    for signal in signals:
        signal.connect(receive)
    try:
        page = browser.answer(browser.open("/sign-in"), 403, username="alice", password="wrong")
        browser.submit(page, **ALICE)
        browser.submit(browser.open("/signout"))
    finally:
        for signal in signals:
            signal.disconnect(receive)

    session_id = str(RefreshToken.objects.get().pk)
    assert [(signal, path) for signal, path, _ in received] == [
        (user_login_failed, "/sign-in"),
        (user_logged_in, "/sign-in"),
        (user_logged_out, "/signout"),
    ]
    assert received[0][2] == {"username": "alice", "password": "*" * 20}
    assert received[1][2] == session_id
