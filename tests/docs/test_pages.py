"""All pages: generated pages are up to date, snippets are valid, and links, files and headings exist."""

import ast
import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from accounts.conf import AuthSettings
from docs import generate

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/decisions").glob("*.md")),
    *sorted((ROOT / "clients").glob("*/README.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
README = (ROOT / "README.md").read_text()
SNIPPET = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SNIPPETS = [
    pytest.param(language, text, id=f"{page.parent.name}/{page.name}-{number}")
    for page in PAGES
    for number, (language, text) in enumerate(SNIPPET.findall(page.read_text()))
]
NODE = shutil.which("node")


@pytest.mark.parametrize("path", ["docs/settings.md", "docs/http.md"])
def test_generated_pages_are_up_to_date(path):
    generated = generate.pages()[ROOT / path]

    assert (ROOT / path).read_text() == generated, f"{path} is not up to date: run `make docs`"


def test_the_readme_names_no_setting_and_links_to_the_page_of_settings():
    variables = {variable.name for variable in (*generate.auth_variables(), *generate.other_variables())}

    assert variables.isdisjoint(re.findall("[A-Z_]+", README))
    assert "docs/settings.md" in README


def test_every_setting_of_the_service_is_explained_where_it_is_declared():
    variables = generate.auth_variables()

    assert len(variables) == len(dataclasses.fields(AuthSettings))
    assert all(variable.meaning and variable.allowed for variable in variables)


def test_every_other_environment_variable_is_explained_where_it_is_read():
    source = (ROOT / "authproject/settings.py").read_text()
    read = set(re.findall(r"(?:read_\w+|env\.\w+)\(\s*(?:env, )?\"([A-Z_]+)\"", source)) - {"PUBLIC_URL"}
    variables = generate.other_variables()

    assert {variable.name for variable in variables} == read
    assert all(variable.meaning for variable in variables)


def test_every_error_code_is_in_the_reference_with_its_status():
    errors = (ROOT / "docs/http.md").read_text().partition("## Errors")[2]
    text = (ROOT / "tests/api/test_errors.py").read_text()
    contract = dict(re.findall(r'"(\w+)": (\d{3})', text))

    assert len(contract) > 20
    assert [code for code, status in contract.items() if f"| `{code}` | {status} |" not in errors] == []


@pytest.mark.parametrize(("language", "text"), SNIPPETS)
def test_every_snippet_has_valid_syntax(language, text, tmp_path):
    if language == "python":
        ast.parse(text)
    elif language == "json":
        json.loads(text)
    elif language == "sh":
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    elif language in {"js", "html"}:
        script = (
            text if language == "js" else re.search(r"<script type=\"module\">(.*)</script>", text, re.DOTALL)[1]
        )
        (tmp_path / "snippet.mjs").write_text(script)
        if NODE is None:
            pytest.skip("Node is not installed")
        subprocess.run([NODE, "--check", tmp_path / "snippet.mjs"], check=True)
    else:
        # tests/faults/test_pgbouncer.py executes the SQL, and tests/docs/test_single_sign_on.py runs Apache.
        assert language in {"apache", "mermaid", "text", "sql"}, f"no check for snippets in {language}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_the_page_and_heading_of_every_link_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        target, _, anchor = link.partition("#")
        if re.match("https?:", link):
            continue
        path = page.parent / target if target else page
        assert path.exists(), link
        headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {slug(heading) for heading in headings}, link


def test_every_page_is_in_the_index():
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text()))

    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_file_that_a_page_names_exists(page):
    named = re.findall(
        r"`((?:accounts|api|authproject|benchmarks|clients|deploy|tests)/[\w/.-]+)", page.read_text()
    )

    assert [path for path in named if not any((folder / path).exists() for folder in (ROOT, page.parent))] == []


def slug(heading):
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
