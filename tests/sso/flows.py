"""A single sign-on, step by step: an application, a browser that signs in, a code, and its exchange."""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from django.utils import timezone

from accounts.models import Application
from accounts.sso import applications, authorization, browser_sign_ins
from accounts.sso.authorization import Step
from accounts.users import credentials
from accounts.users.sign_in import Authenticated, SignInOptions
from accounts.values.authentication import BY_CODE, BY_PASSWORD
from accounts.values.clients import Client
from tests.documented import DocumentedClient
from tests.factories import make_user

TOKEN, USERINFO, REVOKE = "/api/oauth/token", "/api/oauth/userinfo", "/api/oauth/revoke"
CALLBACK = "https://shop.example/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
BROWSER = Client("192.0.2.7", "Firefox")
BY_BOTH = BY_PASSWORD.with_second_factor(BY_CODE)


def challenge_of(verifier=VERIFIER):
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def make_application(client_id="shop", **fields):
    defaults = {"name": "Shop", "redirect_uris": [CALLBACK]}
    return Application.objects.create(client_id=client_id, **{**defaults, **fields})


def make_confidential(client_id="shop", **fields):
    application = make_application(client_id, is_confidential=True, **fields)
    secret = applications.new_secret(application)
    application.save()
    return application, secret


def sign_in_browser(user, authentication=BY_PASSWORD, *, previous=None, remember=True):
    """Return the sign-in of a browser, found by its cookie, and the cookie."""
    found = credentials.find(user.pk, BROWSER)
    authenticated = Authenticated(found, authentication, SignInOptions(remember=remember))
    _, cookie = browser_sign_ins.start(authenticated, BROWSER, previous=previous)
    return browser_sign_ins.find(cookie), cookie


def request_parameters(client_id="shop", **changes):
    """Return the parameters of an authorization request. A change to None leaves a parameter out."""
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid profile email",
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge": challenge_of(),
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: [value] for name, value in parameters.items() if value is not None}


def parse(client_id="shop", **changes):
    return authorization.parse(request_parameters(client_id, **changes))


def authorize(browser, client_id="shop", **changes):
    """Return a code, as the authorization endpoint does."""
    request = parse(client_id, **changes)
    assert authorization.required_step(request, browser, timezone.now()) is Step.NONE
    return authorization.issue_code(request, browser)


def query_of(url):
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


def basic(client_id, secret):
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}


def refused(response, error="invalid_grant", status=400):
    """Return whether a response has this error and status."""
    return (response.status_code, response.json()["error"], response.json()["code"]) == (status, error, error)


class Party(DocumentedClient):
    """An application's own code, which calls the token endpoint as any OAuth client does."""

    def __init__(self, client_id="shop", secret=None, **headers):
        super().__init__(**headers)
        self.client_id, self.secret = client_id, secret

    def send(self, path, **body):
        headers = basic(self.client_id, self.secret) if self.secret else {}
        fields = body if self.secret else {"client_id": self.client_id, **body}
        given = {name: value for name, value in fields.items() if value is not None}
        return self.post(path, urlencode(given), "application/x-www-form-urlencoded", headers=headers)

    def exchange(self, code_, **changes):
        body = {
            "grant_type": "authorization_code",
            "code": code_,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.send(TOKEN, **{**body, **changes})

    def refresh(self, refresh_token, **changes):
        return self.send(TOKEN, **{"grant_type": "refresh_token", "refresh_token": refresh_token, **changes})

    def userinfo(self, access_token):
        return self.get(USERINFO, headers={"Authorization": f"Bearer {access_token}"})


class SingleSignOn:
    """A user who has signed in in a browser and came to an application, which got its tokens."""

    def __init__(self, username="alice", client_id="shop", authentication=BY_PASSWORD, **changes):
        self.user = make_user(username)
        self.browser, self.cookie = sign_in_browser(self.user, authentication)
        self.party = Party(client_id)
        self.tokens = self.sign_in(client_id, **changes)

    def sign_in(self, client_id="shop", **changes):
        self.code = authorize(self.browser, client_id, **changes)
        response = Party(client_id).exchange(self.code)
        assert response.status_code == 200, response.content
        return response.json()
