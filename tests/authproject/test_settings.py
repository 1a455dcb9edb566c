"""Test that settings are read from the environment, converted to their types and validated."""

import dataclasses
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import environs
import jwt
import pytest
from django.core.exceptions import ImproperlyConfigured

from accounts.conf import PROFILE_CLAIMS, AuthSettings, Limit
from accounts.setting_values import RESERVED_CLAIMS, environment_name
from accounts.tokens.claims import ROLES_OMITTED
from authproject.connection_urls import read_database_url, read_email_url
from authproject.environment import (
    load_or_create_secret,
    read_auth_settings,
    read_origins,
    read_secret_key,
    read_secret_keys,
)
from authproject.setting_files import FileAwareEnv

NAMES = {environment_name(field) for field in dataclasses.fields(AuthSettings)}


def read(monkeypatch, **environment):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return AuthSettings.from_mapping(read_auth_settings(environs.Env()))


def test_the_defaults_are_those_of_the_contract(monkeypatch):
    settings = read(monkeypatch)

    assert settings.access_token_lifetime == timedelta(seconds=900)
    assert settings.refresh_token_lifetime == timedelta(seconds=86400)
    assert settings.session_lifetime == timedelta(seconds=2592000)
    assert settings.max_sessions == 0
    assert settings.unremembered_session_lifetime == timedelta(seconds=43200)
    assert settings.refresh_token_rotation is True
    assert settings.refresh_token_grace == timedelta(seconds=10)
    assert settings.revocation_lag == timedelta()
    assert settings.recent_authentication == timedelta(seconds=300)
    assert settings.mail_token_lifetime == timedelta(seconds=600)
    assert (settings.signup, settings.signup_roles, settings.username_required) == ("open", ("user",), True)
    assert settings.password_min_length == 8
    assert settings.missing_token_status == 401
    assert settings.account_limit == Limit(10, 900)
    assert settings.address_limit == Limit(100, 900)
    assert settings.algorithm == "ES256"
    assert (settings.form_token, settings.profile_claims, settings.start_page) == (False, (), True)
    assert (settings.claims, settings.extra_claims, settings.token_encryption) == ("", (), False)
    assert (settings.cookie_domain, settings.public_url, settings.trusted_proxies) == ("", "", ())
    assert settings.internal_networks == ()


def test_environment_variables_are_parsed_to_their_types(monkeypatch):
    settings = read(
        monkeypatch,
        AUTH_ACCESS_TOKEN_LIFETIME="60",
        AUTH_UNREMEMBERED_SESSION_LIFETIME="3600",
        AUTH_REFRESH_TOKEN_ROTATION="false",
        AUTH_TOKEN_ENCRYPTION="true",
        AUTH_MAX_SESSIONS="5",
        AUTH_SIGNUP="invited",
        AUTH_USERNAME_REQUIRED="false",
        AUTH_SIGNUP_ROLES="user, moderator",
        AUTH_ACCOUNT_LIMIT="5/1h",
        AUTH_ADDRESS_LIMIT="",
        AUTH_MISSING_TOKEN_STATUS="403",
        AUTH_PASSWORD_MIN_LENGTH="15",
        AUTH_TRUSTED_PROXIES="10.0.0.0/8,::1,unix:",
        AUTH_INTERNAL_NETWORKS="10.0.0.0/8, fd00::/8",
        PUBLIC_URL="https://auth.example.com",
    )

    assert settings.access_token_lifetime == timedelta(minutes=1)
    assert settings.unremembered_session_lifetime == timedelta(hours=1)
    assert (settings.refresh_token_rotation, settings.token_encryption) == (False, True)
    assert settings.max_sessions == 5
    assert (settings.signup, settings.signup_roles) == ("invited", ("user", "moderator"))
    assert settings.username_required is False
    assert (settings.account_limit, settings.address_limit) == (Limit(5, 3600), None)
    assert settings.missing_token_status == 403
    assert settings.password_min_length == 15
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1", "unix:")
    assert settings.internal_networks == ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_ACCESS_TOKEN_LIFETIME", "0"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "-5"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "1.5"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "15m"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "9" * 30),
        ("AUTH_REFRESH_TOKEN_LIFETIME", "soon"),
        ("AUTH_SESSION_LIFETIME", "0"),
        ("AUTH_UNREMEMBERED_SESSION_LIFETIME", "0"),
        ("AUTH_MAX_SESSIONS", "-1"),
        ("AUTH_MAX_SESSIONS", "1001"),
        ("AUTH_MAX_SESSIONS", "many"),
        ("AUTH_REFRESH_TOKEN_ROTATION", "maybe"),
        ("AUTH_REFRESH_TOKEN_GRACE", "-1"),
        ("AUTH_REFRESH_TOKEN_GRACE", "86400"),
        ("AUTH_REVOCATION_LAG", "-1"),
        ("AUTH_RECENT_AUTHENTICATION", "x"),
        ("AUTH_MAIL_TOKEN_LIFETIME", "x"),
        ("AUTH_COOKIE_DOMAIN", "https://example.com"),
        ("AUTH_COOKIE_DOMAIN", "com"),
        ("AUTH_FORM_TOKEN", "2"),
        ("AUTH_PROFILE_CLAIMS", "username,password"),
        ("AUTH_CLAIMS", "for_user"),
        ("AUTH_CLAIMS", "project/claims.py"),
        ("AUTH_EXTRA_CLAIMS", "tenant,tenant"),
        ("AUTH_EXTRA_CLAIMS", "tenant,Tenant"),
        ("AUTH_EXTRA_CLAIMS", "tenant id"),
        ("AUTH_EXTRA_CLAIMS", "tenant,sub"),
        ("AUTH_EXTRA_CLAIMS", "Sub"),
        ("AUTH_START_PAGE", "x"),
        ("PUBLIC_URL", "auth.example.com"),
        ("AUTH_BREACHED_PASSWORDS", "/no/such/file"),
        ("AUTH_PASSWORD_MIN_LENGTH", "7"),
        ("AUTH_PASSWORD_MIN_LENGTH", "65"),
        ("AUTH_PASSWORD_MIN_LENGTH", "long"),
        ("PUBLIC_URL", "ftp://auth.example.com"),
        ("PUBLIC_URL", "https://[::1"),
        ("PUBLIC_URL", "https://auth.example.com:99999"),
        ("PUBLIC_URL", "https://auth.example.com:x"),
        ("AUTH_SIGNUP", "true"),
        ("AUTH_USERNAME_REQUIRED", "perhaps"),
        *[
            (name, value)
            for name in ("AUTH_VERIFY_URL", "AUTH_RESET_URL", "AUTH_INVITATION_URL")
            for value in (
                "http://app.example.com/verify",
                "http://localhost.evil.example/",
                "myapp://verify",
                "javascript:alert(1)",
                "//evil.example/verify",
                "/\\evil.example",
                "verify",
                "https://",
                "https:///verify",
                "https://a b/",
                "https://u:p@app.example.com/",
                "https://app.example.com/#/verify",
                "/verify#x",
                "https://a:b/",
                "https://[::1/",
            )
        ],
        ("PUBLIC_URL", "https://auth.example.com?next=/"),
        ("PUBLIC_URL", "https://auth.example.com#top"),
        ("PUBLIC_URL", "https://auth.example.com?"),
        ("PUBLIC_URL", "https://auth.example.com:port"),
        ("PUBLIC_URL", "https://auth.example.com\\@evil.example"),
        ("PUBLIC_URL", "https://user@auth.example.com"),
        ("AUTH_SIGNUP_ROLES", "User!"),
        ("AUTH_MISSING_TOKEN_STATUS", "404"),
        ("AUTH_ACCOUNT_LIMIT", "10"),
        ("AUTH_ACCOUNT_LIMIT", "0/15m"),
        ("AUTH_ACCOUNT_LIMIT", "10/15x"),
        ("AUTH_ADDRESS_LIMIT", "ten/1m"),
        ("AUTH_TRUSTED_PROXIES", "*"),
        ("AUTH_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("AUTH_TRUSTED_PROXIES", "proxy"),
        ("AUTH_INTERNAL_NETWORKS", "unix:"),
        ("AUTH_INTERNAL_NETWORKS", "10.0.0.1/8"),
        ("AUTH_ALGORITHM", "none"),
        ("AUTH_ALGORITHM", "es256"),
        ("AUTH_TOKEN_ENCRYPTION", "A256GCM"),
        ("AUTH_ISSUER", "   "),
        ("AUTH_UNVERIFIED_SIGNIN", "perhaps"),
        ("AUTH_HIDE_KNOWN_EMAIL", "perhaps"),
        ("AUTH_ACTIVITY_LIFETIME", "0"),
    ],
)
def test_an_invalid_value_is_refused_with_what_is_allowed(monkeypatch, name, value):
    with pytest.raises(ImproperlyConfigured) as raised:
        read(monkeypatch, **{name: value})

    assert str(raised.value).startswith(f"{name} is ")
    assert "Allowed: " in str(raised.value)


@pytest.mark.parametrize(
    "name", ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "sid", "ver", "roles", "auth_time", "amr", "acr",
             "client_id", "username", "email", "fullname", "scope", "cnf", "act", "azp", "nonce"],
)  # fmt: skip
def test_a_project_cannot_replace_a_claim_that_has_a_meaning(monkeypatch, name):
    for spelling in (name, name.upper(), name.capitalize()):
        with pytest.raises(ImproperlyConfigured, match=f"^AUTH_EXTRA_CLAIMS is '{spelling}'. Allowed: "):
            read(monkeypatch, AUTH_CLAIMS="project.claims.for_user", AUTH_EXTRA_CLAIMS=spelling)


def test_every_claim_of_an_access_token_is_reserved(signed_in):
    claims = jwt.decode(signed_in.access_token, options={"verify_signature": False})

    assert set(claims) | set(PROFILE_CLAIMS) | {ROLES_OMITTED} <= RESERVED_CLAIMS


def test_extra_claims_and_their_function_require_each_other(monkeypatch):
    both = {"AUTH_CLAIMS": "project.claims.for_user", "AUTH_EXTRA_CLAIMS": "tenant, https://example.com/plan"}
    for name, value in both.items():
        with pytest.raises(ImproperlyConfigured, match=r"^AUTH_CLAIMS is '.*'. Allowed: set together with"):
            read(monkeypatch, **{name: value})

    assert read(monkeypatch, **both).extra_claims == ("tenant", "https://example.com/plan")


def test_a_text_is_no_list_of_extra_claims():
    with pytest.raises(ImproperlyConfigured, match=r"^AUTH_EXTRA_CLAIMS is 'abc'"):
        AuthSettings(claims="project.claims.for_user", extra_claims="abc")


@pytest.mark.parametrize(
    "url",
    [
        "/welcome", "https://app.example.com/verify?lang=de", "http://localhost:3000/verify", "http://127.0.0.1/x",
        "http://[::1]:3000/",
    ],
)  # fmt: skip
def test_emailed_links_may_lead_to_a_path_an_https_url_or_this_machine(monkeypatch, url):
    settings = read(monkeypatch, AUTH_VERIFY_URL=url, AUTH_RESET_URL=url, AUTH_INVITATION_URL=url)

    assert (settings.verify_url, settings.reset_url, settings.invitation_url) == (url, url, url)


def test_hiding_known_emails_requires_refusing_unverified_sign_ins(monkeypatch):
    with pytest.raises(ImproperlyConfigured, match=r"^AUTH_HIDE_KNOWN_EMAIL is 'true'. Allowed: false; true with"):
        read(monkeypatch, AUTH_HIDE_KNOWN_EMAIL="true")

    assert read(monkeypatch, AUTH_HIDE_KNOWN_EMAIL="true", AUTH_UNVERIFIED_SIGNIN="false").hide_known_email


@pytest.mark.parametrize("domain", ["example.org", "ample.com", "auth.example.com.evil.org"])
def test_a_cookie_domain_that_does_not_contain_the_public_url_is_refused(monkeypatch, domain):
    with pytest.raises(ImproperlyConfigured, match=f"^AUTH_COOKIE_DOMAIN is '{domain}'. Allowed: a domain that"):
        read(monkeypatch, AUTH_COOKIE_DOMAIN=domain, PUBLIC_URL="https://auth.example.com")


@pytest.mark.parametrize("domain", ["example.com", ".example.com", "Example.com", "auth.example.com"])
def test_a_cookie_domain_that_contains_the_public_url_is_accepted(monkeypatch, domain):
    assert (
        read(monkeypatch, AUTH_COOKIE_DOMAIN=domain, PUBLIC_URL="https://auth.example.com").cookie_domain == domain
    )


def test_an_unknown_setting_is_refused():
    with pytest.raises(ImproperlyConfigured, match="acess_token_lifetime"):
        AuthSettings.from_mapping({"acess_token_lifetime": timedelta(minutes=1)})


def test_a_misspelled_variable_is_reported_with_the_setting_that_it_resembles():
    completed = run_check("--fail-level", "WARNING", AUTH_SIGNUPS="closed", AUTH_KEYS_DIRS_FILE="x", AUTH_XYZ="")

    assert completed.returncode == 1
    assert "(authproject.W001) The environment contains AUTH_SIGNUPS, which is not a setting." in completed.stderr
    assert "HINT: Did you mean AUTH_SIGNUP?" in completed.stderr
    assert "contains AUTH_KEYS_DIRS_FILE, which" in completed.stderr
    assert "contains AUTH_XYZ, which is not a setting.\n\tHINT: docs/settings.md lists" in completed.stderr


def test_no_documented_setting_is_reported_as_unknown():
    documented = re.findall(r"^\| (AUTH_\w+) \|", Path("docs/settings.md").read_text(), re.MULTILINE)

    assert "AUTH_METRICS" in documented
    completed = run_check("--fail-level", "WARNING", **{f"{name}_FILE": "" for name in documented})
    assert "authproject.W001" not in completed.stderr


@pytest.mark.parametrize("field", dataclasses.fields(AuthSettings), ids=lambda field: field.name)
def test_a_value_of_the_wrong_type_is_refused(field):
    with pytest.raises(ImproperlyConfigured):
        AuthSettings(**{field.name: object()})


@pytest.mark.parametrize(
    "name",
    ["audience", "signup_roles", "profile_claims", "trusted_proxies", "internal_networks", "extra_claims"],
)
def test_a_text_is_not_a_list_of_its_letters(name):
    with pytest.raises(
        ImproperlyConfigured, match=f"^AUTH_{name.upper()} is 'user'.* Its type in AUTH is tuple, not str"
    ):
        AuthSettings.from_mapping({name: "user"})


@pytest.mark.parametrize(
    ("name", "value", "types"),
    [
        ("access_token_lifetime", 900, "timedelta, not int"),
        ("keys_dir", "/var/keys", "Path, not str"),
        ("account_limit", "10/15m", "Limit, not str"),
        ("start_page", 1, "bool, not int"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_both_types(name, value, types):
    with pytest.raises(ImproperlyConfigured, match=rf"Its type in AUTH is {types}\.$"):
        AuthSettings.from_mapping({name: value})


def run_check(*options, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", "check", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_ALGORITHM", "none"),
        ("PORT", "http"),
        ("PORT", "0"),
        ("WORKERS", "-1"),
        ("DEBUG", "perhaps"),
        ("HOST", "everywhere"),
        ("HOST", "unix:socket"),
        ("HOST", "unix:/" + "x" * 107),
        ("AUTH_BREACHED_PASSWORDS", "x" * 300),
        ("LANGUAGE_CODE", "klingon"),
    ],
)
def test_an_invalid_value_stops_the_start_with_one_sentence(name, value):
    completed = run_check(**{name: value})

    assert completed.returncode != 0
    assert completed.stderr.startswith(f"Configuration error: {name} is '{value}'. Allowed: ")
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:hidden@h/d?options=-c%20statement_timeout%3D0",
        "postgres://u:hidden@h/d?connect_timeout=0",
        "postgres://u:hidden@h/d?sslmode=require&answer_timeout=0",
        "postgres://u:hidden@h/d?tcp_user_timeout=0",
        "postgres://u:hidden@h/d?keepalives=0",
        "postgres://u:hidden@h/d?pool=true",
        "sqlite:///data/db.sqlite3?timeout=0",
    ],
)
def test_a_parameter_that_could_end_a_time_limit_of_the_database_is_refused(url):
    completed = run_check(DATABASE_URL=url)

    assert completed.returncode != 0
    name = re.findall(r"(\w+)=", url)[-1] if "options" not in url else "options"
    assert completed.stderr.startswith(f"Configuration error: DATABASE_URL has the parameter {name!r}. Allowed: ")
    assert "hidden" not in completed.stderr


def test_parameters_for_the_place_and_the_certificate_of_the_database_keep_the_time_limits(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres:///auth?host=/run/postgresql&sslmode=verify-full")

    database = read_database_url(environs.Env(), "DATABASE_URL", "")

    assert database["OPTIONS"] == {"host": "/run/postgresql", "sslmode": "verify-full"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://auth@db/auth?sslmode=verify-full&sslcert=auth.pem&sslkey=auth.key",
            {"sslmode": "verify-full", "sslcert": "auth.pem", "sslkey": "auth.key"},
        ),
        ("postgres://auth@db/auth?passfile=/run/token", {"passfile": "/run/token"}),
    ],
)
def test_the_database_accepts_a_certificate_or_a_file_with_a_short_lived_token(monkeypatch, url, expected):
    monkeypatch.setenv("DATABASE_URL", url)

    database = read_database_url(environs.Env(), "DATABASE_URL", "")

    assert (database["OPTIONS"], database["USER"], database["PASSWORD"]) == (expected, "auth", "")


@pytest.mark.parametrize(
    "url",
    [
        "rediss://:hidden@h/0?socket_timeout=999",
        "rediss://:hidden@h/0?ssl_cert_reqs=none",
        "rediss://:hidden@h/0?ssl_certfile=a&ssl_check_hostname=",
    ],
)
def test_a_parameter_of_the_cache_other_than_a_certificate_is_refused(url):
    completed = run_check(CACHE_URL=url)

    assert completed.returncode != 0
    name = re.findall(r"(\w+)=", url)[-1]
    assert completed.stderr.startswith(f"Configuration error: CACHE_URL has the parameter {name!r}. Allowed: ")
    assert "hidden" not in completed.stderr


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("smtps://u:p@h", 465, False, True),
        ("smtps://u:p@h:4650", 4650, False, True),
        ("submission://u:p@h", 587, True, False),
        ("submission://u:p@h:25", 25, True, False),
        ("smtp+tls://u:p@h", 587, True, False),
        ("smtp://h:2525", 2525, False, False),
    ],
)
def test_the_scheme_of_the_mail_server_determines_port_and_encryption(monkeypatch, url, port, starttls, tls):
    monkeypatch.setenv("EMAIL_URL", url)

    email = read_email_url(environs.Env(), "EMAIL_URL", "console:")

    assert (email["EMAIL_PORT"], email["EMAIL_USE_TLS"], email["EMAIL_USE_SSL"]) == (port, starttls, tls)
    assert email["EMAIL_HOST"] == "h"


@pytest.mark.parametrize("value", ["", "console:"])
def test_without_a_mail_server_emails_are_printed(monkeypatch, value):
    monkeypatch.setenv("EMAIL_URL", value)

    backend = read_email_url(environs.Env(), "EMAIL_URL", "console:")["EMAIL_BACKEND"]
    assert backend == "django.core.mail.backends.console.EmailBackend"


@pytest.mark.parametrize("key", ["x", "fifteen letters"])
def test_a_secret_key_that_can_be_guessed_is_refused_without_repeating_it(monkeypatch, key):
    monkeypatch.setenv("SECRET_KEY", key)

    with pytest.raises(ImproperlyConfigured) as raised:
        read_secret_key(environs.Env(), "SECRET_KEY")

    assert str(raised.value).startswith(
        f"SECRET_KEY has {len(key)} characters and can be guessed. Allowed: at least"
    )
    assert len(key) == 1 or key not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x", "key 1 of 1, has 1 characters"),
        (f"{'k' * 16},fifteen letters", "key 2 of 2, has 15 characters"),
        (f"fifteen letters, {'k' * 16}", "key 1 of 2, has 15 characters"),
    ],
)
def test_a_secret_key_fallback_that_can_be_guessed_is_refused_without_repeating_it(monkeypatch, value, problem):
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", value)

    with pytest.raises(ImproperlyConfigured) as raised:
        read_secret_keys(environs.Env(), "SECRET_KEY_FALLBACKS")

    message = f"SECRET_KEY_FALLBACKS, {problem} and can be guessed. Allowed: at least 16 random characters"
    assert str(raised.value).startswith(message)
    assert "fifteen" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "keys"), [("", []), (" , ", []), (f" {'a' * 16} ,{'b' * 20},", ["a" * 16, "b" * 20])]
)
def test_secret_key_fallbacks_are_a_list(monkeypatch, value, keys):
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", value)

    assert read_secret_keys(environs.Env(), "SECRET_KEY_FALLBACKS") == keys


@pytest.mark.parametrize(
    "origin",
    [
        "null", "*", "https://*.example.com", "app.example.com", "https://app.example.com/", "https://app.example.com/x",
        "https://app.example.com?x", "https://app.example.com#x", "ftp://app.example.com",
        "https://app.example.com:0", "https://", "file://",
    ],
)  # fmt: skip
def test_what_is_not_an_origin_of_one_site_is_refused(monkeypatch, origin):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", f"https://ok.example,{origin}")

    with pytest.raises(ImproperlyConfigured) as raised:
        read_origins(environs.Env(), "CORS_ALLOWED_ORIGINS")

    assert str(raised.value).startswith(
        f"CORS_ALLOWED_ORIGINS contains {origin!r}. Allowed: a comma-separated list"
    )


def test_origins_with_ports_and_ip_addresses_are_accepted(monkeypatch):
    origins = ["https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "http://192.0.2.1"]
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", ", ".join(origins))

    assert read_origins(environs.Env(), "CORS_ALLOWED_ORIGINS") == origins


def test_the_password_in_a_url_is_never_repeated(monkeypatch):
    url = "https://user:hidden@auth.example.com"
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", url)

    for read_setting in (
        lambda: read(monkeypatch, PUBLIC_URL=url),
        lambda: read_origins(environs.Env(), "CORS_ALLOWED_ORIGINS"),
    ):
        with pytest.raises(ImproperlyConfigured) as raised:
            read_setting()
        assert "https://***@auth.example.com" in str(raised.value)
        assert "hidden" not in str(raised.value)


def test_debug_mode_behind_https_is_refused():
    completed = run_check(DEBUG="true", PUBLIC_URL="https://auth.example.com")

    assert completed.stderr == (
        "Configuration error: DEBUG is 'true'. Allowed: false, because PUBLIC_URL begins with https.\n"
    )


@pytest.mark.parametrize(("path", "is_reported"), [("", False), ("/", False), ("/auth", True)])
def test_the_deployment_check_reports_a_path_at_which_nothing_is_served(path, is_reported):
    completed = run_check("--deploy", PUBLIC_URL=f"https://auth.example.com{path}")

    assert (f"(api.W003) PUBLIC_URL has the path {path}" in completed.stderr) == is_reported


@pytest.mark.parametrize(
    ("public_url", "email_url", "is_reported"),
    [
        ("https://auth.example.com", "console:", True),
        ("https://auth.example.com", "smtps://mail.example.com", False),
        ("http://localhost:8000", "console:", False),
    ],
)
def test_the_deployment_check_reports_emails_that_no_one_receives(public_url, email_url, is_reported):
    completed = run_check("--deploy", PUBLIC_URL=public_url, EMAIL_URL=email_url)

    assert ("(accounts.W002) Emails are printed to the terminal" in completed.stderr) == is_reported
    assert ("HINT: Set EMAIL_URL to your mail server." in completed.stderr) == is_reported


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:hidden@h/d"),
        ("DATABASE_URL", "postgres://u:hidden@h:x/d"),
        ("EMAIL_URL", "x://u:hidden@h"),
        ("EMAIL_URL", "submission://u:hidden@"),
        ("EMAIL_URL", "smtps://u:hidden@h:0"),
        ("CACHE_URL", "hidden"),
        ("CACHE_URL", "memcached://u:hidden@h"),
        ("CACHE_URL", "redis://:hidden@h/0?ssl_certfile=a"),
    ],
)
def test_an_invalid_url_is_reported_without_its_password(name, value):
    completed = run_check(**{name: value})

    assert completed.returncode != 0
    assert completed.stderr.startswith(f"Configuration error: {name} cannot be used. Allowed: ")
    assert "hidden" not in completed.stderr


@pytest.mark.parametrize(
    "name", ["PORT", "SECRET_KEY", "DATABASE_URL", "EMAIL_URL", "CACHE_URL", "HOST", "AUTH_METRICS", "AUTH_SIGNUP"]
)
def test_a_file_that_cannot_be_read_is_reported_with_its_setting(monkeypatch, tmp_path, name):
    (tmp_path / "binary").write_bytes(b"hidden\xff")
    reasons = {"nowhere": "No such file or directory", ".": "Is a directory", "binary": "it is not text in UTF-8"}
    for path, reason in reasons.items():
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / path))
        with pytest.raises(ImproperlyConfigured) as raised:
            FileAwareEnv().str(name)

        assert str(raised.value) == f"{name}_FILE cannot be read: {reason}. Allowed: the path of a text file."


@pytest.mark.parametrize("name", ["PORT", "DATABASE_URL", "AUTH_SIGNUP"])
def test_a_file_that_cannot_be_read_stops_the_start_with_one_sentence(name):
    completed = run_check(**{f"{name}_FILE": "/nowhere"})

    assert completed.stderr.startswith(f"Configuration error: {name}_FILE cannot be read: No such file")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("file/db", "File exists"), ("file/folder/db", "Not a directory"), ("folder", "it is a folder")],
)
def test_a_database_that_cannot_be_created_is_reported(tmp_path, path, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    completed = run_check(DATABASE_URL=f"sqlite:///{tmp_path / path}")

    assert completed.stderr == (
        f"Configuration error: DATABASE_URL: {tmp_path / path} cannot be used: {reason}. Allowed: sqlite:///PATH of "
        "a file, in a folder that the service may write.\n"
    )


def test_a_url_in_allowed_hosts_is_refused():
    completed = run_check(ALLOWED_HOSTS="auth.example.com,https://x.example")

    assert completed.stderr.startswith("Configuration error: ALLOWED_HOSTS holds 'https://x.example'. Allowed: ")


def test_allowed_origins_are_written_as_browsers_send_them():
    origins = "https://App.Example.com:443,https://bücher.example,http://localhost:3000,http://[::1]:80"
    output = subprocess.run(
        [sys.executable, "manage.py", "diffsettings"],
        env={**os.environ, "PUBLIC_URL": "https://Bücher.example:443", "CORS_ALLOWED_ORIGINS": origins},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    written = (
        "['https://app.example.com', 'https://xn--bcher-kva.example', 'http://localhost:3000', 'http://[::1]']"
    )
    assert f"CORS_ALLOWED_ORIGINS = {written}" in output
    assert "CSRF_TRUSTED_ORIGINS = ['https://xn--bcher-kva.example']" in output


def test_a_secret_key_that_cannot_be_stored_stops_the_start(tmp_path):
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY is not set, and .* cannot be read or written"):
        load_or_create_secret("SECRET_KEY", path / "secret_key")


def test_over_tls_the_admin_session_cookie_is_bound_to_its_host():
    output = subprocess.run(
        [sys.executable, "manage.py", "diffsettings"],
        env={**os.environ, "PUBLIC_URL": "https://auth.example.com"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert "SESSION_COOKIE_NAME = '__Host-sessionid'" in output
    assert "SESSION_COOKIE_SECURE = True" in output
    assert "SESSION_COOKIE_DOMAIN" not in output
    assert "SECURE_HSTS_SECONDS = 31536000" in output
