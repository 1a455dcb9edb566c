"""How mail is written and sent."""

import smtplib
from threading import Event, get_ident

import pytest
from django.core import mail as django_mail
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone, translation

from accounts.history import mail
from accounts.history.background import BackgroundQueue
from accounts.history.mail import MailTemplate
from accounts.models import User
from tests.factories import make_user

AFTER_COMMIT = BackgroundQueue.after_commit
CONTEXT = {
    "link": "https://auth.example.com/x#token=a:b:c", "minutes": 10, "granted": ["admin"], "taken": [],
    "at": timezone.now(), "device": "Firefox on Linux", "address": "192.0.2.7",
}  # fmt: skip


@pytest.fixture
def lane(monkeypatch):
    """A lane as it is outside of the tests."""
    monkeypatch.setattr(BackgroundQueue, "after_commit", AFTER_COMMIT)
    made = BackgroundQueue("test", threads=1, capacity=2, delay=0)
    yield made
    made._pool.shutdown()


@pytest.mark.parametrize("letter", MailTemplate)
def test_every_letter_has_a_subject_a_text_and_the_same_in_html(letter, mailoutbox):
    mail.send(letter, "alice@example.com", **CONTEXT)

    [message] = mailoutbox
    html, kind = message.alternatives[0]
    assert kind == "text/html"
    assert "\n" not in message.subject
    assert len(message.subject) > 10
    assert message.subject not in message.body
    assert f'<h1 style="font-size: 1.3em">{message.subject}</h1>' in html
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"
    for line in filter(None, message.body.splitlines()):
        assert line.strip().replace("'", "&#x27;")[:40] in html


def test_a_link_stands_in_one_line(mailoutbox):
    mail.send(MailTemplate.RESET_PASSWORD, "alice@example.com", **CONTEXT)

    assert CONTEXT["link"] in mailoutbox[0].body.splitlines()
    assert CONTEXT["link"].encode() in mailoutbox[0].message().as_bytes()
    assert f'<a href="{CONTEXT["link"]}">' in mailoutbox[0].alternatives[0][0]


def test_nothing_that_a_stranger_chose_is_in_a_mail(api, mailoutbox):
    api.sign_up("visit.evil.example", email="victim@example.com", fullname="Visit http://evil.example now")

    assert "evil" not in mailoutbox[0].message().as_string().partition("\n\n")[2]


def test_of_devices_the_well_known_are_named(mailoutbox):
    """Whoever gives somebody else's address for an account could write to it by the User-Agent."""
    hostile = "Mozilla/5.0 (compatible; Your account is blocked call 0900 555 100 now bot/1.0)"
    entry = make_user().activity.create(event="sign_in:new_device", at=timezone.now(), user_agent=hostile)
    mail.notify_owner(MailTemplate.NEW_DEVICE, entry)

    assert "0900" not in mailoutbox[0].body
    assert "Device: Unknown device" in mailoutbox[0].body


def test_what_a_command_did_names_no_device(mailoutbox):
    make_user("alice")
    call_command("grantrole", "alice", "admin")

    assert "Added: admin" in mailoutbox[-1].body
    assert "Time:" in mailoutbox[-1].body
    assert "Device" not in mailoutbox[-1].body


def test_few_letters_go_to_an_address_that_is_not_verified_whichever_account_they_are_about(clock, mailoutbox):
    for _ in range(3):
        user = make_user(email="victim@example.com")
        for _ in range(5):
            mail.notify_owner(
                MailTemplate.NEW_DEVICE, user.activity.create(event="sign_in:new_device", at=timezone.now())
            )
        user.delete()

    assert len(mailoutbox) == 10


def test_the_owner_of_a_verified_address_is_told_everything(clock, mailoutbox):
    user = make_user(email_verified_at=timezone.now())
    for _ in range(15):
        mail.notify_owner(
            MailTemplate.NEW_DEVICE, user.activity.create(event="sign_in:new_device", at=timezone.now())
        )

    assert len(mailoutbox) == 15


def test_a_job_begins_at_a_random_moment(lane, monkeypatch):
    slept = []
    monkeypatch.setattr("accounts.history.background.time.sleep", slept.append)
    lane._delay = 5
    for _ in range(2):
        lane._enqueue(int)
    lane._pool.shutdown()

    assert all(0 <= seconds <= 5 for seconds in slept)
    assert len(set(slept)) == 2


def test_markup_in_a_mail_is_text(mailoutbox):
    mail.send(MailTemplate.NEW_DEVICE, "alice@example.com", **{**CONTEXT, "device": "<b>"})

    assert "Device: <b>" in mailoutbox[0].body
    assert "Device: &lt;b&gt;" in mailoutbox[0].alternatives[0][0]


@pytest.mark.parametrize("letter", MailTemplate)
def test_every_letter_is_translated(letter, mailoutbox):
    mail.send(letter, "alice@example.com", **CONTEXT)
    with translation.override("de"):
        mail.send(letter, "alice@example.com", **CONTEXT)

    english, german = mailoutbox
    assert english.subject != german.subject
    data = {CONTEXT["link"], "Device: Firefox on Linux"}
    assert not set(english.body.splitlines()) & set(german.body.splitlines()) - data - {""}
    assert '<html lang="de">' in german.alternatives[0][0]


@pytest.fixture
def failing(monkeypatch, settings):
    """A mail server that fails so often, and the pauses between the tries."""
    pauses = []
    monkeypatch.setattr(mail._deliver.retry, "sleep", pauses.append)
    tries = []

    def fail(times, error):
        def send(self):
            tries.append(self)
            if len(tries) <= times:
                raise error

        monkeypatch.setattr(django_mail.EmailMultiAlternatives, "send", send)

    return fail, tries, pauses


PASSING = [
    ConnectionRefusedError(),
    TimeoutError(),
    smtplib.SMTPServerDisconnected(),
    smtplib.SMTPDataError(451, b"later"),
    smtplib.SMTPRecipientsRefused({"alice@example.com": (450, b"greylisted")}),
]
FOR_GOOD = [
    smtplib.SMTPDataError(554, b"spam"),
    smtplib.SMTPSenderRefused(550, b"no", "auth@example.com"),
    smtplib.SMTPRecipientsRefused({"alice@example.com": (550, b"nobody here")}),
    ValueError(),
]


@pytest.mark.parametrize("error", FOR_GOOD)
def test_a_mail_that_is_refused_for_good_is_not_tried_again(failing, error):
    fail, tries, _ = failing
    fail(1, error)
    with pytest.raises(type(error)):
        mail.send(MailTemplate.VERIFY_EMAIL, "alice@example.com", **CONTEXT)

    assert len(tries) == 1


@pytest.mark.parametrize("error", PASSING)
def test_a_mail_server_that_fails_is_asked_again_with_growing_pauses(failing, error):
    fail, tries, pauses = failing
    fail(3, error)
    mail.send(MailTemplate.VERIFY_EMAIL, "alice@example.com", **CONTEXT)

    assert len(tries) == 4
    assert pauses == [2, 2, 4]


def test_a_mail_that_cannot_be_sent_fails_no_request_and_is_told_without_its_text(api, failing, caplog, lane):
    fail, tries, _ = failing
    fail(99, smtplib.SMTPRecipientsRefused({"alice@example.com": (450, b"alice@example.com is greylisted")}))
    lane.after_commit(mail.send, MailTemplate.RESET_PASSWORD, "alice@example.com", **CONTEXT)
    connection.run_on_commit[-1][1]()
    lane._pool.shutdown()

    assert len(tries) == 4
    assert "A job failed." in caplog.text
    assert not [
        record for record in caplog.records if "alice" in str(vars(record)) or "token=a" in str(vars(record))
    ]


def test_a_job_runs_in_another_thread_after_the_commit(lane):
    done, threads = Event(), []

    def job():
        threads.append(get_ident())
        done.set()

    with transaction.atomic():
        lane.after_commit(job)
        assert not threads
    connection.run_on_commit[-1][1]()

    assert done.wait(10)
    assert threads != [get_ident()]


def test_a_full_queue_drops_a_job_and_says_so(lane, caplog):
    go_on, done = Event(), []

    def job(number):
        go_on.wait(10)
        done.append(number)

    for number in range(4):
        lane._enqueue(lambda number=number: job(number))
    go_on.set()
    lane._pool.shutdown()

    assert done == [0, 1]
    assert caplog.text.count("The queue is full") == 2


def test_a_place_in_the_queue_is_free_again_after_its_job(lane, caplog):
    for _ in range(5):
        done = Event()
        lane._enqueue(done.set)
        assert done.wait(10)
        lane._pool.submit(int).result(timeout=10)  # the one thread has finished the job

    assert not caplog.text


def test_a_job_that_fails_stops_no_other(lane, caplog):
    done = Event()
    lane._enqueue(lambda: 1 / 0)
    lane._enqueue(done.set)

    assert done.wait(10)
    lane._pool.shutdown()
    [record] = caplog.records
    assert (record.error, record.lane) == ("ZeroDivisionError", "test")
    assert "test_mail.py" in record.where[-1]


def test_a_user_who_is_gone_is_mailed_nothing(mailoutbox):
    user = make_user()
    entry = user.activity.create(event="roles:changed", at=timezone.now())
    User.objects.all().delete()
    entry.user_id = user.pk or 1

    mail.notify_owner(MailTemplate.ROLES_CHANGED, entry)

    assert mailoutbox == []
