"""Emails over SMTP, from a running server to a mail server that works, is slow, or cannot be reached."""

import re
from contextlib import contextmanager
from email import message_from_bytes, policy
from queue import Queue
from threading import Event, Thread

import pytest
from aiosmtpd.controller import Controller

from tests.factories import PASSWORD
from tests.servers import Server, environment, free_port


class Mailbox:
    """A mailbox that accepts emails while `may_accept` is set. `has_incoming` is set when an email arrives."""

    def __init__(self):
        self.mails = Queue()
        self.has_incoming = Event()
        self.may_accept = Event()
        self.may_accept.set()

    def accept(self, envelope):
        self.has_incoming.set()
        self.may_accept.wait(30)
        self.mails.put(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


class SlowHandler:
    """Passes emails to a mailbox in a thread, so that a slow mailbox does not block the mail server's event loop."""

    def __init__(self, mailbox):
        self.mailbox = mailbox

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd calls this name
        return await server.loop.run_in_executor(None, self.mailbox.accept, envelope)


@pytest.fixture(scope="module")
def mailbox():
    return Mailbox()


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker, mailbox):
    folder = tmp_path_factory.mktemp("mailing")
    mail_port = free_port()
    controller = Controller(SlowHandler(mailbox), hostname="127.0.0.1", port=mail_port)
    controller.start()
    settings = environment(
        folder,
        django_db_blocker,
        EMAIL_URL=f"smtp://127.0.0.1:{mail_port}",
        EMAIL_FROM="auth@example.com",
        PUBLIC_URL="http://auth.example.com",
        ALLOWED_HOSTS="*",
        AUTH_ACCOUNT_LIMIT="",
    )
    running = Server(settings, folder / "log")
    yield running
    assert running.stop() == 0
    controller.stop()


@contextmanager
def slow_mail_server(mailbox):
    mailbox.has_incoming.clear()
    mailbox.may_accept.clear()
    try:
        yield
    finally:
        mailbox.may_accept.set()


def sign_up(server, name):
    return server.post(
        "/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    )


def token_in(mail):
    return re.search(r"#token=(\S+)", mail.get_body("plain").get_content())[1]


def test_a_forgotten_password_is_reset_by_email(server, mailbox):
    status, _ = sign_up(server, "alice")
    assert status == 201
    mail = mailbox.mails.get(timeout=30)
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        "alice@example.com", "auth@example.com", "Verify your email address",
    )  # fmt: skip
    assert server.post("/api/auth/email/verify", {"token": token_in(mail)})[0] == 204

    server.post("/api/auth/password/reset", {"email": "alice@example.com"}, Host="evil.example")
    mail = mailbox.mails.get(timeout=30)
    assert "http://auth.example.com/reset-password#token=" in mail.get_body("plain").get_content()
    assert "http://auth.example.com/reset-password#token=" in mail.get_body("html").get_content()
    confirmed = {"token": token_in(mail), "newPassword": "another good one"}
    assert server.post("/api/auth/password/reset/confirm", confirmed)[0] == 204
    assert mailbox.mails.get(timeout=30)["Subject"] == "Your password was changed"

    assert server.post("/api/auth/signin", {"username": "alice", "password": "another good one"})[0] == 200


def test_a_slow_mail_server_delays_no_response(server, mailbox):
    with slow_mail_server(mailbox):
        assert [sign_up(server, f"slow{number}")[0] for number in range(6)] == [201] * 6
        assert mailbox.has_incoming.wait(30)
        assert server.request("GET", "/readyz")[0] == 200

    assert {mailbox.mails.get(timeout=30)["To"] for _ in range(6)} == {f"slow{n}@example.com" for n in range(6)}


def test_failed_sign_ins_are_stored_while_the_mail_server_is_slow(server, mailbox):
    sign_up(server, "bob")
    mailbox.mails.get(timeout=30)
    signed_in = server.post("/api/auth/signin", {"username": "bob", "password": PASSWORD})[1]
    with slow_mail_server(mailbox):
        for number in range(6):
            sign_up(server, f"busy{number}")
        server.post("/api/auth/signin", {"username": "bob", "password": "wrong password"})
        is_stored = _becomes_true(
            lambda: (
                b"sign_in:failed"
                in server.request("GET", "/api/auth/activity", Authorization=f"Bearer {signed_in['accessToken']}")[
                    1
                ]
            )
        )
    for _ in range(6):
        mailbox.mails.get(timeout=30)

    assert is_stored


def test_queued_emails_are_sent_before_the_server_stops(server, mailbox, tmp_path):
    other = Server({**server.environment, "PORT": str(free_port())}, tmp_path / "log")
    with slow_mail_server(mailbox):
        for number in range(4):
            assert sign_up(other, f"late{number}")[0] == 201
        assert mailbox.has_incoming.wait(30)
        exit_codes = []
        stopping = Thread(target=lambda: exit_codes.append(other.stop()))
        stopping.start()
        stopping.join(timeout=1)
    stopping.join(timeout=30)

    assert exit_codes == [0]
    assert {mailbox.mails.get(timeout=30)["To"] for _ in range(4)} == {f"late{n}@example.com" for n in range(4)}


def test_an_unreachable_mail_server_fails_no_request(server, tmp_path):
    settings = {
        **server.environment, "PORT": str(free_port()), "EMAIL_URL": f"smtp://127.0.0.1:{free_port()}", "WORKERS": "1",
    }  # fmt: skip
    other = Server(settings, tmp_path / "log")

    assert sign_up(other, "carol")[0] == 201
    assert other.post("/api/auth/password/reset", {"email": "carol@example.com"})[0] == 202
    assert _becomes_true(lambda: other.log.read_text().count("A job failed.") == 2)
    assert other.stop() == 0
    assert not re.search(r"token=\w", other.log.read_text())


def _becomes_true(condition):
    """Return whether `condition()` becomes true within 30 seconds."""
    pause = Event()
    return any(condition() or pause.wait(0.2) for _ in range(150)) and condition()
