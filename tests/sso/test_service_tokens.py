"""Access tokens of services themselves (client_credentials), and that they are never taken for a user's."""

import jwt
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.errors import TokenInvalid
from accounts.keys.key_ring import key_ring
from accounts.models import Application, Service
from accounts.sessions import services
from accounts.tokens import access_tokens, service_claims, signing
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.sso.flows import TOKEN, USERINFO, Party, make_application, refused


@pytest.fixture(autouse=True)
def _audiences(override_auth, clock):
    override_auth(audience=("authproject", "orders", "stock"))


def make_service(client_id="worker", **fields):
    service = Service(client_id=client_id, audience="orders", **{"audiences": ["authproject", "stock"], **fields})
    secret = services.new_secret(service)
    service.save()
    return service, Party(client_id, secret)


def ask(party, **changes):
    return party.send(TOKEN, grant_type="client_credentials", **changes)


def claims_of(response):
    return jwt.decode(response.json()["access_token"], options={"verify_signature": False})


def test_a_service_gets_a_token_of_its_own():
    _, party = make_service(roles=["moderator"])
    response = ask(party)
    claims = claims_of(response)

    assert set(response.json()) == {"access_token", "token_type", "expires_in"}
    assert (response.json()["expires_in"], response["Cache-Control"]) == (900, "no-store")
    assert jwt.get_unverified_header(response.json()["access_token"])["typ"] == "at+jwt"
    assert set(claims) == {"iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "roles"}
    assert claims["sub"] == claims["client_id"] == "worker"
    assert (claims["aud"], claims["roles"]) == (["authproject", "stock"], ["moderator"])


def test_a_service_may_call_only_its_audiences():
    _, party = make_service()

    assert claims_of(ask(party, audience="stock"))["aud"] == "stock"
    for audience in ("orders", "unknown"):
        assert refused(ask(party, audience=audience), "invalid_target")


def test_a_service_without_audiences_gets_no_token():
    _, party = make_service(audiences=[])
    _, stale = make_service("stale", audiences=["gone"])

    for refused_party in (party, stale):
        assert refused(ask(refused_party), "unauthorized_client")


def test_only_services_get_such_tokens():
    service, party = make_service()
    make_application("shop")

    assert refused(ask(Party("shop")), "invalid_client", 401)
    assert refused(ask(Party("worker")), "invalid_client", 401)
    assert refused(ask(Party("worker", "wrong")), "invalid_client", 401)
    assert refused(party.exchange("x"), "invalid_client", 401)
    service.is_active = False
    service.save()
    assert refused(ask(party), "invalid_client", 401)


def test_a_token_opens_the_views_that_opt_in_and_no_other(assert_refused):
    _, party = make_service(roles=["moderator"])
    token = ask(party).json()["access_token"]

    assert Api().get("/api/test/mod", token).content == b"Moderator Content."
    assert_refused(Api().get("/api/test/admin", token), 403, "role_required")
    for path in ("/api/test/user", "/api/auth/me", "/api/auth/sessions", "/api/auth/activity", USERINFO):
        assert_refused(Api().get(path, token), 401, "token_invalid")
    for path in ("/api/auth/signout", "/api/auth/signout-all", "/api/auth/reauthenticate"):
        assert_refused(Api().post(path, {"password": "x"}, token), 401, "token_invalid")


def test_a_token_in_a_cookie_is_refused(assert_refused):
    _, party = make_service(roles=["moderator"])
    client = Api()
    client.http.cookies["__Host-access"] = ask(party).json()["access_token"]

    assert_refused(client.get("/api/test/mod"), 401, "token_invalid")


def test_a_token_is_refused_once_the_service_is_inactive_or_has_lost_the_role(assert_refused):
    service, party = make_service(roles=["moderator"])
    token = ask(party).json()["access_token"]

    service.roles = []
    service.save()
    assert_refused(Api().get("/api/test/mod", token), 403, "role_required")
    service.is_active = False
    service.save()
    assert_refused(Api().get("/api/test/mod", token), 401, "token_revoked")


def test_a_token_expires(clock, assert_refused):
    _, party = make_service(roles=["moderator"])
    token = ask(party).json()["access_token"]
    clock.advance(seconds=900)

    assert_refused(Api().get("/api/test/mod", token), 401, "token_expired")


def test_a_token_for_another_service_is_refused(assert_refused):
    _, party = make_service(roles=["moderator"])
    token = ask(party, audience="stock").json()["access_token"]

    assert_refused(Api().get("/api/test/mod", token), 401, "token_invalid")


def test_roles_that_need_a_second_factor_are_left_out(override_auth):
    override_auth(second_factor_roles=("admin",))
    _, party = make_service(roles=["admin", "moderator"])

    assert claims_of(ask(party))["roles"] == ["moderator"]


def test_a_token_is_encrypted_where_access_tokens_are(override_auth):
    override_auth(token_encryption=True)
    _, party = make_service(roles=["moderator"])
    token = ask(party).json()["access_token"]

    assert token.count(".") == 4
    assert Api().get("/api/test/mod", token).status_code == 200


def test_another_service_introspects_the_token():
    _, party = make_service(roles=["moderator"])
    stock = Service(client_id="stock", audience="stock")
    secret = services.new_secret(stock)
    stock.save()
    token = ask(party).json()["access_token"]

    answer = Party("stock", secret).send("/api/oauth/introspect", token=token).json()
    assert (answer["active"], answer["sub"], answer["client_id"], answer["roles"]) == (
        True, "worker", "worker", ["moderator"],
    )  # fmt: skip
    assert "username" not in answer
    other = ask(party, audience="authproject").json()["access_token"]
    assert Party("stock", secret).send("/api/oauth/introspect", token=other).json() == {"active": False}


def test_a_user_cannot_be_taken_for_a_service_or_the_reverse():
    make_user("alice", roles=("user", "moderator"))
    client = SignedIn("alice")
    _, party = make_service(roles=["moderator"])
    own = ask(party).json()["access_token"]
    find = key_ring().verifying.get

    with pytest.raises(TokenInvalid):
        service_claims.verify(
            client.access_token,
            find_key=find,
            issuer=access_tokens.issuer(),
            audience="authproject",
            at=timezone.now(),
        )
    with pytest.raises(TokenInvalid):
        access_tokens.verify(own, at=timezone.now())


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "1"},
        {"sub": "1", "client_id": "1"},
        {"sub": "", "client_id": ""},
        {"sub": "other"},
        {"client_id": "other"},
        {"sid": "01a2228d-7bdc-72ba-a4f9-2bdf3be9825a"},
        {"ver": 0},
        {"acr": "2"},
        {"auth_time": 1},
        {"roles": "moderator"},
        {"roles": [1]},
        {"aud": ["authproject"]},
        {"nbf": 99999999999},
        {"exp": "soon"},
        {"jti": None},
    ],
)
def test_a_token_with_other_claims_is_refused_even_if_this_service_signed_it(change):
    _, party = make_service(roles=["moderator"])
    claims = {**claims_of(ask(party)), **change}
    forged = signing.sign(claims, "at+jwt")

    assert Api().get("/api/test/mod", forged).json()["code"] == "token_invalid"


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "at+JWT", "application/at+jwt"])
def test_a_token_of_another_type_is_refused(typ):
    _, party = make_service(roles=["moderator"])

    assert Api().get("/api/test/mod", signing.sign(claims_of(ask(party)), typ)).json()["code"] == "token_invalid"


@pytest.mark.parametrize("client_id", ["1", "42", "0", "007", "first-party"])
def test_a_client_id_that_looks_like_a_users_id_or_is_reserved_is_refused(client_id):
    for client in (
        Service(client_id=client_id, audience="orders"),
        Application(client_id=client_id, name="x", redirect_uris=["https://x.example/"]),
    ):
        with pytest.raises(ValidationError, match="client_id"):
            client.full_clean()


def test_a_service_of_an_earlier_release_with_only_digits_gets_no_token():
    _, party = make_service("42")

    assert refused(ask(party), "unauthorized_client")


def test_no_application_and_service_share_a_client_id():
    make_service("worker")
    make_application("shop")

    with pytest.raises(ValidationError, match="Another client has this client ID"):
        Application(client_id="worker", name="x", redirect_uris=["https://x.example/"]).full_clean()
    with pytest.raises(ValidationError, match="Another client has this client ID"):
        Service(client_id="shop", audience="orders").full_clean()
