"""The HTML pages: their language, their icon, and what they say of the settings."""

import re
from pathlib import Path

import pytest
from django.utils.translation import gettext, override, pgettext

from api.http.languages import of_page

ROOT = Path(__file__).parents[2]

PAGES = ["/", "/api/docs", "/reset-password", "/verify-email", "/invitation"]
TEMPLATES = sorted((ROOT / "api/templates/api").rglob("*.html"))
SCRIPTS = sorted((ROOT / "api/static/api").rglob("*.js"))
SAME_IN_GERMAN = {"Admin", "Claims", "Code", "Generation {number}", "Header", "Moderator", "Name", "User"}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"), ("de-AT,en;q=0.5", "de"), ("en-GB,de;q=0.5", "en"), ("fr,de;q=0.1", "de"), ("fr", "en"),
        ("", "en"), ("*", "en"), ("\x00", "en"),
    ],
)  # fmt: skip
def test_a_page_is_in_the_language_of_the_browser(client, path, header, language):
    response = client.get(path, headers={"Accept-Language": header})

    assert response.status_code == 200
    assert f'<html lang="{language}">' in response.content.decode()
    assert response["Content-Language"] == language
    assert "accept-language" in response["Vary"].lower()


def test_a_browser_without_a_supported_language_gets_the_default_one(client, settings, rf):
    settings.LANGUAGE_CODE = "de"
    assert '<html lang="de">' in client.get("/", headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="en">' in client.get("/", headers={"Accept-Language": "en"}).content.decode()

    settings.LANGUAGE_CODE = "pt-br"  # for which these pages have no texts
    assert of_page(rf.get("/")) == "en"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_title_and_an_icon(client, path):
    page = client.get(path).content.decode()

    assert re.search(r"<title>[^<]+</title>", page)
    assert '<link rel="icon" href="/favicon.ico"' in page


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_every_text_of_the_pages_has_a_german_translation(template):
    pattern = r'{% translate (?:"([^"]+)"|\'([^\']+)\')(?: context "(\w+)")?'
    source = template.read_text()
    texts = [(double or single, context) for double, single, context in re.findall(pattern, source)]
    blocks = re.findall(r"{% blocktranslate(?: with [^%]+)? %}(.+?){% endblocktranslate %}", source)
    texts += [(re.sub(r"{{ (\w+) }}", r"%(\1)s", block), "") for block in blocks]

    with override("de"):
        same = {text for text, context in texts if (pgettext(context, text) if context else gettext(text)) == text}

    assert same <= SAME_IN_GERMAN


def test_every_text_that_a_script_uses_is_in_the_page(client):
    page = client.get("/").content.decode()
    available = set(re.findall(r'data-text="(\w+)"', page))
    sources = "".join(script.read_text() for script in SCRIPTS)

    assert set(re.findall(r'\btext\("(\w+)"', sources)) <= available


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("open", "Create the account"),
        ("invited", "You need an invitation to create an account."),
        ("closed", "Accounts cannot be created here."),
    ],
)
def test_the_start_page_says_whether_and_why_nobody_can_sign_up(client, override_auth, mode, expected):
    override_auth(signup=mode)

    page = client.get("/").content.decode()

    assert expected in page
    assert ('id="sign-up"' in page) == (mode == "open")
    assert ("AUTH_SIGNUP" in page) == (mode != "open")


def test_the_icon_is_cached(client):
    response = client.get("/favicon.ico")

    assert (response.status_code, response["Content-Type"]) == (200, "image/x-icon")
    assert response["Cache-Control"] == "public, max-age=604800"
    assert response.content.startswith(b"\0\0\1\0")
    assert client.head("/favicon.ico").status_code == 200
    assert client.post("/favicon.ico").status_code == 405
