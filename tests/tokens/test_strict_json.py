"""JSON is parsed the same way by every version of Python."""

import pytest

from accounts.tokens import strict_json


@pytest.mark.parametrize("depth", [101, 500, 900, 5000, 60000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_nested_more_than_a_hundred_levels_is_refused(depth, opening, closing):
    with pytest.raises(RecursionError):
        strict_json.loads(opening * depth + "1" + closing * depth)


def test_a_wide_text_and_brackets_within_strings_do_not_count_as_nesting():
    assert strict_json.loads("[" * 100 + "]" * 100)
    assert len(strict_json.loads("[" + ",".join(["[]"] * 1000) + "]")) == 1000
    assert strict_json.loads(f'["{"[" * 200}", "\\"{"{" * 200}"]')


@pytest.mark.parametrize("repeated", ['\\"', "\\", "\\\n"], ids=ascii)
def test_an_unclosed_string_is_refused_in_one_pass(repeated):
    with pytest.raises(ValueError, match="Extra data"):
        strict_json.loads("[]" * 101 + '"' + repeated * 30001)
