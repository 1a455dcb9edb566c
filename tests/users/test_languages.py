"""The language of emails: chosen at sign-up or from Accept-Language, changed in the profile, and used in every email."""

from threading import Thread

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.utils import timezone, translation

from accounts.history import mail
from accounts.history.mail import MailTemplate
from accounts.models import User
from accounts.users import email_verification
from accounts.values import languages
from accounts.values.languages import choose
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user

ME = "/api/auth/me"
VERIFY = "Bestätigen Sie Ihre E-Mail-Adresse"


def test_the_supported_languages_are_the_default_one_and_those_with_translations(settings, tmp_path):
    assert languages.supported() == ("en", "de")

    settings.LANGUAGE_CODE = "pt-br"
    assert languages.supported() == ("pt-br", "de", "en")

    (tmp_path / "fr" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "fr" / "LC_MESSAGES" / "django.mo").touch()
    settings.LOCALE_PATHS = [tmp_path]
    assert languages.supported() == ("pt-br", "de", "en", "fr")

    settings.LANGUAGES = [("fr", "French")]
    assert languages.supported() == ("pt-br", "fr")


@pytest.mark.parametrize(
    ("preferred", "chosen"),
    [
        (["de"], "de"), (["DE-at"], "de"), (["fr", "de"], "de"), (["en-GB", "de"], "en"), (["zh-Hans-CN"], ""),
        (["*"], ""), ([], ""), (["d"], ""),
    ],
)  # fmt: skip
def test_the_first_preferred_language_that_is_supported_is_chosen(preferred, chosen):
    assert choose(preferred) == chosen


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("fr;q=0.9, en;q=0.2, de-CH;q=0.8", "de"),
        ("de;q=0, en", "en"),
        ("fr", ""),
        ("*", ""),
        ("", ""),
        ("de;q=x", ""),
        ("\x00", ""),
        ("de, " * 5000, "de"),
    ],
)
def test_a_sign_up_stores_the_language_of_the_browser(api, header, language):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}

    response = api.post("/api/auth/signup", body, **{"Accept-Language": header})

    assert response.status_code == 201
    assert User.objects.get().language == language


def test_the_language_in_the_body_overrides_that_of_the_browser(api, mailoutbox):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD, "language": "de"}

    assert api.post("/api/auth/signup", body, **{"Accept-Language": "en"}).status_code == 201
    assert User.objects.get().language == "de"
    assert mailoutbox[0].subject == VERIFY


@pytest.mark.parametrize("language", ["", "fr", "klingon", "DE", "de ", "ｄｅ", "\0", "x" * 300, 7, ["de"]])
def test_an_unsupported_language_is_refused(api, assert_refused, language):
    response = api.sign_up("alice", language=language)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["language"]
    assert not User.objects.exists()

    make_user("bob")
    bob = SignedIn("bob")
    assert_refused(bob.patch(ME, {"language": language}, bob.access_token), 400, "invalid_request")
    assert User.objects.get().language == ""


def test_a_user_can_change_the_language_without_a_recent_authentication(signed_in, clock, mailoutbox):
    clock.advance(minutes=10)

    response = signed_in.patch(ME, {"language": "de"}, signed_in.access_token)

    assert (response.status_code, response.json()["language"]) == (200, "de")
    assert signed_in.get(ME, signed_in.access_token).json()["language"] == "de"
    assert signed_in.activity()[0]["details"] == {"names": ["language"]}
    assert (
        SignedIn(User.objects.get().username)
        .patch(ME, {"language": None}, signed_in.access_token)
        .json()["language"]
        == "de"
    )


def test_a_user_without_a_language_gets_emails_in_the_default_one(signed_in, settings, mailoutbox):
    settings.LANGUAGE_CODE = "de"

    assert signed_in.get(ME, signed_in.access_token).json()["language"] == "de"
    email_verification.send_link(User.objects.get())
    assert mailoutbox[-1].subject == VERIFY


def test_every_email_to_a_user_is_in_the_language_of_the_user(api, override_auth, mailoutbox, admin_client):
    """Whatever the language of the thread that renders it, which may be a request of an administrator."""
    override_auth(unverified_signin=False, hide_known_email=True)
    alice = make_user("alice", language="de", email_verified_at=timezone.now())
    with translation.override("en"):
        api.post("/api/auth/password/reset", {"email": alice.email})
        api.sign_up("other", email=alice.email, language="en")
        call_command("grantrole", "alice", "admin")
        signed_in = SignedIn("alice", **{"User-Agent": "another"})
        body = {"currentPassword": PASSWORD, "newPassword": "another horse staple"}
        signed_in.post("/api/auth/password/change", body, signed_in.access_token)
        admin_client.post(f"/admin/accounts/user/{alice.pk}/reset/", {"confirmed": "1"})
        User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD))
        signed_in = SignedIn("alice")
        signed_in.patch(ME, {"email": "new@example.com"}, signed_in.access_token)

    to_alice = [message for message in mailoutbox if message.to in ([alice.email], ["new@example.com"])]
    assert len(to_alice) >= 7
    for message in to_alice:
        assert '<html lang="de">' in message.alternatives[0][0]
    assert translation.get_language() == "en"


def test_an_email_that_another_thread_renders_is_in_the_language_of_the_user(mailoutbox):
    arguments = (MailTemplate.RESET_FORCED, "alice@example.com")
    thread = Thread(target=mail.send, args=arguments, kwargs={"language": "de", "link": "x", "minutes": 10})
    thread.start()
    thread.join()

    assert mailoutbox[0].subject == "Neues Passwort wählen"


def test_an_administrator_can_change_the_language(admin_client):
    alice = make_user("alice")
    url = f"/admin/accounts/user/{alice.pk}/change/"
    form = {"username": "alice", "email": alice.email, "is_active": "on", "roles": ["user"]}

    admin_client.post(url, {**form, "language": "xx"})
    assert User.objects.get(pk=alice.pk).language == ""
    admin_client.post(url, {**form, "language": "de"})
    assert User.objects.get(pk=alice.pk).language == "de"
    admin_client.post(url, {**form, "language": ""})
    assert User.objects.get(pk=alice.pk).language == ""


def test_the_openapi_document_lists_the_languages(api):
    schemas = api.get("/api/schema").json()["components"]["schemas"]

    for name in ("SignUpInput", "ProfileInput"):
        assert schemas[name if name in schemas else f"Patched{name}"]["properties"]["language"]["enum"] == [
            "en",
            "de",
        ]
