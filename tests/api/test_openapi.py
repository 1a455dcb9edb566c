"""Test the OpenAPI document, the page that displays it, and the health checks."""

import re
import subprocess
import sys

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers

from api.openapi.schema import document
from api.serializers import factors, inputs
from tests.api.test_errors import CONTRACT


def test_the_document_lists_every_endpoint_once(api):
    document = api.get("/api/schema").json()

    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/api/auth/signup", "/api/auth/signin", "/api/auth/refreshtoken", "/api/auth/signout",
        "/api/auth/signout-all", "/api/test/all", "/api/test/user", "/api/test/mod", "/api/test/admin",
        "/.well-known/jwks.json",
        "/api/auth/sessions", "/api/auth/sessions/{session_id}", "/api/auth/activity", "/api/auth/me",
        "/api/auth/reauthenticate", "/api/auth/password/change", "/api/auth/password/reset",
        "/.well-known/oauth-authorization-server", "/api/oauth/introspect", "/api/oauth/revoke",
        "/api/auth/password/reset/confirm", "/api/auth/email/verify", "/api/auth/email/verify/resend",
        "/api/auth/signin/second-factor", "/api/auth/signin/passkey/options", "/api/auth/signin/passkey",
        "/api/auth/factors", "/api/auth/factors/totp", "/api/auth/factors/totp/confirm",
        "/api/auth/factors/passkeys/options", "/api/auth/factors/passkeys", "/api/auth/factors/recovery-codes",
        "/api/auth/factors/{factor_id}", "/api/auth/reauthenticate/passkey/options", "/.well-known/webauthn",
        "/api/oauth/token", "/api/oauth/userinfo", "/.well-known/openid-configuration",
    }  # fmt: skip


def test_concurrent_first_requests_all_get_the_document():
    script = """
import os, sys, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "authproject.settings"
import django
django.setup()
from api.openapi.schema import document
sys.setswitchinterval(1e-6)
barrier, path_counts = threading.Barrier(8), []
def load():
    barrier.wait()
    path_counts.append(len(document()["paths"]))
threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(path_counts))
"""
    # A new process, because the document and the library's data are loaded once per process.
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )

    assert completed.stdout.strip() == "8", completed.stderr


def test_every_optional_field_of_a_body_may_be_null():
    bodies = [
        value
        for name, value in {**vars(inputs), **vars(factors)}.items()
        if name.endswith("Input") and issubclass(value, serializers.Serializer)
    ]
    optional = [
        (body.__name__, name, field.allow_null)
        for body in bodies
        for name, field in body().fields.items()
        if not field.required
    ]

    assert len(optional) > 15
    assert [(body, name) for body, name, allows_null in optional if not allows_null] == []


def test_the_document_says_which_fields_of_a_sign_up_are_required(override_auth):
    def required():
        return set(SchemaGenerator().get_schema(public=True)["components"]["schemas"]["SignUpInput"]["required"])

    assert required() == {"username", "password"}  # and an email address or an invitation

    override_auth(username_required=False)
    assert required() == {"password"}


def operations(document):
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_endpoint_that_accepts_a_password_is_in_paths_that_hash(api, settings):
    for path, operations in api.get("/api/schema").json()["paths"].items():
        for operation in operations.values():
            if "requestBody" in operation and re.search("password", str(operation["requestBody"]), re.IGNORECASE):
                assert path.startswith(settings.PATHS_THAT_HASH), path


def test_every_endpoint_has_a_description_and_examples(api):
    for operation in operations(api.get("/api/schema").json()):
        name = operation["operationId"]
        assert operation["summary"], name
        assert operation["description"], name
        assert all(response["description"] for response in operation["responses"].values()), name
        for content in (operation.get("requestBody"), *operation["responses"].values()):
            json_content = (content or {}).get("content", {}).get("application/json")
            assert json_content is None or json_content["examples"], name


def test_every_code_of_the_contract_is_documented_with_its_status(api):
    documented = set()
    for operation in operations(api.get("/api/schema").json()):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                codes = response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
                documented |= {(code, int(status)) for code in codes}

    outside_the_contract = {("invalid_request", 408), ("payload_too_large", 413), ("unsupported_media_type", 415)}
    assert documented == set(CONTRACT.items()) | outside_the_contract


def test_an_access_token_may_be_sent_in_any_of_three_ways(api):
    document = api.get("/api/schema").json()

    assert document["paths"]["/api/auth/me"]["get"]["security"] == [
        {"bearer": []},
        {"xAccessToken": []},
        {"cookie": []},
    ]
    assert {} in document["paths"]["/api/auth/signout"]["post"]["security"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "xAccessToken", "cookie", "service"}


def test_the_documented_status_of_a_missing_token_follows_the_setting(override_auth):
    override_auth(missing_token_status=403)

    responses = document.__wrapped__()["paths"]["/api/auth/me"]["get"]["responses"]

    assert "token_missing" in responses["403"]["description"]
    assert "token_missing" not in responses["401"]["description"]


def test_the_headers_of_refusals_are_documented(api):
    responses = api.get("/api/schema").json()["paths"]["/api/auth/reauthenticate"]["post"]["responses"]

    assert responses["401"]["headers"]["WWW-Authenticate"]["required"]
    assert responses["429"]["headers"]["Retry-After"]["required"]
    assert responses["403"]["headers"] == {}


def test_the_documentation_page_loads_nothing_from_another_host(api):
    page = api.get("/api/docs")

    assert page.status_code == 200
    urls = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert urls
    assert all(url.startswith(("/", "#")) for url in urls)


def test_the_documentation_page_declares_its_language(api):
    assert '<html lang="en">' in api.get("/api/docs").content.decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
def test_the_health_checks_report_ok(api, path):
    assert api.get(path).json() == {"status": "ok"}


def test_readiness_fails_if_the_attempt_counters_are_unreachable(api, settings, assert_refused):
    settings.GUESS_COUNTERS_URL = "redis://127.0.0.1:1/0"

    assert_refused(api.get("/readyz"), 503, "unavailable")


def test_a_sign_in_attempt_that_cannot_be_counted_is_refused(api, settings, assert_refused):
    settings.GUESS_COUNTERS_URL = "redis://127.0.0.1:1/0"

    assert_refused(api.sign_in("alice"), 503, "unavailable")
