"""authclient.verifier: the issuer's keys, and what a token must contain."""

import asyncio
import contextlib
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from authclient import strict_json as authclient_json
from authclient.fastapi import AccessTokenBearer, RefusedRequest
from authclient.issuer_keys import COOLDOWN, MAX_AGE, MAX_STALE, METADATA, IssuerKeys
from authclient.verifier import (
    IssuerUnavailable,
    RecentAuthenticationRequired,
    Refused,
    RoleRequired,
    ScopeRequired,
    SecondFactorRequired,
    TokenExpired,
    TokenInvalid,
    Verifier,
    parse_bearer,
)
from django.utils import timezone
from fastapi import Request
from fastapi.security import SecurityScopes

from accounts.errors import AuthError
from accounts.factor_errors import SecondFactorRequired as ServiceSecondFactorRequired
from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from accounts.models import Authenticator
from accounts.sessions import lifecycle
from accounts.tokens import access_tokens
from accounts.tokens import strict_json as service_json
from accounts.values.authentication import BY_CODE, BY_PASSWORD
from accounts.values.clients import NO_CLIENT
from api.errors import response_for
from docs.services.fake_issuer import FakeIssuer
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.tokens.forgeries import Forger, forgeries

JWKS = "/.well-known/jwks.json"
ISSUER = "http://localhost:8000"


class Issuer:
    """An issuer that counts requests for its metadata, can be unreachable, and can return other documents."""

    def __init__(self, monkeypatch, api):
        self.api = api
        self.fetches = 0
        self.is_reachable = True
        self.documents = {}
        monkeypatch.setattr("authclient.issuer_keys._fetch", self.fetch)

    def fetch(self, http, url):
        path = url.removeprefix("http://localhost:8000")
        self.fetches += path == METADATA
        if not self.is_reachable:
            raise TimeoutError
        return self.documents.get(path) or self.api.get(path).json()


class TestKeys:
    """authclient.issuer_keys.IssuerKeys."""

    @pytest.fixture
    def issuer(self, monkeypatch, api):
        return Issuer(monkeypatch, api)

    @pytest.fixture
    def keys(self, issuer):
        return IssuerKeys("http://localhost:8000")

    @pytest.fixture
    def kid(self):
        return key_ring().signing.kid

    def advance(self, monkeypatch, seconds):
        now = time.monotonic()
        monkeypatch.setattr("authclient.issuer_keys.time.monotonic", lambda: now + seconds)

    def test_keys_are_fetched_once(self, issuer, keys, kid):
        for _ in range(5):
            assert keys.find(kid).kid == kid

        assert issuer.fetches == 1

    def test_unknown_kids_cause_at_most_one_fetch_per_cooldown(self, issuer, keys, kid, monkeypatch):
        keys.find(kid)
        for number in range(20):
            assert keys.find(f"unknown{number}") is None
        assert issuer.fetches == 1

        self.advance(monkeypatch, COOLDOWN + 1)
        keys.find("unknown")
        assert issuer.fetches == 2

    def test_a_dropped_key_is_refused_after_the_maximum_age(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        key_rotation.drop(kid)
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid) is None

    def test_known_keys_are_used_while_the_issuer_is_unreachable(self, issuer, keys, kid, monkeypatch):
        keys.find(kid)
        issuer.is_reachable = False
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid)

    def test_an_issuer_that_was_never_reached_is_unavailable(self, issuer, keys, kid):
        issuer.is_reachable = False

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    def test_another_issuer_s_metadata_is_refused(self, issuer, keys, kid, override_auth):
        override_auth(issuer="http://localhost:8000/other")

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    @pytest.mark.parametrize(
        "url", ["http://localhost:8000/.well-known/jwks.json", "HTTP://localhost", "", "jwks"]
    )
    def test_an_https_issuer_does_not_name_keys_that_are_fetched_without_https(self, monkeypatch, caplog, url):
        secure, requested = "https://auth.example.com", []
        with FakeIssuer() as issuer:
            documents = issuer._documents()

        def respond(http, requested_url):
            requested.append(requested_url)
            is_metadata = requested_url == secure + METADATA
            return {"issuer": secure, "jwks_uri": url} if is_metadata else documents[JWKS]

        monkeypatch.setattr("authclient.issuer_keys._fetch", respond)
        with pytest.raises(IssuerUnavailable):
            IssuerKeys(secure).find("a")
        assert requested == [secure + METADATA]
        assert (
            "The keys of https://auth.example.com are not used: The issuer has an https:// URL, but its jwks_uri has not."
            in caplog.text
        )

    def test_an_https_issuer_may_name_keys_on_another_https_host(self, monkeypatch):
        secure, other = "https://auth.example.com", "https://keys.example.com/jwks"
        with FakeIssuer() as issuer:
            [jwk] = issuer._documents()[JWKS]["keys"]
        documents = {secure + METADATA: {"issuer": secure, "jwks_uri": other}, other: {"keys": [jwk]}}
        monkeypatch.setattr("authclient.issuer_keys._fetch", lambda http, url: documents[url])

        assert IssuerKeys(secure).find(jwk["kid"])

    def test_a_symmetric_key_is_ignored(self, issuer, keys, monkeypatch):
        secret = {"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4", "kid": "a", "alg": "HS256", "use": "sig"}
        issuer.documents[JWKS] = {"keys": [secret]}

        assert keys.find("a") is None

    @pytest.mark.parametrize("metadata", [[], None, "x", 3, {"issuer": "http://localhost:8000", "jwks_uri": 5}])
    def test_an_issuer_with_invalid_metadata_is_unavailable(self, issuer, keys, kid, metadata):
        issuer.documents[METADATA] = metadata or [0]

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    @pytest.mark.parametrize(
        "changes",
        [
            None, "bad", 5, [], [{"kid": "bad"}], {"x": None}, {"x": 5}, {"x": ["AA"]}, {"y": "\u00e9"},
            {"kty": ["EC"]}, {"kty": None}, {"crv": {}}, {"crv": 5}, {"alg": ["ES256"]}, {"alg": {"a": 1}}, {"alg": 5},
            {"use": ["sig"]}, {"use": {}}, {"use": "enc"}, {"kid": ""}, {"kid": 5}, {"kid": ["bad"]}, {"kid": None},
        ],
    )  # fmt: skip
    def test_an_invalid_key_is_ignored_and_the_others_are_used(self, issuer, keys, kid, api, changes):
        valid = api.get(JWKS).json()["keys"]
        invalid = {**valid[0], "kid": "bad", **changes} if isinstance(changes, dict) else changes
        issuer.documents[JWKS] = {"keys": [invalid, *valid, invalid]}

        assert keys.find(kid)
        assert set(keys._keys) == {jwk["kid"] for jwk in valid}

    @pytest.mark.parametrize(
        "document", [{"keys": "abc"}, {"keys": {"a": {}}}, {"keys": None}, {"x": []}, ["keys"], "x"]
    )
    def test_a_document_that_is_no_jwks_removes_no_key(self, issuer, keys, kid, monkeypatch, document):
        assert keys.find(kid)
        issuer.documents[JWKS] = document
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid)

    def test_an_empty_jwks_removes_all_keys(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        issuer.documents[JWKS] = {"keys": [], "x": 1}
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid) is None

    def test_keys_that_were_not_fetched_for_an_hour_are_not_used(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        issuer.is_reachable = False
        self.advance(monkeypatch, MAX_STALE + 1)

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    def test_an_unreachable_issuer_is_tried_once_per_cooldown(self, issuer, keys, kid):
        issuer.is_reachable = False
        for _ in range(5):
            with pytest.raises(IssuerUnavailable):
                keys.find(kid)

        assert issuer.fetches == 1

    def test_a_slow_fetch_does_not_delay_requests_with_a_known_key(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        self.advance(monkeypatch, COOLDOWN + 1)
        is_fetching, may_continue = Event(), Event()

        def fetch_slowly(http, url):
            is_fetching.set()
            may_continue.wait(30)
            raise TimeoutError

        monkeypatch.setattr("authclient.issuer_keys._fetch", fetch_slowly)
        with ThreadPoolExecutor(1) as pool:
            unknown = pool.submit(keys.find, "unknown")
            assert is_fetching.wait(30)
            assert keys.find(kid).kid == kid
            assert keys.find("another") is None
            may_continue.set()
            assert unknown.result() is None

    @pytest.mark.parametrize("issuer_name", ["", "auth.example.com", "file:///etc/passwd"])
    def test_an_issuer_that_is_not_a_url_is_refused(self, issuer_name):
        with pytest.raises(ValueError, match="Allowed: an https:// URL"):
            IssuerKeys(issuer_name)


@pytest.fixture
def verifier(monkeypatch, api):
    Issuer(monkeypatch, api)
    return Verifier(ISSUER, audience="authproject")


class TestTokens:
    """authclient.verifier.Verifier."""

    def test_a_token_of_the_service_is_verified(self, verifier, signed_in):
        token = verifier.verify(signed_in.access_token)

        assert (token.subject, token.roles, token.issuer) == (str(signed_in.claims.user_id), ("user",), ISSUER)
        assert str(token.session_id) == token.claims["sid"]
        assert token.expires_at - token.claims["iat"] == 900

    def test_an_unchanged_token_signed_by_the_forger_is_accepted(self, verifier, signed_in):
        """Guards the next test: each forgery differs from this token in one place."""
        forger = Forger(signed_in.access_token, key_ring().signing.private_key)

        assert verifier.verify(forger.with_header()) == verifier.verify(forger.with_claims())

    def test_no_forgery_is_accepted(self, verifier, signed_in):
        accepted = []
        for name, token in forgeries(signed_in.access_token, key_ring().signing.private_key):
            try:
                verifier.verify(token)
            except (TokenInvalid, TokenExpired):
                continue
            accepted.append(name)

        assert accepted == []

    def test_the_service_and_the_verifier_parse_json_with_the_same_code(self):
        """The package cannot import the service's module. Python's own limit on nesting depends on its version."""
        assert Path(authclient_json.__file__).read_text() == Path(service_json.__file__).read_text()

    def test_the_service_and_the_verifier_refuse_a_forgery_with_the_same_code(self, verifier, signed_in):
        """The service accepts some user ids, sessions and versions here, and refuses them by its database."""
        now = datetime.now(UTC)
        differing = {
            name: codes
            for name, token in forgeries(signed_in.access_token, key_ring().signing.private_key)
            if (codes := (code_of(access_tokens.verify, token, at=now), code_of(verifier.verify, token)))
            not in {("token_invalid",) * 2, ("token_expired",) * 2, (None, "token_invalid")}
        }

        assert differing == {}

    def test_exp_has_no_leeway_and_an_expired_token_has_its_own_code(self, verifier, signed_in, clock):
        clock.advance(seconds=899)
        assert verifier.verify(signed_in.access_token)

        clock.advance(seconds=1)
        with pytest.raises(TokenExpired):
            verifier.verify(signed_in.access_token)

    @pytest.mark.parametrize("claim", ["iat", "nbf", "auth_time"])
    def test_a_token_is_accepted_at_most_five_seconds_before_it_is_valid(self, verifier, signed_in, clock, claim):
        forger = Forger(signed_in.access_token, key_ring().signing.private_key)
        now = forger.claims["iat"]

        assert verifier.verify(forger.with_claims(**{claim: now + 5}))
        with pytest.raises(TokenInvalid):
            verifier.verify(forger.with_claims(**{claim: now + 6}))

    def test_a_token_for_another_service_or_of_another_issuer_is_refused(self, monkeypatch, api, signed_in):
        Issuer(monkeypatch, api)
        with pytest.raises(TokenInvalid):
            Verifier(ISSUER, audience="orders").verify(signed_in.access_token)
        with FakeIssuer() as other, pytest.raises(TokenInvalid):
            Verifier(ISSUER, audience="authproject").verify(other.token("authproject"))

    @pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
    @pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
    def test_each_asymmetric_algorithm_is_verified(self, verifier, override_auth, tmp_path, algorithm):
        override_auth(algorithm=algorithm, keys_dir=tmp_path)

        assert verifier.verify(SignedIn(make_user().username).access_token)

    def test_an_unreachable_issuer_is_unavailable_and_not_a_refused_token(self, verifier, signed_in, monkeypatch):
        monkeypatch.setattr("authclient.issuer_keys._fetch", raise_timeout)

        with pytest.raises(IssuerUnavailable) as caught:
            verifier.verify(signed_in.access_token)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "5"})

    def test_threads_that_verify_at_once_fetch_the_keys_once(self, monkeypatch, api, signed_in):
        issuer = Issuer(monkeypatch, api)
        documents = {path: api.get(path).json() for path in (METADATA, JWKS)}
        issuer.documents = documents
        verifier = Verifier(ISSUER, audience="authproject")
        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(verifier.verify, [signed_in.access_token] * 8))

        assert len(set(map(id, tokens))) == 8
        assert issuer.fetches == 1

    def test_the_event_loop_is_not_blocked_while_keys_are_fetched(self, monkeypatch, api, signed_in):
        documents = {path: api.get(path).json() for path in (METADATA, JWKS)}
        is_fetching, may_continue = Event(), Event()

        def fetch_slowly(http, url):
            is_fetching.set()
            if not may_continue.wait(10):
                raise TimeoutError
            return documents[url.removeprefix(ISSUER)]

        monkeypatch.setattr("authclient.issuer_keys._fetch", fetch_slowly)

        async def verify_and_go_on():
            verifying = asyncio.create_task(Verifier(ISSUER, audience="authproject").verify_async(token))
            while not is_fetching.is_set():  # noqa: ASYNC110  a thread sets it
                await asyncio.sleep(0)
            assert not verifying.done()
            may_continue.set()
            return await verifying

        token = signed_in.access_token
        assert asyncio.run(verify_and_go_on()).roles == ("user",)

    def test_no_thread_is_used_while_the_keys_are_current(self, verifier, signed_in, monkeypatch):
        verifier.verify(signed_in.access_token)
        monkeypatch.setattr("authclient.verifier.anyio.to_thread.run_sync", None)

        assert asyncio.run(verifier.verify_async(signed_in.access_token))


class TestRights:
    """The checks that a service makes after a token is verified."""

    @pytest.fixture
    def token(self, clock):
        with FakeIssuer() as issuer:
            text = issuer.token("orders", roles=["moderator"], scope="read write")
            return Verifier(issuer.url, audience="orders").verify(text)

    def test_roles_are_exact(self, token):
        token.require_role("moderator")
        for role in ("admin", "Moderator", "mod", ""):
            with pytest.raises(RoleRequired):
                token.require_role(role)

    def test_the_message_of_a_missing_role_is_the_service_s(self, token):
        with pytest.raises(RoleRequired) as caught:
            token.require_role("admin")
        assert caught.value.body == {"message": "Require Admin Role!", "code": "role_required"}

    def test_scopes_are_exact(self, token):
        token.require_scope("read")
        with pytest.raises(ScopeRequired) as caught:
            token.require_scope("rea")
        assert 'error="insufficient_scope", scope="rea"' in caught.value.challenge

    def test_a_token_without_scopes_has_none(self, clock):
        with FakeIssuer() as issuer:
            verifier = Verifier(issuer.url, audience="orders")
            for extra in ({}, {"scope": ["read"]}, {"scope": None}):
                with pytest.raises(ScopeRequired):
                    verifier.verify(issuer.token("orders", **extra)).require_scope("read")

    def test_an_authentication_is_recent_for_five_minutes(self, token, clock):
        clock.advance(seconds=300)
        token.require_recent_authentication()

        clock.advance(seconds=1)
        with pytest.raises(RecentAuthenticationRequired) as caught:
            token.require_recent_authentication()
        assert caught.value.body["maxAge"] == 300
        assert 'error="insufficient_user_authentication"' in caught.value.headers["WWW-Authenticate"]
        assert 'max_age="300"' in caught.value.headers["WWW-Authenticate"]

    @pytest.mark.parametrize("missing", [(), ("acr", "amr")])
    def test_a_token_without_a_second_factor_is_refused_where_one_is_required(self, clock, missing):
        with FakeIssuer() as issuer:
            token = Verifier(issuer.url, audience="orders").verify(issuer.token("orders"))
        for name in missing:  # as in tokens of earlier releases
            del token.claims[name]
        assert (token.acr, token.amr) == ("1", () if missing else ("pwd",))
        token.require_level(1)
        with pytest.raises(SecondFactorRequired) as caught:
            token.require_level(2)
        assert caught.value.status == 403
        assert caught.value.headers["WWW-Authenticate"].endswith('acr_values="2"')

    def test_the_refusal_is_that_of_the_service(self):
        ours = SecondFactorRequired(2)
        theirs = response_for(ServiceSecondFactorRequired())
        assert (ours.body, ours.status) == (theirs.data, theirs.status_code)
        assert ours.headers["WWW-Authenticate"] == theirs.headers["WWW-Authenticate"]

    def test_a_token_of_a_sign_in_with_a_second_factor_has_its_level_and_methods(self, verifier, clock):
        user = make_user("alice")
        Authenticator.objects.create(
            owner=user, name="Phone", created_at=timezone.now(), confirmed_at=timezone.now(), encrypted_secret=b""
        )
        pair = lifecycle.start(user, NO_CLIENT, BY_PASSWORD.with_second_factor(BY_CODE))
        token = verifier.verify(pair.access.text)
        assert (token.acr, token.amr) == ("2", ("pwd", "otp", "mfa"))
        token.require_level(2)

    def test_fastapi_requires_the_level_beside_roles_and_age(self, clock):
        with FakeIssuer() as issuer:
            verifier = Verifier(issuer.url, audience="orders")
            levels = {
                text: verifier.verify(text) for text in (issuer.token("orders", acr=acr) for acr in ("1", "2"))
            }
            bearer = AccessTokenBearer(verifier).with_level(2).with_roles("user").with_max_age(300)
            for text, token in levels.items():
                scope = {"type": "http", "headers": [(b"authorization", f"Bearer {text}".encode())]}
                verifying = bearer(Request(scope), SecurityScopes())
                if token.acr == "2":
                    assert asyncio.run(verifying) == token
                else:
                    with pytest.raises(RefusedRequest, match="second_factor_required") as caught:
                        asyncio.run(verifying)
                    assert 'acr_values="2"' in caught.value.headers["WWW-Authenticate"]

    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            ({"email": "a@example.com", "email_verified": True}, "a@example.com"),
            ({"email": "a@example.com", "email_verified": False}, None),
            ({"email": "a@example.com", "email_verified": "true"}, None),
            ({"email": "a@example.com", "email_verified": 1}, None),
            ({"email": "a@example.com"}, None),
            ({"email": ["a@example.com"], "email_verified": True}, None),
            ({"email": "", "email_verified": True}, None),
            ({"email_verified": True}, None),
        ],
    )
    def test_an_address_counts_only_if_the_token_says_that_it_is_verified(self, clock, claims, expected):
        with FakeIssuer() as issuer:
            token = Verifier(issuer.url, audience="orders").verify(issuer.token("orders", **claims))

        assert token.verified_email == expected


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None), ("", None), ("Bearer", ""), ("Bearer x", "x"), ("bearer  x ", "x"), ("Token x", None), ("x", None),
    ],
)  # fmt: skip
def test_the_token_is_read_from_a_bearer_header_only(header, token):
    assert parse_bearer(header) == token


class TestFetching:
    """The HTTP requests for keys, against a server that misbehaves."""

    @pytest.fixture
    def serve(self):
        """Return a function that starts a server with the given function for GET, and returns its URL."""
        servers = []

        def start(respond):
            handler = type(
                "Handler", (BaseHTTPRequestHandler,), {"do_GET": respond, "log_message": lambda *_: None}
            )
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            servers.append(server)
            Thread(target=server.serve_forever, daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}"

        yield start
        for server in servers:
            server.shutdown()
            server.server_close()

    def is_unavailable(self, url, http=None):
        try:
            IssuerKeys(url, http).find("a")
        except IssuerUnavailable:
            return True
        return False

    @staticmethod
    def send(request, status, headers, content=b""):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        with contextlib.suppress(OSError):
            request.wfile.write(content)

    def test_a_document_that_is_too_large_is_refused(self, serve):
        requested = []

        def respond(request):
            requested.append(request.path)
            self.send(request, 200, {}, b'{"issuer": "' + b" " * 1024 * 1024 + b'"}')

        assert self.is_unavailable(serve(respond))
        assert requested == [METADATA]

    @pytest.mark.parametrize("status", [404, 500])
    def test_an_error_response_is_refused(self, serve, status):
        with FakeIssuer() as issuer:
            document = json.dumps(issuer._documents()[METADATA]).encode()

        assert self.is_unavailable(serve(lambda request: self.send(request, status, {}, document)))

    def test_a_redirect_is_not_followed(self, serve):
        with FakeIssuer() as issuer:
            url = serve(lambda request: self.send(request, 302, {"Location": issuer.url + request.path}))

            assert self.is_unavailable(url)

    def test_a_redirect_is_not_followed_by_a_client_that_follows_redirects(self, serve):
        with FakeIssuer() as issuer, httpx.Client(follow_redirects=True) as http:
            url = serve(lambda request: self.send(request, 302, {"Location": issuer.url + request.path}))
            fetched = []
            http.event_hooks["response"].append(lambda response: fetched.append(response.url.path))

            assert self.is_unavailable(url, http)
            assert fetched == [METADATA]

    def test_a_compressed_document_is_refused(self, serve):
        headers = {"Content-Encoding": "gzip"}

        assert self.is_unavailable(serve(lambda request: self.send(request, 200, headers, gzip.compress(b"{}"))))

    def test_a_client_of_the_caller_is_used(self, serve):
        with FakeIssuer() as issuer:
            documents = issuer._documents()
            sent = []

            def respond(request):
                sent.append(str(request.url))
                return httpx.Response(200, json=documents[request.url.path])

            http = httpx.Client(transport=httpx.MockTransport(respond))
            verifier = Verifier(issuer.url, audience="orders", http=http)
            assert verifier.verify(issuer.token("orders"))
            assert sent == [issuer.url + METADATA, issuer.url + JWKS]


def raise_timeout(http, url):
    raise TimeoutError


def code_of(verify, token, **options):
    """Return the code with which a token is refused, or None."""
    try:
        verify(token, **options)
    except (AuthError, Refused) as error:
        return error.code
