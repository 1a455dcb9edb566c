"""Human-readable descriptions of devices, derived from the User-Agent header."""

import re
from functools import cache

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy
from ua_parser import Domain, Parser, load_lazy_builtins

UNKNOWN = "Unknown device"

# Emails name only these: a client can put any text into its User-Agent header.
_WELL_KNOWN_BROWSERS = frozenset({
    "Chrome", "Firefox", "Safari", "Edge", "Opera", "Samsung Internet", "Vivaldi", "Brave", "DuckDuckGo", "IE",
    "Chromium", "Headless Chrome", "curl", "Wget", "okhttp", "axios", "Python Requests", "Go-http-client", "Dart",
    "PostmanRuntime",
})  # fmt: skip
_WELL_KNOWN_SYSTEMS = frozenset({
    "Windows", "macOS", "Linux", "Ubuntu", "Debian", "Fedora", "Android", "iOS", "iPadOS", "Chrome OS", "FreeBSD",
})  # fmt: skip

_MAX_LENGTH = 60  # characters
_ALIASES = {"Mac OS X": "macOS", "HeadlessChrome": "Headless Chrome"}


def describe(user_agent: str) -> str:
    """Return the browser or app and the operating system, without versions: "Firefox on Linux".

    The text comes from a header that anyone can forge. The description has at most 60 characters and contains no
    dot, colon or slash, so that no email client or page turns it into a link.
    """
    browser, system = _parse(user_agent)
    return _join(browser, system)


def describe_common(user_agent: str) -> str | Promise:
    """Return a description that names only well-known software, so that a client cannot choose the text.

    It is in the language that is active when it is rendered.
    """
    browser, system = _parse(user_agent)
    known_browser = browser if browser in _WELL_KNOWN_BROWSERS else ""
    known_system = system if system in _WELL_KNOWN_SYSTEMS else ""
    if known_browser and known_system:
        return format_lazy(gettext_lazy("{browser} on {system}"), browser=known_browser, system=known_system)
    return known_browser or known_system or gettext_lazy(UNKNOWN)


@cache
def load_patterns() -> Parser:
    """Return the parser of User-Agent headers, which compiles its patterns when it is created.

    The patterns of hardware models are left out: nothing here names a model, and they take more than half of the
    time and of the memory.
    """
    browsers, systems, _ = load_lazy_builtins()
    return Parser.from_matchers((browsers, systems, []))


def _parse(user_agent: str) -> tuple[str, str]:
    parsed = load_patterns()(user_agent, Domain.USER_AGENT | Domain.OS)
    browser = _display_name(parsed.user_agent.family) if parsed.user_agent else _first_word(user_agent)
    return browser, _display_name(parsed.os.family) if parsed.os else ""


def _join(browser: str, system: str) -> str:
    return " on ".join(filter(None, (browser, system)))[:_MAX_LENGTH] or UNKNOWN


def _first_word(user_agent: str) -> str:
    return _display_name(re.split(r"[/\s(]", user_agent.strip(), maxsplit=1)[0])


def _display_name(name: str) -> str:
    known = _ALIASES.get(name, name)
    words = re.sub(r"[^\w()+-]|\bMobile\b", " ", known)
    return " ".join(words.split())
