"""The README's table names every setting with its default, and the settings say the same of themselves."""

import dataclasses
import re
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.conf import AuthSettings, Limit, environment_name

README = (Path(__file__).parent.parent / "README.md").read_text()
SETTINGS = README.partition("## Settings")[2].partition("\n## ")[0]


def documented():
    for line in SETTINGS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 1 and cells[0].replace(", ", "").replace("_", "").isupper():
            names, defaults = cells[0].split(", "), cells[1].split(", ")
            yield from zip(names, defaults if len(defaults) == len(names) else defaults * len(names), strict=True)


def spelled(value):
    if isinstance(value, timedelta):
        return str(int(value.total_seconds()))
    if isinstance(value, Limit):
        return f"{value.amount}/{value.window // 60}m"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("field", dataclasses.fields(AuthSettings), ids=lambda field: field.name)
def test_the_readme_names_every_setting_with_its_default(field):
    shown = dict(documented())[environment_name(field)]

    assert shown.replace("–", "") == spelled(field.default)


def test_every_setting_is_explained_where_it_is_declared():
    source = (Path(__file__).parent.parent / "accounts/conf.py").read_text()
    declared = re.findall(r"^    (\w+): .* = _setting\(.*\)\n    \"\"\"", source, re.MULTILINE)

    assert declared == [field.name for field in dataclasses.fields(AuthSettings)]
