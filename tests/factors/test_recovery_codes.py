"""Recovery codes: shown once, each good once, stored as keyed hashes."""

import pytest

from accounts.models import RecoveryCode
from tests.conftest import Api
from tests.factors.conftest import add_app, second_step

FACTORS = "/api/auth/factors"


def left(client):
    return client.get(FACTORS, client.access_token).json()["recoveryCodesLeft"]


def test_the_first_factor_comes_with_ten_codes_and_the_second_with_none(with_app):
    assert len(set(with_app.recovery_codes)) == 10
    assert all(len(code) == 11 for code in with_app.recovery_codes)
    assert left(with_app) == 10
    add_app(with_app, "Tablet")
    assert with_app.recovery_codes == []
    assert left(with_app) == 10


def test_a_code_completes_a_sign_in_once(with_app, assert_refused):
    code, name = with_app.recovery_codes[0], with_app.user.username
    assert second_step(Api(), name, recoveryCode=code).status_code == 200
    assert left(with_app) == 9
    assert_refused(second_step(Api(), name, recoveryCode=code), 403, "invalid_code")


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda code: code.replace("-", ""),
        lambda code: f" {code} ",
        lambda code: code.replace("0", "O").replace("1", "l"),
    ],
)
def test_a_code_may_be_typed_in_other_ways(with_app, change):
    code = change(with_app.recovery_codes[0])
    assert second_step(Api(), with_app.user.username, recoveryCode=code).status_code == 200


def test_the_codes_of_another_user_are_refused(with_app, signed_in, assert_refused):
    add_app(signed_in)
    response = second_step(Api(), with_app.user.username, recoveryCode=signed_in.recovery_codes[0])
    assert_refused(response, 403, "invalid_code")


def test_renewing_makes_the_old_codes_void(with_app, assert_refused):
    response = with_app.post(f"{FACTORS}/recovery-codes", {}, with_app.access_token)
    assert response.status_code == 200
    new = response.json()["recoveryCodes"]
    name = with_app.user.username
    assert_refused(second_step(Api(), name, recoveryCode=with_app.recovery_codes[1]), 403, "invalid_code")
    assert second_step(Api(), name, recoveryCode=new[0]).status_code == 200
    assert RecoveryCode.objects.count() == 9


def test_a_user_without_a_factor_gets_no_codes(signed_in, assert_refused):
    response = signed_in.post(f"{FACTORS}/recovery-codes", {}, signed_in.access_token)
    assert_refused(response, 403, "second_factor_required")


def test_the_rows_contain_no_code(with_app):
    stored = "".join(RecoveryCode.objects.values_list("digest", flat=True))
    assert not any(code.replace("-", "") in stored for code in with_app.recovery_codes)


def test_codes_work_after_a_change_of_secret_key_while_the_old_key_is_a_fallback(with_app, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next secret key, which is long enough for the service"
    assert second_step(Api(), with_app.user.username, recoveryCode=with_app.recovery_codes[0]).status_code == 200


def test_a_used_code_is_in_the_history_with_the_number_that_is_left(with_app):
    second_step(Api(), with_app.user.username, recoveryCode=with_app.recovery_codes[0])
    used = [entry for entry in with_app.activity() if entry["event"] == "recovery_codes:used"]
    assert [entry["details"] for entry in used] == [{"left": 9}]
