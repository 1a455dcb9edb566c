"""docs/security.md and docs/asvs.md name tests, modules and requirements: all of them are there, and each once."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "docs/security.md"
ASVS = ROOT / "docs/asvs.md"
PAGES = (SECURITY, ASVS, ROOT / "SECURITY.md")

# OWASP ASVS 5.0.0: of each section, the level of each requirement.
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
def defined(path):
    """List the names of a file's tests, those in classes with the class before them."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page):
    named = TEST.findall(page.read_text())

    assert [f"{path}::{name}" for path, name in named if name not in defined(path)] == []


@pytest.mark.parametrize("page", [SECURITY, ASVS], ids=lambda page: page.name)
def test_tests_are_named_in_one_way(page):
    """What is spelled otherwise would not be looked for."""
    text = page.read_text()

    assert len(TEST.findall(text)) == len(re.findall(r"::test_|::Test", text)) - len(
        re.findall(r"::Test\w+::test_", text)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    text = page.read_text()
    links = [link.partition("#")[0] for link in LINK.findall(text) if not link.startswith("https://")]

    assert [path for path in FILE.findall(text) if not (ROOT / path).exists()] == []
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [SECURITY, ASVS], ids=lambda page: page.name)
def test_every_heading_that_is_linked_to_exists(page):
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if anchor and not link.startswith("https://"):
            headings = re.findall(r"^#+ (.+)$", ((page.parent / target) if target else page).read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_requirement_stands_there_once_at_its_level():
    shown = [(cells[0], cells[1]) for cells in rows()]

    assert shown == list(REQUIREMENTS.items())


def test_each_says_how_it_is_met_or_what_is_missing():
    for number, _, short, state, how in rows():
        assert short, number
        assert state in STATES, number
        assert len(how) >= len("none"), number


def test_what_is_met_at_level_1_is_shown_by_a_test_or_lacks_what_it_is_about():
    without = {
        number for number, level, _, state, how in rows() if level == "1" and state == "met" and "::" not in how
    }

    # Documentation of rules, no secret questions, and that nothing is encrypted.
    assert without == {"6.4.2", "8.1.1", "11.3.1", "11.3.2"}


def test_what_of_level_1_and_2_is_not_whole_is_named_at_the_top():
    top = ASVS.read_text().partition("\n## ")[0]
    lacking = {number for number, level, _, state, _ in rows() if level != "3" and state in {"partly", "not met"}}

    assert lacking == set(re.findall(r"\d+\.\d+\.\d+", top.partition("At levels 1 and 2")[2]))


def test_the_numbers_at_the_top_are_those_of_the_tables():
    counted = {}
    for _, level, _, state, _ in rows():
        counted[level, state] = counted.get((level, state), 0) + 1
    states = ("met", "partly", "not met", "operator", "n/a")

    for level in "123":
        shown = " | ".join(str(counted.get((level, state), 0)) for state in states)
        assert f"| {level} | {shown} |" in ASVS.read_text()
