"""The log of security events: each event is one structured line without secrets."""

import json
import logging

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from pythonjsonlogger.json import JsonFormatter

from accounts.conf import Limit
from accounts.models import RefreshToken, User
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_administrator, make_user


def last_event(events):
    line = events()[-1]
    return line["event"], line["user_id"], line["session_id"], line["address"]


def test_a_sign_up_is_logged(api, events):
    api.sign_up("alice")

    assert last_event(events) == ("user:registered", User.objects.get().pk, None, "127.0.0.1")


def test_a_successful_sign_in_is_logged(api, events):
    user = make_user("alice")
    api.sign_in("alice")

    assert last_event(events) == ("sign_in:succeeded", user.pk, str(RefreshToken.objects.get().pk), "127.0.0.1")


def test_successful_and_failed_sign_ins_to_the_admin_are_logged(client, events):
    root, alice = make_administrator(), make_user("alice")
    for name, password in (("root", PASSWORD), ("root", "wrong password"), ("alice", PASSWORD)):
        Client().post("/admin/login/", {"username": name, "password": password})

    assert [(line["event"], line["user_id"]) for line in events()] == [
        ("admin_sign_in:succeeded", root.pk),
        ("sign_in:failed", root.pk),
        ("sign_in:failed", alice.pk),
    ]


def test_a_failed_sign_in_is_logged(api, events):
    user = make_user("alice")
    api.sign_in("alice", "wrong password")
    assert last_event(events) == ("sign_in:failed", user.pk, None, "127.0.0.1")

    api.sign_in("my-password-by-mistake", "x")
    assert last_event(events) == ("sign_in:failed", None, None, "127.0.0.1")


def test_a_lockout_is_logged(api, events):
    user = make_user("alice")
    for _ in range(11):
        api.sign_in("alice", "wrong password")

    assert last_event(events) == ("sign_in:locked_out", user.pk, None, "127.0.0.1")


def test_reaching_the_limit_on_emails_and_emailed_tokens_is_logged(api, override_auth, events):
    override_auth(address_limit=Limit(1, 900))
    for _ in range(2):
        api.post("/api/auth/password/reset", {"email": "alice@example.com"})
    assert last_event(events) == ("mail:locked_out", None, None, "127.0.0.1")

    api.post("/api/auth/email/verify", {"token": "invented"})
    assert [line["event"] for line in events()] == ["mail:locked_out"] * 2


def test_refreshes_repeats_and_reuse_are_logged(signed_in, clock, events):
    session = RefreshToken.objects.get()
    expected = (session.owner_id, str(session.pk), "127.0.0.1")

    signed_in.refresh(signed_in.refresh_token)
    assert last_event(events) == ("session:refreshed", *expected)
    signed_in.refresh(signed_in.refresh_token)
    assert last_event(events) == ("session:refresh_repeated", *expected)
    clock.advance(minutes=1)
    signed_in.refresh(signed_in.refresh_token)
    reuse, end = events()[-2:]
    assert (reuse["event"], end["event"], end["reason"]) == ("session:reuse_detected", "session:ended", "reused")


def test_sign_outs_are_logged(signed_in, events):
    signed_in.post("/api/auth/signout-all", token=signed_in.access_token)
    assert events()[-1]["event"] == "session:all_ended"

    other = SignedIn(User.objects.get().username)
    other.post("/api/auth/signout", token=other.access_token)
    assert (events()[-1]["event"], events()[-1]["reason"]) == ("session:ended", "signed_out")


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (("grantrole", "alice", "admin"), "roles:changed"),
        (("revokerole", "alice", "user"), "roles:changed"),
        (("deactivateuser", "alice"), "user:deactivated"),
        (("activateuser", "alice"), "user:activated"),
    ],
)
def test_commands_that_change_a_user_are_logged(events, command, event):
    user = make_user("alice")
    call_command(*command)

    assert last_event(events) == (event, user.pk, None, None)


def test_a_log_line_is_json_with_the_time_and_its_utc_offset(signed_in, caplog):
    caplog.set_level(logging.INFO, "accounts.events")
    signed_in.refresh(signed_in.refresh_token)
    options = dict(settings.LOGGING["formatters"]["json"])
    options.pop("()")

    line = json.loads(JsonFormatter(**options).format(caplog.records[-1]))

    assert line["event"] == "session:refreshed"
    assert line["time"].endswith("+00:00")


def test_no_log_line_contains_a_secret(caplog, api, clock):
    caplog.set_level(logging.DEBUG)
    api.sign_up("alice")
    api.sign_in("alice", "not my password")
    api.sign_in(PASSWORD, "x")
    signed_in = SignedIn("alice")
    second = signed_in.refresh(signed_in.refresh_token).json()
    signed_in.get("/api/test/user", signed_in.access_token + "x")
    signed_in.refresh(second["refreshToken"] + "x")
    clock.advance(minutes=1)
    signed_in.refresh(signed_in.refresh_token)

    # Django logs SQL at level DEBUG, but only if the setting DEBUG is on.
    logged = " ".join(str(vars(record)) for record in caplog.records if record.name != "django.db.backends")
    secrets = [
        PASSWORD, "not my password", signed_in.refresh_token[20:], second["refreshToken"][20:],
        signed_in.access_token, second["accessToken"], User.objects.get().password,
    ]  # fmt: skip
    assert not [secret for secret in secrets if secret in logged]


def test_requests_for_content_or_sessions_without_permission_are_logged(signed_in, events):
    signed_in.content("admin")
    assert _last_refusal(events) == (
        "access:refused",
        signed_in.claims.user_id,
        "role_required",
        "/api/test/admin",
    )

    other = SignedIn(make_user().username)
    signed_in.delete(f"/api/auth/sessions/{other.claims.session_id}", signed_in.access_token)
    assert _last_refusal(events)[1:3] == (signed_in.claims.user_id, "not_found")


def test_requests_that_no_honest_client_sends_are_logged(api, signed_in, events):
    api.get("/api/test/user", signed_in.access_token[:-4] + "AAAA")
    assert _last_refusal(events) == ("access:refused", None, "token_invalid", "/api/test/user")

    api.refresh("authrt_" + "A" * 80)
    assert _last_refusal(events) == ("access:refused", None, "refresh_token_unknown", "/api/auth/refreshtoken")

    api.post("/api/auth/password/reset/confirm", {"token": "invented", "newPassword": "another good one"})
    assert _last_refusal(events)[2:] == ("invalid_request", "/api/auth/password/reset/confirm")

    api.post("/api/oauth/introspect", {"token": "x", "client_id": "orders", "client_secret": "guessed"})
    assert _last_refusal(events)[2:] == ("invalid_client", "/api/oauth/introspect")

    api.sign_up("mallory", roles=["admin"])
    assert _last_refusal(events)[2:] == ("role_not_allowed", "/api/auth/signup")


def test_refusals_that_honest_clients_cause_are_not_logged(api, signed_in, clock, events):
    before = len(events())
    clock.advance(seconds=901)

    signed_in.content()
    api.get("/api/test/user")
    api.post("/api/auth/refreshtoken")

    assert len(events()) == before


def _last_refusal(events):
    line = events()[-1]
    return line["event"], line["user_id"], line["code"], line["path"]
