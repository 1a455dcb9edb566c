"""docs/security.md and docs/asvs.md: every test, file, heading and requirement that they name exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "docs/security.md"
ASVS = ROOT / "docs/asvs.md"
PAGES = (SECURITY, ASVS, ROOT / "SECURITY.md")

# OWASP ASVS 5.0.0: per section, the levels of its requirements in order.
LEVELS = {
    "2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
    "3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3", "3.7": "22333",
    "4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
    "6.1": "122", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333", "6.6": "2223",
    "6.7": "33", "6.8": "2222",
    "7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
    "8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23",
    "9.1": "111", "9.2": "1222",
    "10.1": "22", "10.2": "223", "10.3": "22223", "10.4": "1111122222233333", "10.5": "22222", "10.6": "22",
    "10.7": "222",
    "11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23", "11.7": "33",
    "12.1": "12233", "12.2": "11", "12.3": "22223",
    "13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233",
    "14.1": "22", "14.2": "12223333", "14.3": "122",
    "15.1": "1", "15.2": "1", "15.3": "1",  # of this chapter, level 1 only
    "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
}  # fmt: skip
REQUIREMENTS = {
    f"{section}.{number}": level for section, levels in LEVELS.items() for number, level in enumerate(levels, 1)
}
STATES = {"met", "partly", "not met", "operator", "n/a"}

TEST = re.compile(r"`(tests/[\w/]*test_\w+\.py)::([\w:]+)`")
FILE = re.compile(r"`((?:accounts|api|authproject|benchmarks|tests)/[\w./-]+\.\w+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def rows():
    for line in ASVS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.fullmatch(r"\d+\.\d+\.\d+", cells[0]):
            yield cells


@cache
def defined_names(path):
    """Return the names of all functions in a test file; methods as Class::name."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{member.name}" for member in node.body if isinstance(member, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_test_exists(page):
    references = TEST.findall(page.read_text())

    assert [f"{path}::{name}" for path, name in references if name not in defined_names(path)] == []


@pytest.mark.parametrize("page", [SECURITY, ASVS], ids=lambda page: page.name)
def test_every_mention_of_a_test_is_written_as_file_and_name(page):
    """The test above finds no other notation."""
    text = page.read_text()

    assert len(TEST.findall(text)) == len(re.findall(r"::test_|::Test", text)) - len(
        re.findall(r"::Test\w+::test_", text)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_exists(page):
    text = page.read_text()
    links = [link.partition("#")[0] for link in LINK.findall(text) if not link.startswith("https://")]

    assert [path for path in FILE.findall(text) if not (ROOT / path).exists()] == []
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [SECURITY, ASVS], ids=lambda page: page.name)
def test_every_linked_heading_exists(page):
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if anchor and not link.startswith("https://"):
            headings = re.findall(
                r"^#+ (.+)$", ((page.parent / target) if target else page).read_text(), re.MULTILINE
            )
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_asvs_requirement_is_listed_once_with_its_level():
    listed = [(cells[0], cells[1]) for cells in rows()]

    assert listed == list(REQUIREMENTS.items())


def test_every_requirement_has_a_state_and_says_how_it_is_met_or_what_is_missing():
    for number, _, requirement, state, reason in rows():
        assert requirement, number
        assert state in STATES, number
        assert len(reason) >= len("none"), number


def test_every_met_requirement_of_level_1_names_a_test_unless_none_is_possible():
    without_test = {
        number
        for number, level, _, state, reason in rows()
        if level == "1" and state == "met" and "::" not in reason
    }

    # They are about documentation, the absence of secret questions, and the absence of encryption.
    assert without_test == {"6.4.2", "8.1.1", "11.3.1", "11.3.2"}


def test_the_introduction_names_every_unmet_requirement_of_levels_1_and_2():
    introduction = ASVS.read_text().partition("\n## ")[0]
    unmet = {number for number, level, _, state, _ in rows() if level != "3" and state in {"partly", "not met"}}

    assert unmet == set(re.findall(r"\d+\.\d+\.\d+", introduction.partition("At levels 1 and 2")[2]))


def test_the_counts_in_the_introduction_match_the_tables():
    counts = {}
    for _, level, _, state, _ in rows():
        counts[level, state] = counts.get((level, state), 0) + 1
    states = ("met", "partly", "not met", "operator", "n/a")

    for level in "123":
        listed = " | ".join(str(counts.get((level, state), 0)) for state in states)
        assert f"| {level} | {listed} |" in ASVS.read_text()


def test_every_severity_of_a_vulnerability_has_a_time_frame():
    section = (ROOT / "SECURITY.md").read_text().partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    days = {
        severity: int(days)
        for severity, days in re.findall(r"^\| (\w+) \([^|]+\| (\d+) \|$", section, re.MULTILINE)
    }

    assert list(days) == ["critical", "high", "medium", "low"]
    assert list(days.values()) == sorted(days.values())
    assert re.search(r"updated at least every \d+ days", section)
