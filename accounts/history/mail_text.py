"""The text of an email in two forms: wrapped lines for the plain part, and paragraphs for the HTML part."""

import re
import textwrap
from dataclasses import dataclass

LINE_LENGTH = 72
"""Characters of a line in the plain part, except for links. RFC 5322 section 2.1.1 recommends at most 78."""

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_FACT = re.compile(r"([^:\n]{1,30}:) +(\S.*)")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of the HTML part.

    It is shown as a table of `facts` (labels and values) if every line is "Label: value", and as `lines`
    otherwise. If it contains the link of the email, a button follows it. A line with only the link is left out.
    """

    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    has_link: bool


def wrap(text: str) -> str:
    """Return the text with lines of at most LINE_LENGTH, and one blank line between paragraphs.

    Words that are longer, such as links, are not broken.
    """
    return "\n".join(
        textwrap.fill(line, LINE_LENGTH, break_long_words=False, break_on_hyphens=False)
        for line in _PARAGRAPH_BREAK.sub("\n\n", text.strip()).splitlines()
    )


def paragraphs(text: str, link: str) -> list[Paragraph]:
    """Return the paragraphs of a text, which are separated by blank lines. `link` is empty if there is none."""
    return [_paragraph(part.strip(), link) for part in _PARAGRAPH_BREAK.split(text) if part.strip()]


def _paragraph(text: str, link: str) -> Paragraph:
    lines = tuple(line for line in map(str.strip, text.splitlines()) if line != link)
    matches = [_FACT.fullmatch(line) for line in lines]
    facts = tuple((match[1], match[2]) for match in matches if match)
    return Paragraph(lines, facts if len(facts) == len(lines) else (), bool(link) and link in text)
