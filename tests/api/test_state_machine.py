"""Run random requests from several devices of one user, and compare statuses and codes with a model."""

import contextlib
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import time_machine
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.conftest import Api

pytestmark = pytest.mark.usefixtures("fast_password_hasher")

REQUIRED_ROLES = {"all": None, "user": None, "mod": "moderator", "admin": "admin"}
START = datetime(2030, 1, 1, tzinfo=UTC)
_serial_numbers = count(1)


def status_and_code(response):
    """Return the status, and the error code or None."""
    is_refusal = response.status_code >= 400
    return response.status_code, response.json()["code"] if is_refusal else None


class Device:
    """A device that has signed in: its tokens, and the state of its session according to the model."""

    def __init__(self, pair, version):
        self.access, self.refresh = pair["accessToken"], pair["refreshToken"]
        self.version_at_issue = version
        self.expires_at = datetime.now(UTC) + timedelta(seconds=pair["expiresIn"])
        self.has_ended = False


class ClientsStateMachine(RuleBasedStateMachine):
    """A user with several devices. `version` counts the changes that make earlier access tokens stale."""

    devices = Bundle("devices")

    def __init__(self):
        super().__init__()
        self._contexts = contextlib.ExitStack()
        self.clock = self._contexts.enter_context(time_machine.travel(START, tick=False))
        self._contexts.enter_context(
            override_settings(AUTH={**settings.AUTH, "address_limit": None, "account_limit": None})
        )
        self._contexts.enter_context(transaction.atomic())
        self.api, self.name, self.password = Api(), f"client{next(_serial_numbers)}", "the first passphrase"
        self.roles, self.version, self.is_active = {"user"}, 0, True
        self.all_devices = []
        assert self.api.sign_up(self.name, self.password).status_code == 201

    def teardown(self):
        transaction.set_rollback(True)
        self._contexts.close()

    def expected_refusal(self, device):
        """Return the code with which the device's access token is refused, or None if it is valid."""
        if device.expires_at <= datetime.now(UTC):
            return "token_expired"
        if device.has_ended:
            return "token_revoked"
        return None if device.version_at_issue == self.version else "token_stale"

    def call_with_access_token(self, device, call, status):
        """Check that the call has the status that the model expects; return whether it succeeded."""
        code = self.expected_refusal(device)
        assert status_and_code(call(device.access)) == ((401, code) if code else (status, None))
        return code is None

    def end_all_sessions(self, except_for=None):
        for device in self.all_devices:
            device.has_ended = device.has_ended or device is not except_for

    @rule(target=devices)
    def sign_in(self):
        if not self.is_active:
            assert status_and_code(self.api.sign_in(self.name, self.password)) == (401, "invalid_credentials")
            call_command("activateuser", self.name, stdout=None)
            self.is_active = True
        device = Device(self.api.sign_in(self.name, self.password).json(), self.version)
        self.all_devices.append(device)
        return device

    @rule(device=devices)
    def refresh(self, device):
        response = self.api.refresh(device.refresh)
        assert status_and_code(response) == ((403, "refresh_token_revoked") if device.has_ended else (200, None))
        if not device.has_ended:
            spent, pair = device.refresh, response.json()
            assert self.api.refresh(spent).json()["refreshToken"] == pair["refreshToken"]
            renewed = Device(pair, self.version)
            device.access, device.refresh = renewed.access, renewed.refresh
            device.version_at_issue, device.expires_at = renewed.version_at_issue, renewed.expires_at

    @rule(device=devices)
    def reuse_a_spent_token(self, device):
        spent = device.refresh
        self.refresh(device)
        if not device.has_ended:
            self.clock.shift(timedelta(seconds=10))
            assert status_and_code(self.api.refresh(spent)) == (403, "refresh_token_reused")
            device.has_ended = True
        assert status_and_code(self.api.refresh(spent)) == (403, "refresh_token_revoked")

    @rule(device=devices)
    def sign_out(self, device):
        assert status_and_code(self.api.post("/api/auth/signout", {"refreshToken": device.refresh})) == (204, None)
        device.has_ended = True

    @rule(device=devices)
    def sign_out_everywhere(self, device):
        if self.call_with_access_token(
            device, lambda token: self.api.post("/api/auth/signout-all", {}, token), 204
        ):
            self.end_all_sessions()

    @rule(device=devices, other=devices)
    def end_another_session(self, device, other):
        if self.expected_refusal(device) is None and self.expected_refusal(other) is None:
            sessions = self.api.get("/api/auth/sessions", other.access).json()
            (session_id,) = [session["id"] for session in sessions if session["current"]]
            self.call_with_access_token(
                device, lambda token: self.api.delete(f"/api/auth/sessions/{session_id}", token), 204
            )
            other.has_ended = True

    @rule(device=devices)
    def change_password(self, device):
        new_password = f"another passphrase {next(_serial_numbers)}"
        body = {"currentPassword": self.password, "newPassword": new_password}
        if self.call_with_access_token(
            device, lambda token: self.api.post("/api/auth/password/change", body, token), 204
        ):
            self.password = new_password
            self.version += 1
            self.end_all_sessions(except_for=device)

    @rule(command=st.sampled_from(["grantrole", "revokerole"]), role=st.sampled_from(["moderator", "admin"]))
    def change_role(self, command, role):
        call_command(command, self.name, role, stdout=None)
        roles = self.roles | {role} if command == "grantrole" else self.roles - {role}
        self.version += roles != self.roles
        self.roles = roles

    @rule()
    def deactivate(self):
        call_command("deactivateuser", self.name, stdout=None)
        self.is_active = False
        self.end_all_sessions()

    @rule(minutes=st.sampled_from([1, 5, 15]))
    def advance_clock(self, minutes):
        self.clock.shift(timedelta(minutes=minutes))

    @invariant()
    def content_requires_a_valid_token_and_the_role(self):
        for device in self.all_devices[-4:]:
            code = self.expected_refusal(device)
            for name, role in REQUIRED_ROLES.items():
                response = self.api.get(f"/api/test/{name}", device.access)
                if name == "all" or not (code or (role and role not in self.roles)):
                    assert response.status_code == 200
                else:
                    assert status_and_code(response) == ((401, code) if code else (403, "role_required"))


def test_responses_match_the_model_in_any_order_of_requests():
    run_state_machine_as_test(
        ClientsStateMachine, settings=hypothesis_settings(max_examples=15, stateful_step_count=30)
    )
