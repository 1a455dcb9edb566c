"""What a device is called, in words that a person reads."""

import re

from ua_parser import parse

UNKNOWN = "Unknown device"

_LONGEST = 60  # characters
_OTHER_NAMES = {"Mac OS X": "macOS", "HeadlessChrome": "Headless Chrome"}


def name_of(user_agent: str) -> str:
    """Name the browser or app and the system, as in "Firefox on Linux", without versions.

    The words come from a header that anyone can write. They are bounded, and hold no dot, colon or slash, so that
    no mail or page makes a link of them.
    """
    found = parse(user_agent)
    browser = _plain(found.user_agent.family) if found.user_agent else _first_word(user_agent)
    system = _plain(found.os.family) if found.os else ""
    return " on ".join(filter(None, (browser, system)))[:_LONGEST] or UNKNOWN


def _first_word(user_agent: str) -> str:
    return _plain(re.split(r"[/\s(]", user_agent.strip(), maxsplit=1)[0])


def _plain(name: str) -> str:
    known = _OTHER_NAMES.get(name, name)
    words = re.sub(r"[^\w()+-]|\bMobile\b", " ", known)
    return " ".join(words.split())
