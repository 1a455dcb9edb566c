"""A token of one type is never accepted as one of another (RFC 8725 section 3.11, RFC 9068 section 4)."""

import pytest
from django.utils import timezone

from accounts.errors import TokenInvalid
from accounts.sso import id_tokens
from accounts.tokens import access_tokens, signing
from tests.conftest import Api
from tests.sso.flows import REVOKE, Party, make_application, refused


def test_neither_an_id_token_nor_a_logout_token_is_an_access_token(signed_on):
    claims = signing.read(signed_on.tokens["access_token"], "at+jwt")

    for token in (
        signed_on.tokens["id_token"],
        signing.sign(claims, "JWT"),
        signing.sign(claims, "logout+jwt"),
        signing.sign({**signing.read(signed_on.tokens["id_token"], "JWT"), **claims}, "JWT"),
    ):
        assert Api().get("/api/test/user", token).json()["code"] == "token_invalid"
        assert Party().userinfo(token).json()["code"] == "token_invalid"


def test_an_id_token_has_not_the_claims_of_an_access_token_either(signed_on):
    claims = signing.read(signed_on.tokens["id_token"], "JWT")

    with pytest.raises(TokenInvalid):
        access_tokens.verify(signing.sign(claims, "at+jwt"), at=timezone.now())
    with pytest.raises(TokenInvalid):
        access_tokens.verify(signing.sign({**claims, "aud": "authproject"}, "at+jwt"), at=timezone.now())


def test_an_access_token_is_no_id_token_hint(signed_on):
    for token in (signed_on.tokens["access_token"], signed_on.tokens["refresh_token"], "", "a.b.c"):
        with pytest.raises(TokenInvalid):
            id_tokens.read_hint(token)


def test_no_token_is_a_code_and_no_code_a_token(signed_on):
    party = signed_on.party
    for token in signed_on.tokens["access_token"], signed_on.tokens["refresh_token"], signed_on.tokens["id_token"]:
        assert refused(party.exchange(token))
    for token in signed_on.code, signed_on.cookie, signed_on.tokens["access_token"], signed_on.tokens["id_token"]:
        assert refused(party.refresh(token))
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 200


def test_an_application_revokes_its_own_tokens(signed_on):
    other = make_application("other")
    tokens = signed_on.sign_in("other")

    response = Party("other").send(REVOKE, token=tokens["refresh_token"], token_type_hint="refresh_token")
    assert response.status_code == 200
    assert refused(Party(other.client_id).refresh(tokens["refresh_token"]))
    assert Party().send(REVOKE, token=signed_on.tokens["access_token"]).status_code == 200
    assert Api().get("/api/test/user", signed_on.tokens["access_token"]).status_code == 401


def test_an_application_cannot_revoke_the_tokens_of_others(signed_on, signed_in):
    make_application("other")

    for token in (
        *(signed_on.tokens[name] for name in ("access_token", "refresh_token")),
        signed_in.refresh_token,
    ):
        assert Party("other").send(REVOKE, token=token).status_code == 200
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 200
    assert signed_in.content().status_code == 200


def test_revoking_an_invented_token_changes_nothing(signed_on):
    for token in ("x", signed_on.code, signed_on.cookie, signed_on.tokens["id_token"], "authrt_" + "x" * 80):
        assert Party().send(REVOKE, token=token).status_code == 200
    assert Party().refresh(signed_on.tokens["refresh_token"]).status_code == 200


def test_a_confidential_application_cannot_revoke_without_its_secret(signed_on, application):
    application.is_confidential = True
    application.save()

    assert refused(Party().send(REVOKE, token=signed_on.tokens["access_token"]), "invalid_client", 401)
    assert Api().get("/api/test/user", signed_on.tokens["access_token"]).status_code == 200
