"""The emails that notify owners of changes to their second factors."""

import re

import pytest
from django.utils import timezone

from accounts.factors import changes
from tests.conftest import Api
from tests.factors.conftest import add_passkey, second_step
from tests.webauthn import SoftwareAuthenticator

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def add(client):
    assert add_passkey(client, SoftwareAuthenticator(), name="Laptop").status_code == 201


def remove(client):
    assert client.delete(f"/api/auth/factors/{client.factor_id}", client.access_token).status_code == 204


def reset(client):
    changes.reset(client.user)


def use_recovery_code(client):
    assert second_step(Api(), client.user.username, recoveryCode=client.recovery_codes[0]).status_code == 200


def renew_recovery_codes(client):
    assert client.post("/api/auth/factors/recovery-codes", {}, client.access_token).status_code == 200


def present_copied_passkey(client):
    authenticator = SoftwareAuthenticator()
    assert add_passkey(client, authenticator).status_code == 201
    for counter in (10, 5):
        authenticator.counter = counter
        options = Api().post("/api/auth/signin/passkey/options").json()
        Api().post("/api/auth/signin/passkey", {"credential": authenticator.get(options)})


@pytest.mark.parametrize(
    ("change", "subject", "text"),
    [
        (add, "A second factor was added", "A passkey was added"),
        (remove, "A second factor was removed", "An authenticator app was removed"),
        (reset, "Your second factors were removed", "signed you out on all devices"),
        (use_recovery_code, "A recovery code of your account was used", "You have 9 recovery codes left."),
        (renew_recovery_codes, "Your recovery codes were replaced", "The old ones no longer work."),
        (present_copied_passkey, "A passkey of your account was refused", "may have been copied"),
    ],
)
def test_each_change_is_mailed_to_the_owner_with_time_and_advice(with_app, mailoutbox, change, subject, text):
    mailoutbox.clear()
    change(with_app)
    [message] = [message for message in mailoutbox if message.subject.startswith(subject)]
    body = " ".join(message.body.split())
    assert message.to == [with_app.user.email]
    assert text in body
    assert f"Time: {timezone.now():%Y-%m-%d %H:%M} UTC" in body
    assert re.search("If (this was not you|you did not|you cannot explain this)", body)


def test_the_address_and_device_of_the_change_are_named(with_app, mailoutbox):
    with_app.http.defaults |= {"HTTP_USER_AGENT": FIREFOX, "REMOTE_ADDR": "192.0.2.7"}
    renew_recovery_codes(with_app)
    assert "Device: Firefox on Linux" in mailoutbox[-1].body
    assert "IP address: 192.0.2.7" in mailoutbox[-1].body


def test_an_email_contains_neither_the_name_of_a_factor_nor_a_code(with_app, mailoutbox):
    add(with_app)
    use_recovery_code(with_app)
    for message in mailoutbox:
        for text in ("Laptop", "Phone", *with_app.recovery_codes):
            assert text not in message.body
