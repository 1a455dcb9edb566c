"""Emails: their text, their delivery with retries, and the queue that sends them in the background."""

import dataclasses
import smtplib
from email import message_from_bytes, policy
from threading import Event, get_ident

import pytest
from django.core import mail as django_mail
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, transaction
from django.utils import timezone

from accounts.conf import AuthSettings
from accounts.errors import Unavailable
from accounts.history import mail
from accounts.history.background import BackgroundQueue
from accounts.history.mail import MailTemplate
from accounts.models import User
from tests.factories import make_user

AFTER_COMMIT = BackgroundQueue.after_commit
CONTEXT = {
    "link": "https://auth.example.com/x#token=a:b:c", "minutes": 10, "days": 7, "granted": ["admin"], "taken": [],
    "kind": "totp", "left": 3,
    "at": timezone.now(), "device": "Firefox on Linux", "address": "192.0.2.7",
}  # fmt: skip


@pytest.fixture
def queue(monkeypatch):
    """Return a queue that runs jobs in a thread, as it does outside of tests."""
    monkeypatch.setattr(BackgroundQueue, "after_commit", AFTER_COMMIT)
    queue = BackgroundQueue("test", threads=1, capacity=2, delay=0)
    yield queue
    queue._pool.shutdown()


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("/welcome", "https://auth.example.com/welcome#token="),
        ("https://app.example.com/welcome?a=b", "https://app.example.com/welcome?a=b#token="),
        ("http://localhost:3000", "http://localhost:3000#token="),
    ],
)
def test_emailed_links_lead_to_the_configured_pages(api, override_auth, mailoutbox, url, start):
    override_auth(public_url="https://auth.example.com", verify_url=url, reset_url=url, invitation_url=url)

    api.sign_up("alice")
    api.post("/api/auth/password/reset", {"email": "alice@example.com"})
    call_command("invite", "bob@example.com")

    assert len(mailoutbox) == 3
    assert [message.body.count(f"\n{start}") for message in mailoutbox] == [1, 1, 1]


@pytest.mark.parametrize("name", ["verify_url", "reset_url", "invitation_url"])
def test_by_default_emailed_links_lead_to_pages_of_this_service(client, name):
    [field] = [field for field in dataclasses.fields(AuthSettings) if field.name == name]

    response = client.get(field.default)

    assert response.status_code == 200
    assert b"mail_link.js" in response.content


@pytest.mark.parametrize(
    ("language", "encoding"), [("en", "7bit"), ("de", "8bit")], ids=["ASCII", "other characters"]
)
def test_a_link_is_not_broken_across_lines(mailoutbox, language, encoding):
    context = {**CONTEXT, "link": f"https://auth.example.com/x#token={'x' * 150}"}
    mail.send(MailTemplate.RESET_PASSWORD, "alice@example.com", language=language, **context)

    [message] = mailoutbox
    source = message.message().as_bytes()
    assert context["link"].encode() in source.splitlines()
    assert f'<a href="{context["link"]}"'.encode() in source
    assert source.count(f"Content-Transfer-Encoding: {encoding}".encode()) == 2
    parts = message_from_bytes(source, policy=policy.default).iter_parts()
    assert [part.get_content() for part in parts] == [message.body, message.alternatives[0][0]]


def test_a_line_that_is_too_long_for_smtp_is_encoded(mailoutbox):
    context = {**CONTEXT, "link": f"https://auth.example.com/x#token={'x' * 1000}"}
    mail.send(MailTemplate.RESET_PASSWORD, "alice@example.com", **context)

    source = mailoutbox[0].message().as_bytes()
    assert max(len(line) for line in source.splitlines()) <= 998
    plain, html = message_from_bytes(source, policy=policy.default).iter_parts()
    assert context["link"] in plain.get_content().splitlines()
    assert f'<a href="{context["link"]}"' in html.get_content()


def test_only_well_known_devices_are_named(mailoutbox):
    """Otherwise an account with another person's address could send that person the text of a User-Agent header."""
    hostile = "Mozilla/5.0 (compatible; Your account is blocked call 0900 555 100 now bot/1.0)"
    entry = make_user().activity.create(event="sign_in:new_device", at=timezone.now(), user_agent=hostile)
    mail.notify_owner(MailTemplate.NEW_DEVICE, entry)

    assert "0900" not in mailoutbox[0].body
    assert "Device: Unknown device" in mailoutbox[0].body


def test_an_email_about_a_change_by_a_command_names_no_device(mailoutbox):
    make_user("alice")
    call_command("grantrole", "alice", "admin")

    assert "Added: admin" in mailoutbox[-1].body
    assert "Time:" in mailoutbox[-1].body
    assert "Device" not in mailoutbox[-1].body


def test_emails_to_an_unverified_address_are_limited_across_accounts(clock, mailoutbox):
    for _ in range(3):
        user = make_user(email="victim@example.com")
        for _ in range(5):
            mail.notify_owner(
                MailTemplate.NEW_DEVICE, user.activity.create(event="sign_in:new_device", at=timezone.now())
            )
        user.delete()

    assert len(mailoutbox) == 10


def test_emails_to_a_verified_address_are_not_limited(clock, mailoutbox):
    user = make_user(email_verified_at=timezone.now())
    for _ in range(15):
        mail.notify_owner(
            MailTemplate.NEW_DEVICE, user.activity.create(event="sign_in:new_device", at=timezone.now())
        )

    assert len(mailoutbox) == 15


def test_a_job_starts_after_a_random_delay(queue, monkeypatch):
    slept = []
    monkeypatch.setattr("accounts.history.background.time.sleep", slept.append)
    queue._delay = 5
    for _ in range(2):
        queue._enqueue(int)
    queue._pool.shutdown()

    assert all(0 <= seconds <= 5 for seconds in slept)
    assert len(set(slept)) == 2


@pytest.fixture
def failing_mail_server(monkeypatch, settings):
    """Return a function that makes the first attempts fail, the list of attempts, and the pauses between them."""
    pauses = []
    monkeypatch.setattr(mail._deliver.retry, "sleep", pauses.append)
    attempts = []

    def fail(times, error):
        def send(self):
            attempts.append(self)
            if len(attempts) <= times:
                raise error

        monkeypatch.setattr(django_mail.EmailMultiAlternatives, "send", send)

    return fail, attempts, pauses


TRANSIENT_ERRORS = [
    ConnectionRefusedError(),
    TimeoutError(),
    smtplib.SMTPServerDisconnected(),
    smtplib.SMTPDataError(451, b"later"),
    smtplib.SMTPRecipientsRefused({"alice@example.com": (450, b"greylisted")}),
]
PERMANENT_ERRORS = [
    smtplib.SMTPDataError(554, b"spam"),
    smtplib.SMTPSenderRefused(550, b"no", "auth@example.com"),
    smtplib.SMTPRecipientsRefused({"alice@example.com": (550, b"nobody here")}),
    ValueError(),
]


@pytest.mark.parametrize("error", PERMANENT_ERRORS)
def test_a_permanent_failure_is_not_retried(failing_mail_server, error):
    fail, attempts, _ = failing_mail_server
    fail(1, error)
    with pytest.raises(type(error)):
        mail.send(MailTemplate.VERIFY_EMAIL, "alice@example.com", **CONTEXT)

    assert len(attempts) == 1


@pytest.mark.parametrize("error", TRANSIENT_ERRORS)
def test_a_transient_failure_is_retried_with_growing_pauses(failing_mail_server, error):
    fail, attempts, pauses = failing_mail_server
    fail(3, error)
    mail.send(MailTemplate.VERIFY_EMAIL, "alice@example.com", **CONTEXT)

    assert len(attempts) == 4
    assert pauses == [2, 2, 4]


@pytest.mark.parametrize("error", [OperationalError(), InterfaceError(), Unavailable()])
def test_a_job_that_cannot_use_the_database_or_the_counters_is_run_again(queue, monkeypatch, error):
    pauses, runs = [], []
    monkeypatch.setattr(queue._retrying, "sleep", pauses.append)

    def job():
        runs.append(job)
        if len(runs) < 3:
            raise error

    queue._enqueue(job)
    queue._pool.shutdown()

    assert (len(runs), pauses) == (3, [2, 2])


def test_a_job_that_fails_for_another_reason_is_not_run_again(queue):
    runs = []

    def job():
        runs.append(job)
        raise ProgrammingError

    queue._enqueue(job)
    queue._pool.shutdown()

    assert len(runs) == 1


def test_an_email_that_cannot_be_sent_raises_no_error_and_is_logged_without_its_text(
    api, failing_mail_server, caplog, queue
):
    fail, attempts, _ = failing_mail_server
    fail(99, smtplib.SMTPRecipientsRefused({"alice@example.com": (450, b"alice@example.com is greylisted")}))
    queue.after_commit(mail.send, MailTemplate.RESET_PASSWORD, "alice@example.com", **CONTEXT)
    connection.run_on_commit[-1][1]()
    queue._pool.shutdown()

    assert len(attempts) == 4
    assert "A job failed." in caplog.text
    assert not [
        record for record in caplog.records if "alice" in str(vars(record)) or "token=a" in str(vars(record))
    ]


def test_a_job_runs_in_another_thread_after_the_commit(queue):
    done, threads = Event(), []

    def job():
        threads.append(get_ident())
        done.set()

    with transaction.atomic():
        queue.after_commit(job)
        assert not threads
    connection.run_on_commit[-1][1]()

    assert done.wait(10)
    assert threads != [get_ident()]


def test_a_full_queue_drops_jobs_and_logs_each(queue, caplog):
    may_continue, done = Event(), []

    def job(number):
        may_continue.wait(10)
        done.append(number)

    for number in range(4):
        queue._enqueue(lambda number=number: job(number))
    may_continue.set()
    queue._pool.shutdown()

    assert done == [0, 1]
    assert caplog.text.count("The queue is full") == 2


def test_a_finished_job_frees_its_place_in_the_queue(queue, caplog):
    for _ in range(5):
        done = Event()
        queue._enqueue(done.set)
        assert done.wait(10)
        queue._pool.submit(int).result(timeout=10)  # runs after the only thread has finished the job

    assert not caplog.text


def test_a_failed_job_is_logged_and_the_next_one_runs(queue, caplog):
    done = Event()
    queue._enqueue(lambda: 1 / 0)
    queue._enqueue(done.set)

    assert done.wait(10)
    queue._pool.shutdown()
    [record] = caplog.records
    assert (record.error, record.lane) == ("ZeroDivisionError", "test")
    assert "test_mail.py" in record.where[-1]


def test_a_deleted_user_gets_no_email(mailoutbox):
    user = make_user()
    entry = user.activity.create(event="roles:changed", at=timezone.now())
    User.objects.all().delete()
    entry.user_id = user.pk or 1

    mail.notify_owner(MailTemplate.ROLES_CHANGED, entry)

    assert mailoutbox == []
