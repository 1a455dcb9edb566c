"""A dump of the database, the logs, the history and the emails contain no secret of a second factor."""

import base64
import logging

import pyotp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection
from django.utils import timezone

from accounts.models import Activity, User
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import App, add_passkey, second_step
from tests.webauthn import SoftwareAuthenticator

COMPLETE = "/api/auth/signin/second-factor"


class Owner(SignedIn):
    """A user with every kind of factor, whose `secrets` are all that must not be stored, by name."""

    def __init__(self):
        super().__init__(make_user("alice").username)
        self.secrets = {}

    def use_everything(self, clock):
        begun = self.post("/api/auth/factors/totp", {"name": "Phone"}, self.access_token).json()
        self.app = App(begun["secret"])
        self.secrets["TOTP secret"] = base64.b32decode(begun["secret"])
        confirm = {"id": begun["id"], "code": "000000"}
        self.post("/api/auth/factors/totp/confirm", confirm, self.access_token)
        self._remember_code("first code", self.app.code())
        confirmed = self.post(
            "/api/auth/factors/totp/confirm", {**confirm, "code": self.app.code()}, self.access_token
        )
        for number, code in enumerate(confirmed.json()["recoveryCodes"]):
            self.secrets[f"recovery code {number}"] = code.encode()
            self.secrets[f"recovery code {number} without a hyphen"] = code.replace("-", "").encode()
        unconfirmed = self.post("/api/auth/factors/totp", {}, self.access_token).json()
        self.secrets["unconfirmed TOTP secret"] = base64.b32decode(unconfirmed["secret"])
        self._add_passkey()
        clock.advance(seconds=30)
        self._sign_in(confirmed.json()["recoveryCodes"])

    def _add_passkey(self):
        passkey = SoftwareAuthenticator()
        assert add_passkey(self, passkey).status_code == 201
        scalar = passkey.key.private_numbers().private_value.to_bytes(32, "big")
        encoding = passkey.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self.secrets |= {"passkey": scalar, "passkey as PKCS #8": encoding}

    def _sign_in(self, recovery_codes):
        self._remember_code("second code", self.app.code())
        assert second_step(Api(), "alice", code=self.app.code()).status_code == 200
        assert second_step(Api(), "alice", recoveryCode=recovery_codes[0]).status_code == 200
        pending = Api().sign_in("alice").json()["authSession"]
        self.secrets["authSession"] = pending.encode()
        self.secrets["authSession, decoded"] = base64.urlsafe_b64decode(pending.removeprefix("authsess_") + "=")
        wrong = ({"code": "a wrong code"}, {"recoveryCode": "wrong-wrong"}, {"passkey": {"id": "a wrong passkey"}})
        for presented in wrong:
            assert Api().post(COMPLETE, {"authSession": pending, **presented}).status_code == 403
        self.secrets |= {f"wrong {number}": text for number, text in enumerate((b"a wrong code", b"wrong-wrong"))}

    def _remember_code(self, name, code):
        self.codes = {*getattr(self, "codes", set()), code}
        self.secrets[name] = code.encode()


@pytest.fixture
def owner(clock, caplog, mailoutbox):
    caplog.set_level(logging.DEBUG)
    owner = Owner()
    owner.use_everything(clock)
    return owner


def encodings(secret):
    """Return the forms in which a secret could be stored."""
    raw = [secret, base64.b32encode(secret).rstrip(b"="), secret.hex().encode(), secret.hex().upper().encode()]
    return {*raw, base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")}


def dump():
    """Return the values of every column of every row of every table."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows += cursor.fetchall()
    return b"\n".join(as_bytes(value) for row in rows for value in row)


def as_bytes(value):
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def found_in(haystack, secrets):
    return [name for name, secret in secrets.items() if any(form in haystack for form in encodings(secret))]


def without_codes(owner):
    """Return the secrets that are long enough not to occur by chance, as six digits do in times and digests."""
    return {name: secret for name, secret in owner.secrets.items() if len(secret) > 6}


def test_a_dump_of_the_database_contains_no_secret(owner):
    assert found_in(dump(), without_codes(owner)) == []


def test_the_dump_has_what_is_stored(owner):
    user = User.objects.get()
    stored = [user.passkeys.get().credential_id, user.authenticators.earliest("created_at").encrypted_secret]
    content = dump()
    assert all(bytes(value) in content for value in stored)
    assert user.recovery_codes.first().digest.encode() in content
    assert found_in(content + owner.secrets["TOTP secret"].hex().encode(), owner.secrets) == ["TOTP secret"]


def test_the_logs_contain_no_secret(owner, caplog):
    records = caplog.get_records("setup")
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records).encode()
    assert b"factor:added" in text
    assert found_in(text, without_codes(owner)) == []
    messages = "\n".join(f"{vars(record).get('event')} {record.getMessage()}" for record in records)
    assert not any(code in messages for code in owner.codes)


def test_the_history_and_the_emails_contain_no_secret(owner, mailoutbox):
    history = "\n".join(f"{entry.event} {entry.details}" for entry in Activity.objects.all())
    emails = "\n".join(f"{message.subject} {message.body} {message.alternatives}" for message in mailoutbox)
    assert "recovery_codes:used" in history
    assert "recovery code" in emails
    assert found_in((history + emails).encode(), without_codes(owner)) == []
    assert not any(code in history for code in owner.codes)


def test_pyotp_reads_the_uri_and_generates_the_codes(signed_in):
    begun = signed_in.post("/api/auth/factors/totp", {}, signed_in.access_token).json()
    theirs = pyotp.parse_uri(begun["uri"])
    assert isinstance(theirs, pyotp.TOTP)
    assert (theirs.secret, theirs.digits, theirs.interval) == (begun["secret"], 6, 30)
    code = theirs.at(timezone.now())
    assert code == App(begun["secret"]).code()
    body = {"id": begun["id"], "code": code}
    assert signed_in.post("/api/auth/factors/totp/confirm", body, signed_in.access_token).status_code == 200
