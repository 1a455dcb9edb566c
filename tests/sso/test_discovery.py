"""Discovery: the metadata of the OpenID Provider (OpenID Connect Discovery, RFC 8414)."""

import pytest
from django.test import override_settings
from django.urls import set_script_prefix

from tests.documented import DocumentedClient

OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"


def test_both_documents_state_the_same_facts(api):
    response = api.get(OPENID)

    assert response.json() == api.get(OAUTH).json()
    assert response["Cache-Control"] == "public, max-age=3600"


def test_the_document_has_all_that_applications_need(api):
    document = api.get(OPENID).json()
    base = "http://localhost:8000"

    assert document["issuer"] == base
    assert {name: document[name] for name in document if name.endswith(("_endpoint", "_uri"))} == {
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/api/oauth/token",
        "userinfo_endpoint": f"{base}/api/oauth/userinfo",
        "end_session_endpoint": f"{base}/signout",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "introspection_endpoint": f"{base}/api/oauth/introspect",
        "revocation_endpoint": f"{base}/api/oauth/revoke",
    }
    assert document["response_types_supported"] == ["code"]
    assert document["subject_types_supported"] == ["public"]
    assert document["id_token_signing_alg_values_supported"] == ["ES256"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token", "client_credentials"]
    assert document["token_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "none",
    ]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["backchannel_logout_supported"] is document["backchannel_logout_session_supported"] is True
    assert {"openid", "profile", "email"} == set(document["scopes_supported"])


def test_the_endpoints_are_below_the_path_of_the_issuer(override_auth):
    override_auth(issuer="https://example.com/auth")
    try:
        with override_settings(FORCE_SCRIPT_NAME="/auth"):
            document = DocumentedClient().get(OPENID).json()
    finally:
        set_script_prefix("/")

    assert document["authorization_endpoint"] == "https://example.com/auth/authorize"
    assert document["token_endpoint"] == "https://example.com/auth/api/oauth/token"


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
def test_the_algorithm_is_the_one_that_signs(override_auth, tmp_path, api, algorithm):
    override_auth(algorithm=algorithm, keys_dir=tmp_path)

    assert api.get(OPENID).json()["id_token_signing_alg_values_supported"] == [algorithm]


def test_with_a_symmetric_key_there_is_no_provider(override_auth, tmp_path, api, assert_refused):
    override_auth(algorithm="HS256", keys_dir=tmp_path)

    assert_refused(api.get(OPENID), 404, "not_found")
    assert "authorization_endpoint" not in api.get(OAUTH).json()
