"""Simultaneous uses of one code, one recovery code, one authSession and one challenge, in threads."""

from collections import Counter

import pytest

from accounts.models import RecoveryCode, RefreshToken
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import add_app, add_passkey
from tests.threads import run_concurrently
from tests.webauthn import SoftwareAuthenticator

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

CONCURRENCY = 25
COMPLETE = "/api/auth/signin/second-factor"


@pytest.fixture
def alice(override_auth):
    override_auth(account_limit=None, address_limit=None)
    make_user("alice")
    client = SignedIn("alice")
    client.app = add_app(client)
    return client


def auth_sessions():
    return [Api().sign_in("alice").json()["authSession"] for _ in range(CONCURRENCY)]


def statuses(*tasks):
    return Counter(response.status_code for response in run_concurrently(*tasks))


def completing(auth_session, **presented):
    return lambda: Api().post(COMPLETE, {"authSession": auth_session, **presented})


def test_one_code_used_at_once_in_many_sign_ins_opens_one_session(alice):
    before = RefreshToken.objects.count()
    code = alice.app.code(steps=1)
    assert statuses(*[completing(auth_session, code=code) for auth_session in auth_sessions()])[200] == 1
    assert RefreshToken.objects.count() == before + 1


def test_one_recovery_code_used_at_once_in_many_sign_ins_opens_one_session(alice):
    before, code = RefreshToken.objects.count(), alice.recovery_codes[0]
    assert statuses(*[completing(auth_session, recoveryCode=code) for auth_session in auth_sessions()])[200] == 1
    assert RefreshToken.objects.count() == before + 1
    assert RecoveryCode.objects.count() == 9


def test_one_auth_session_completed_at_once_with_many_codes_opens_one_session(alice):
    before = RefreshToken.objects.count()
    auth_session = Api().sign_in("alice").json()["authSession"]
    tasks = [completing(auth_session, recoveryCode=code) for code in alice.recovery_codes]
    assert statuses(*tasks)[200] == 1
    assert RefreshToken.objects.count() == before + 1


def test_an_auth_session_allows_ten_simultaneous_attempts(alice):
    auth_session = Api().sign_in("alice").json()["authSession"]
    responses = run_concurrently(*[completing(auth_session, code="000000")] * CONCURRENCY)
    assert Counter(response.json()["code"] for response in responses) == {
        "invalid_code": 10, "auth_session_invalid": CONCURRENCY - 10
    }  # fmt: skip


def test_one_passkey_response_sent_many_times_at_once_opens_one_session(alice):
    authenticator = SoftwareAuthenticator(is_synced=True)  # without a counter, which would refuse repeats as well
    add_passkey(alice, authenticator)
    credential = authenticator.get(Api().post("/api/auth/signin/passkey/options").json())
    before = RefreshToken.objects.count()
    sign_in = lambda: Api().post("/api/auth/signin/passkey", {"credential": credential})  # noqa: E731
    assert statuses(*[sign_in] * CONCURRENCY)[200] == 1
    assert RefreshToken.objects.count() == before + 1


def test_two_first_factors_added_at_once_come_with_one_set_of_recovery_codes(override_auth):
    make_user("bob")
    bob = SignedIn("bob")
    authenticators = [SoftwareAuthenticator() for _ in range(4)]
    options = [bob.post("/api/auth/factors/passkeys/options", {}, bob.access_token).json() for _ in authenticators]
    credentials = [each.create(option) for each, option in zip(authenticators, options, strict=True)]
    responses = run_concurrently(
        *[
            lambda credential=credential: bob.post(
                "/api/auth/factors/passkeys", {"credential": credential}, bob.access_token
            )
            for credential in credentials
        ]
    )
    with_codes = [response for response in responses if "recoveryCodes" in response.json()]
    assert len(with_codes) == 1
    assert RecoveryCode.objects.count() == 10
