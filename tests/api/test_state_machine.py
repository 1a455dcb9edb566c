"""The API as several clients of one user meet it, in any order of requests: statuses and codes, by a small model."""

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

pytestmark = pytest.mark.usefixtures("hashes_that_are_fast")

CONTENTS = {"all": None, "user": None, "mod": "moderator", "admin": "admin"}
START = datetime(2030, 1, 1, tzinfo=UTC)
_numbers = count(1)


def told(answer):
    """Give the status, and the code of a refusal."""
    is_refusal = answer.status_code >= 400
    return answer.status_code, answer.json()["code"] if is_refusal else None


class Device:
    """One sign-in, as the client keeps it: both tokens, and what became of them."""

    def __init__(self, pair, state):
        self.access, self.refresh = pair["accessToken"], pair["refreshToken"]
        self.state_at_issue = state
        self.expires_at = datetime.now(UTC) + timedelta(seconds=pair["expiresIn"])
        self.is_over = False


class Clients(RuleBasedStateMachine):
    devices = Bundle("devices")

    def __init__(self):
        super().__init__()
        self._around = contextlib.ExitStack()
        self.clock = self._around.enter_context(time_machine.travel(START, tick=False))
        self._around.enter_context(
            override_settings(AUTH={**settings.AUTH, "address_limit": None, "account_limit": None})
        )
        self._around.enter_context(transaction.atomic())
        self.api, self.name, self.password = Api(), f"client{next(_numbers)}", "the first of them"
        self.roles, self.version, self.is_active = {"user"}, 0, True
        self.all = []
        assert self.api.sign_up(self.name, self.password).status_code == 201

    def teardown(self):
        transaction.set_rollback(True)
        self._around.close()

    def access_code(self, device):
        if device.expires_at <= datetime.now(UTC):
            return "token_expired"
        if device.is_over:
            return "token_revoked"
        return None if device.state_at_issue == self.version else "token_stale"

    def with_access(self, device, call, status):
        """Do what needs an access token; tell whether it was done."""
        code = self.access_code(device)
        assert told(call(device.access)) == ((401, code) if code else (status, None))
        return code is None

    def all_over(self, but=None):
        for device in self.all:
            device.is_over = device.is_over or device is not but

    @rule(target=devices)
    def sign_in(self):
        if not self.is_active:
            assert told(self.api.sign_in(self.name, self.password)) == (401, "invalid_credentials")
            call_command("activateuser", self.name, stdout=None)
            self.is_active = True
        device = Device(self.api.sign_in(self.name, self.password).json(), self.version)
        self.all.append(device)
        return device

    @rule(device=devices)
    def refresh(self, device):
        answer = self.api.refresh(device.refresh)
        assert told(answer) == ((403, "refresh_token_revoked") if device.is_over else (200, None))
        if not device.is_over:
            spent, again = device.refresh, answer.json()
            assert self.api.refresh(spent).json()["refreshToken"] == again["refreshToken"]
            renewed = Device(again, self.version)
            device.access, device.refresh = renewed.access, renewed.refresh
            device.state_at_issue, device.expires_at = renewed.state_at_issue, renewed.expires_at

    @rule(device=devices)
    def have_a_token_stolen(self, device):
        spent = device.refresh
        self.refresh(device)
        if not device.is_over:
            self.clock.shift(timedelta(seconds=10))
            assert told(self.api.refresh(spent)) == (403, "refresh_token_reused")
            device.is_over = True
        assert told(self.api.refresh(spent)) == (403, "refresh_token_revoked")

    @rule(device=devices)
    def sign_out(self, device):
        assert told(self.api.post("/api/auth/signout", {"refreshToken": device.refresh})) == (204, None)
        device.is_over = True

    @rule(device=devices)
    def sign_out_everywhere(self, device):
        if self.with_access(device, lambda token: self.api.post("/api/auth/signout-all", {}, token), 204):
            self.all_over()

    @rule(device=devices, other=devices)
    def end_another(self, device, other):
        if self.access_code(device) is None and self.access_code(other) is None:
            listed = self.api.get("/api/auth/sessions", other.access).json()
            (own,) = [one["id"] for one in listed if one["current"]]
            self.with_access(device, lambda token: self.api.delete(f"/api/auth/sessions/{own}", token), 204)
            other.is_over = True

    @rule(device=devices)
    def change_password(self, device):
        new = f"another of them {next(_numbers)}"
        body = {"currentPassword": self.password, "newPassword": new}
        if self.with_access(device, lambda token: self.api.post("/api/auth/password/change", body, token), 204):
            self.password = new
            self.version += 1
            self.all_over(but=device)

    @rule(command=st.sampled_from(["grantrole", "revokerole"]), role=st.sampled_from(["moderator", "admin"]))
    def change_role(self, command, role):
        call_command(command, self.name, role, stdout=None)
        changed = self.roles | {role} if command == "grantrole" else self.roles - {role}
        self.version += changed != self.roles
        self.roles = changed

    @rule()
    def deactivate(self):
        call_command("deactivateuser", self.name, stdout=None)
        self.is_active = False
        self.all_over()

    @rule(minutes=st.sampled_from([1, 5, 15]))
    def pass_time(self, minutes):
        self.clock.shift(timedelta(minutes=minutes))

    @invariant()
    def content_is_for_those_whose_it_is(self):
        for device in self.all[-4:]:
            code = self.access_code(device)
            for name, role in CONTENTS.items():
                answer = self.api.get(f"/api/test/{name}", device.access)
                if name == "all" or not (code or (role and role not in self.roles)):
                    assert answer.status_code == 200
                else:
                    assert told(answer) == ((401, code) if code else (403, "role_required"))


def test_the_api_answers_as_the_contract_says_in_whatever_order_it_is_asked():
    run_state_machine_as_test(Clients, settings=hypothesis_settings(max_examples=15, stateful_step_count=30))
