"""A mailbox has one account, however its address is spelled; an address that no email reaches is refused."""

import idna
import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from accounts.models import User
from accounts.users.importing import import_accounts
from accounts.values.identifiers import validate_email_address, validate_username
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user, password_hash

ASCII = "alice@xn--bcher-kva.example"
SPELLINGS = [
    "alice@bücher.example",
    "alice@bu\u0308cher.example",
    "ALICE@BÜCHER.EXAMPLE",
    "alice@XN--BCHER-KVA.example",
    "alice＠bücher.example",
    "alice@bücher。example",
    "alice@bücher．example",
    " ａlice@bücher.example ",
    ASCII,
]
INVISIBLE = [
    *"\u00ad\u034f\u061c\u115f\u180e\u200b\u200d\u200e\u202e\u2060\u2066\u3164\ufe0f\ufeff",
    *"\U000e0041\U000e0100\U0001d173",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_domain_is_stored_in_one_form_and_finds_the_account(api, spelling, assert_refused):
    stored = api.sign_up("alice", email=spelling).json()["email"]

    assert (stored.lower(), stored.partition("@")[2]) == (ASCII, "xn--bcher-kva.example")
    for other in SPELLINGS:
        assert_refused(api.sign_up("another", email=other), 400, "email_taken")
        assert api.sign_in(other).json()["username"] == "alice"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", ["password/reset", "email/verify/resend"])
def test_an_email_is_sent_to_the_one_form(api, mailoutbox, spelling, path):
    make_user("alice", email=ASCII)

    assert api.post(f"/api/auth/{path}", {"email": spelling}).status_code == 202

    assert [mail.to for mail in mailoutbox] == [[ASCII]]


def test_spellings_of_a_domain_share_the_limit_of_the_recipient(api, override_auth, mailoutbox):
    from accounts.conf import Limit  # noqa: PLC0415

    override_auth(account_limit=Limit(2, 60))
    make_user("alice", email=ASCII)

    for spelling in SPELLINGS:
        assert api.post("/api/auth/password/reset", {"email": spelling}).status_code == 202

    assert len(mailoutbox) == 2


def test_a_domain_with_sharp_s_is_not_the_domain_with_two_s(api, mailoutbox):
    api.sign_up("alice", email="alice@straße.example")

    assert [mail.to for mail in mailoutbox] == [["alice@xn--strae-oqa.example"]]
    assert api.sign_up("bob", email="alice@strasse.example").status_code == 201


def test_another_spelling_of_the_own_address_is_no_change(signed_in, events):
    User.objects.update(email=ASCII, email_key=ASCII)

    response = signed_in.patch("/api/auth/me", {"email": SPELLINGS[0]}, signed_in.access_token)

    assert response.json()["email"] == ASCII
    assert "email:changed" not in [event["event"] for event in events()]


def test_a_profile_change_stores_the_one_form(clock):
    alice = SignedIn(make_user("alice").username)

    assert alice.patch("/api/auth/me", {"email": SPELLINGS[0]}, alice.access_token).json()["email"] == ASCII


def test_an_import_stores_the_one_form_and_refuses_a_second_spelling():
    fields = [{"username": f"u{n}", "email": SPELLINGS[n], "password": password_hash()} for n in (0, 1)]

    results = list(import_accounts([{"pk": n, "fields": one} for n, one in enumerate(fields)], {}, batch_size=9))

    assert User.objects.get().email == ASCII
    assert [bool(result.refusal) for result in results] == [False, True]


def test_the_admin_stores_the_one_form(admin_client):
    form = {"username": "alice", "email": SPELLINGS[0], "password1": PASSWORD, "password2": PASSWORD,
            "usable_password": "true"}  # fmt: skip

    admin_client.post("/admin/accounts/user/add/", form)

    assert User.objects.get(username="alice").email == ASCII
    page = admin_client.post("/admin/accounts/user/add/", {**form, "username": "bob", "email": SPELLINGS[1]})
    assert b"Another account has this email already." in page.content
    for term in (SPELLINGS[0], ASCII, "alice@xn--b", "alice@"):
        assert b"alice@xn--" in admin_client.get("/admin/accounts/user/", {"q": term}).content


def test_createsuperuser_stores_the_one_form(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    call_command("createsuperuser", interactive=False, username="root", email=SPELLINGS[0], verbosity=0)

    assert User.objects.get().email == ASCII


REFUSED = [
    "ıvan@example.com",
    "jörg@example.com",
    "İvan@example.com",
    '"alice"@example.com',
    "alice@[127.0.0.1]",
    "alice@[IPv6:::1]",
    "alice@example.com.",
    "alice@xn--abc.example",
    "alice@i❤.ws",
    "alice@bü..example",
    "alice@" + "ü" * 60 + ".example",
    *(f"alice@exa{char}mple.com" for char in INVISIBLE),
    *(f"al{char}ice@example.com" for char in INVISIBLE),
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_cannot_be_mailed_is_refused_everywhere(api, assert_refused, address):
    alice = SignedIn(make_user("alice").username)

    for response in (
        api.sign_up("bob", email=address),
        api.post("/api/auth/password/reset", {"email": address}),
        api.post("/api/auth/email/verify/resend", {"email": address}),
        alice.patch("/api/auth/me", {"email": address}, alice.access_token),
    ):
        assert_refused(response, 400, "invalid_request")
        assert response.json()["errors"]["email"]
    fields = {"username": "carol", "email": address, "password": password_hash()}
    [result] = import_accounts([{"pk": 1, "fields": fields}], {}, batch_size=1)
    assert "email" in result.refusal


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("ıvan@example.com", "email_local_part"),
        ("a@exa\ufe0fmple.com", "email_characters"),
        ("a@[::1]", "email_domain"),
    ],
)
def test_the_message_says_which_part_of_an_address_is_wrong(address, code):
    with pytest.raises(ValidationError) as refusal:
        validate_email_address(address)

    assert refusal.value.code == code


@pytest.mark.parametrize("char", INVISIBLE)
def test_a_username_with_an_invisible_character_is_refused(char):
    with pytest.raises(ValidationError):
        validate_username(f"al{char}ice")


def test_every_character_that_is_not_rendered_is_refused_in_usernames_and_addresses():
    ignored = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and _is_ignored(chr(code))]

    assert len(ignored) > 250
    for char in ignored:
        for validate, text in (
            (validate_username, f"al{char}ice"),
            (validate_email_address, f"a@exa{char}mple.com"),
        ):
            with pytest.raises(ValidationError):
                validate(text)


def _is_ignored(char):
    """Return whether UTS #46 drops the character: an independent list of what is not rendered."""
    try:
        return idna.uts46_remap(char) == ""
    except idna.IDNAError:
        return False


def test_an_account_with_an_address_older_than_the_rules_stays_usable(api, admin_client):
    user = make_user("alice", email="a@exa\ufe0fmple.com")
    User.objects.filter(pk=user.pk).update(email="ıvan@example.com", email_key="ıvan@example.com")

    assert api.sign_in("ıvan@example.com").json()["username"] == "alice"
    edit = {
        "username": "alice",
        "email": "ıvan@example.com",
        "fullname": "Ivan",
        "is_active": "on",
        "roles": "user",
    }
    admin_client.post(f"/admin/accounts/user/{user.pk}/change/", edit)
    user.refresh_from_db()
    assert (user.fullname, user.email) == ("Ivan", "ıvan@example.com")


@pytest.mark.parametrize("address", ["a@under_score.example", "a@r3---sn.example", "a@localhost"])
def test_an_ascii_domain_is_judged_by_django_alone(address):
    validate_email_address(address)
