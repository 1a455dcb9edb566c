"""The admin in German: every text that the admin contains has a translation, and the pages use it."""

import ast
import re
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation import gettext, ngettext

from accounts.history.events import DESCRIPTIONS
from accounts.models import EndReason, SessionKind, SessionState
from tests.conftest import SignedIn
from tests.factories import make_user

ACCOUNTS = Path(__file__).parents[2] / "accounts"
EQUAL_IN_GERMAN = {"Name", "Audience", "Code", "Filter", "Passkey", "code", "audience", "in {}"}
NUMBER_OF_PLURAL = {"ngettext": 0, "pluralize": 1}  # the position of the singular among the arguments


def texts_in_code():
    """Yield the singular and the plural of each translated text, or the text and None."""
    for path in (*(ACCOUNTS / "admin").glob("*.py"), ACCOUNTS / "sso" / "addresses.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            name = getattr(call.func, "id", "")
            arguments = [getattr(argument, "value", None) for argument in call.args]
            if name in {"_", "gettext"} and isinstance(arguments[0], str):
                yield arguments[0], None
            elif name in NUMBER_OF_PLURAL and isinstance(arguments[NUMBER_OF_PLURAL[name]], str):
                position = NUMBER_OF_PLURAL[name]
                yield arguments[position], arguments[position + 1]


def texts_in_templates():
    for path in (ACCOUNTS / "templates" / "admin").rglob("*.html"):
        page = path.read_text()
        for match in re.finditer(r"""{% translate (['"])(.*?)\1 %}""", page):
            yield match[2], None
        for match in re.finditer(r"{% blocktranslate[^%]*%}(.*?){% endblocktranslate %}", page):
            parts = re.sub(r"{{ (\w+) }}", r"%(\1)s", match[1]).split("{% plural %}")
            yield parts[0], parts[1] if parts[1:] else None


def texts():
    names = (
        *DESCRIPTIONS.values(),
        *EndReason.labels,
        *SessionState.labels,
        SessionKind.BROWSER.label,
        "open",
        "used",
        "expired",
        "revoked",
    )
    yield from texts_in_code()
    yield from texts_in_templates()
    yield from ((str(name), None) for name in names)


@pytest.fixture
def _german():
    with translation.override("de"):
        yield


@pytest.mark.usefixtures("_german")
def test_every_text_of_the_admin_is_translated():
    found = set(texts())
    untranslated = [
        text
        for text, plural in found
        if (gettext(text) if plural is None else ngettext(text, plural, 2)) in {text, plural}
        and text not in EQUAL_IN_GERMAN
    ]

    assert len(found) > 150
    assert untranslated == []


@pytest.mark.usefixtures("_german")
@pytest.mark.parametrize(
    ("path", "german"),
    [
        ("", [">Benutzer und Sitzungen<", ">Sicherheitsereignisse<", ">Gültig<"]),
        ("accounts/refreshtoken/", [">gültig<", "Zuletzt aktiv", "Nach Besitzer", ">gerade eben<"]),
        ("accounts/user/", [">aktiv<", "Benutzer hinzufügen", "Nach Rollen"]),
        ("accounts/activity/", [">Angemeldet<", "Gerät und IP-Adresse", "Nach Ereignis"]),
        ("accounts/user/add/", ["E-Mail-Adresse"]),
        ("accounts/refreshtoken/{session}/change/", ["Diese Sitzung widerrufen…", "Passwort eingegeben"]),
        ("accounts/refreshtoken/{session}/delete/", ["Sitzung …{end} von alice löschen"]),
    ],
)
def test_the_pages_are_german_where_that_is_the_language(admin_client, clock, path, german):
    make_user("alice")
    session = SignedIn("alice").claims.session_id

    page = admin_client.get(f"/admin/{path.format(session=session)}").content.decode()

    assert '<html lang="de"' in page
    for text in german:
        assert text.format(end=str(session)[-8:]) in page
    for text in re.findall(r">\s*([A-Z][a-z]+(?: [a-z]+)*)\s*<", page):
        assert text not in {"Sessions", "Users", "Services", "Invitations", "Created", "Owner", "State", "Cancel"}
