"""Second factors while SECRET_KEY is replaced on one machine after the other, as docs/operations.md describes."""

import pytest

from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import add_app, add_passkey
from tests.webauthn import SoftwareAuthenticator

COMPLETE = "/api/auth/signin/second-factor"
OLD, NEW = "old-secret-key-" * 4, "new-secret-key-" * 4
START, ACCEPT, ISSUE, DROP = (OLD, []), (OLD, [NEW]), (NEW, [OLD]), (NEW, [])
NEIGHBORS = [(START, ACCEPT), (ACCEPT, ISSUE), (ISSUE, ACCEPT), (ISSUE, DROP), (DROP, ISSUE)]
"""The phases of two machines that run at the same time."""


@pytest.fixture
def machine(settings):
    """Return a function that continues as a machine in a phase."""

    def become(phase):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = phase

    return become


def enroll(clock):
    owner = SignedIn(make_user("alice").username)
    owner.app, owner.passkey = add_app(owner), SoftwareAuthenticator()
    assert add_passkey(owner, owner.passkey).status_code == 201
    clock.advance(seconds=30)
    return owner


def factors_of(owner):
    return {
        "code": lambda first: {"code": owner.app.code()},
        "recovery code": lambda first: {"recoveryCode": owner.recovery_codes.pop()},
        "passkey": lambda first: {"passkey": owner.passkey.get(first["passkey"])},
    }


@pytest.mark.parametrize("kind", ["code", "recovery code", "passkey"])
@pytest.mark.parametrize(("first_phase", "second_phase"), NEIGHBORS)
def test_a_sign_in_that_begins_on_one_machine_is_completed_on_another(
    clock, machine, first_phase, second_phase, kind
):
    machine(first_phase)
    owner = enroll(clock)
    first = Api().sign_in("alice").json()
    presented = factors_of(owner)[kind](first)
    machine(second_phase)
    response = Api().post(COMPLETE, {"authSession": first["authSession"], **presented})
    assert response.status_code == 200, response.content


@pytest.mark.parametrize(("first_phase", "second_phase"), NEIGHBORS)
def test_a_passkey_sign_in_that_begins_on_one_machine_is_completed_on_another(
    clock, machine, first_phase, second_phase
):
    machine(first_phase)
    owner = enroll(clock)
    credential = owner.passkey.get(Api().post("/api/auth/signin/passkey/options").json())
    machine(second_phase)
    assert Api().post("/api/auth/signin/passkey", {"credential": credential}).status_code == 200


def test_an_app_that_was_used_while_the_old_key_was_a_fallback_works_without_it(clock, machine):
    machine(START)
    owner = enroll(clock)
    for phase in (START, ACCEPT, ISSUE, DROP):
        machine(phase)
        first = Api().sign_in("alice").json()
        body = {"authSession": first["authSession"], "code": owner.app.code()}
        assert Api().post(COMPLETE, body).status_code == 200
        clock.advance(seconds=30)


def test_without_the_old_key_only_passkeys_of_its_time_work(clock, machine, assert_refused):
    machine(START)
    owner = enroll(clock)
    machine(DROP)
    first = Api().sign_in("alice").json()
    for kind in ("code", "recovery code"):
        presented = factors_of(owner)[kind](first)
        response = Api().post(COMPLETE, {"authSession": first["authSession"], **presented})
        assert_refused(response, 403, "invalid_code")
    presented = factors_of(owner)["passkey"](first)
    assert Api().post(COMPLETE, {"authSession": first["authSession"], **presented}).status_code == 200
