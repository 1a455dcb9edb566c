"""The two parts of every email, plain and HTML: what they contain, and how they look."""

import re
from email import message_from_bytes, policy
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.history import mail, mail_text
from accounts.history.mail import MailTemplate
from accounts.models import User
from accounts.users import passwords
from accounts.values.clients import NO_CLIENT
from accounts.values.devices import describe_common
from tests.conftest import SignedIn
from tests.factories import make_administrator

LINK = "https://auth.example.com/x#token=a:b:c"
CONTEXT = {
    "minutes": 10, "days": 7, "granted": ["admin"], "taken": ["moderator"], "kind": "totp", "left": 3,
    "at": timezone.now(),
    "device": describe_common("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    "address": "192.0.2.7",
}  # fmt: skip
WITH_LINK = {
    MailTemplate.VERIFY_EMAIL: "Verify the address",
    MailTemplate.INVITATION: "Create your account",
    MailTemplate.RESET_PASSWORD: "Choose a new password",
    MailTemplate.RESET_FORCED: "Choose a new password",
}
PAGES_CSS = Path(__file__).parents[2] / "api" / "static" / "api" / "pages.css"


class Html(HTMLParser):
    """The elements and the text of a document."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.pieces, self.buttons = [""], [{}], [], {}
        self.feed(source)
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        if self.tags[-1] == "a" and data.strip():
            self.buttons.setdefault(self.attributes[-1]["href"], []).append(data.strip())
        if self.tags[-1] != "style":
            self.pieces.append(data)


@pytest.fixture(params=MailTemplate)
def template(request):
    return request.param


@pytest.fixture
def sent(template, mailoutbox):
    """Return a function that sends the email, with a link if it has one, and returns it with its parsed HTML."""

    def send(language="en", **context):
        link = {"link": LINK} if template in WITH_LINK else {}
        mail.send(template, "alice@example.com", language=language, **{**CONTEXT, **link, **context})
        return mailoutbox[-1], Html(mailoutbox[-1].alternatives[0][0])

    return send


def test_every_email_has_a_plain_and_an_html_part_in_the_same_language(sent):
    for language in ("en", "de"):
        message, html = sent(language)
        source = message_from_bytes(message.message().as_bytes(), policy=policy.default)

        assert source.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in source.iter_parts()] == ["text/plain", "text/html"]
        assert source["Content-Language"] == language
        assert source["Auto-Submitted"] == "auto-generated"
        assert [tag["lang"] for tag in html.attributes if "lang" in tag] == [language, language]


def test_the_html_part_has_the_text_of_the_plain_part_under_the_subject(sent):
    message, html = sent()

    assert re.fullmatch(r"[A-Z][\w -]{10,60}", message.subject)
    assert re.findall(r"<h1[^>]*>(.*)</h1>", message.alternatives[0][0]) == [message.subject]
    assert message.subject not in message.body
    for paragraph in message.body.strip().split("\n\n"):
        assert " ".join(paragraph.split()) in html.text


def test_every_email_is_translated(sent):
    english, german = sent("en")[0], sent("de")[0]

    assert english.subject != german.subject
    assert set(english.body.splitlines()) & set(german.body.splitlines()) <= {LINK, ""}


def test_devices_are_named_in_the_language_of_the_email(mailoutbox):
    for device in (CONTEXT["device"], describe_common("")):
        mail.send(MailTemplate.NEW_DEVICE, "alice@example.com", language="de", **{**CONTEXT, "device": device})

    assert "Gerät: Firefox unter Linux" in mailoutbox[0].body
    assert "Gerät: Unbekanntes Gerät" in mailoutbox[1].body


def test_an_email_with_a_link_has_one_button_and_the_address_as_text(sent, template):
    message, html = sent()

    expected = {LINK: [WITH_LINK[template], LINK]} if template in WITH_LINK else {}
    assert html.buttons == expected
    assert message.body.splitlines().count(LINK) == len(expected)


def test_the_html_part_loads_nothing(sent):
    source = sent()[0].alternatives[0][0].replace(LINK, "")

    assert not re.search(r"https?:|//|\bsrc\b|url\(|<img|<script|<link|<iframe|@import", source)


def test_the_preview_in_a_list_of_emails_is_the_first_paragraph(sent):
    message, html = sent()

    first = " ".join(message.body.partition("\n\n")[0].split())
    assert html.text.removeprefix(message.subject).strip().startswith(f"{first} {message.subject} {first}")


def test_the_html_part_has_the_colors_and_the_font_of_the_pages(sent):
    light_of_pages, dark_of_pages = PAGES_CSS.read_text().split("@media", 1)
    source = sent()[0].alternatives[0][0].replace("#ffffff", "#fff").replace(LINK, "")
    dark, light = source[source.index("@media") : source.index("</style>")], source[source.index("</style>") :]

    assert _colors(light) <= _colors(light_of_pages)
    assert _colors(dark) <= _colors(dark_of_pages.partition("* {")[0])
    [font_of_pages] = re.findall(r"--sans: ([^;]+);", PAGES_CSS.read_text())
    fonts = re.findall(r"font: (?!inherit)(?:550 )?\S+ ([^;]+);", source)
    assert {font.replace("'", '"') for font in fonts} == {font_of_pages}


def test_without_a_style_sheet_only_dark_colors_are_lost(sent):
    source = sent()[0].alternatives[0][0]
    rules = dict(re.findall(r"\.([\w-]+) \{ (.+) \}", source))

    styled = [tag for tag in Html(source).attributes if "class" in tag]
    assert len(styled) > 5
    for tag in styled:
        for name in tag["class"].split():
            changed = {rule.split(":")[0].removesuffix("-color") for rule in rules[name].split("; ")}
            assert all(re.search(rf"(^|; ){each}[\w-]*:", tag.get("style", "")) for each in changed), tag


def test_lines_of_the_plain_part_are_wrapped(sent):
    for language in ("en", "de"):
        lines = sent(language)[0].body.replace(LINK, "link").splitlines()

        assert max(map(len, lines)) <= mail_text.LINE_LENGTH
        assert ("", "") not in pairwise(lines)


@pytest.mark.parametrize(
    "hostile", ["<b>bold</b>", '"><script>alert(1)</script>', "' onclick='x", "</td></table><a href=//e.example>"]
)
def test_markup_in_a_value_is_shown_as_text(sent, hostile):
    _, html = sent()
    values = {"device": hostile, "address": hostile, "granted": [hostile], "taken": [hostile]}
    message, attacked = sent(**values)

    assert attacked.tags == html.tags
    assert [tag.keys() for tag in attacked.attributes] == [tag.keys() for tag in html.attributes]
    assert (hostile in message.body.replace("\n", " ")) == (" ".join(hostile.split()) in attacked.text)


def test_no_email_about_an_account_contains_what_its_owner_chose_or_a_secret_without_need(
    api, clock, mailoutbox, mailed_token
):
    """Otherwise an account with another person's address could send that person any text."""
    api.sign_up("evil.example", email="victim@example.com", fullname="Visit http://evil.example <b>now</b>")
    api.post("/api/auth/email/verify", {"token": mailed_token()})
    SignedIn("evil.example", HTTP_USER_AGENT="evil.example/1.0 (http://evil.example)", REMOTE_ADDR="192.0.2.1")
    phone = SignedIn("evil.example", HTTP_USER_AGENT="<b>evil</b>", REMOTE_ADDR="198.51.100.9")
    for _ in range(2):
        phone.refresh(phone.refresh_token)
        clock.advance(minutes=1)
    phone.refresh(phone.refresh_token)
    call_command("grantrole", "evil.example", "admin", stdout=None)
    api.post("/api/auth/password/reset", {"email": "victim@example.com"})
    changing = SignedIn("evil.example")
    changing.patch("/api/auth/me", {"email": "other@example.com"}, changing.access_token)
    passwords.force_reset(User.objects.get(), NO_CLIENT, by=make_administrator().pk)

    texts = {message.subject: message.message().as_string().partition("\n\n")[2] for message in mailoutbox}
    assert len(texts) > 6
    assert not [subject for subject, text in texts.items() if "evil" in text]
    with_token = {subject for subject, text in texts.items() if "token=" in text}
    assert with_token == {"Verify your email address", "Reset your password", "Choose a new password"}


def test_a_paragraph_of_labels_and_values_is_a_table():
    [first, second] = mail_text.paragraphs("Time: 10:00\nIP address: ::1\n\nOpen this link:\nnow", "")

    assert first.facts == (("Time:", "10:00"), ("IP address:", "::1"))
    assert (second.facts, second.lines) == ((), ("Open this link:", "now"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"Open this:\n\n{LINK}\n\nBye", [("Open this:",), (), ("Bye",)]),
        (f"Open this:\n{LINK}\n\nBye", [("Open this:",), ("Bye",)]),
        (f"Open {LINK} now\n\nBye", [(f"Open {LINK} now",), ("Bye",)]),
    ],
    ids=["in a paragraph of its own", "in a line of its own", "in a sentence"],
)
def test_the_button_is_where_a_project_has_put_the_link(text, lines):
    found = mail_text.paragraphs(text, LINK)

    assert [paragraph.lines for paragraph in found] == lines
    assert [paragraph.has_link for paragraph in found].count(True) == 1


def _colors(source):
    return set(re.findall(r"#[0-9a-f]{3,6}\b", source))
