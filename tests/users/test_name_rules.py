"""Usernames and e-mail addresses in every spelling: one key, one account, one sign-in."""

import contextlib
import unicodedata

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from hypothesis import assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.users.name_rules import validation_errors
from accounts.values.identifiers import (
    EMAIL_LENGTH,
    USERNAME_LENGTH,
    comparison_key,
    normalize,
    validate_email_address,
    validate_username,
)
from tests.conftest import Api
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("hashes_that_are_fast")

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
CASES = [str, str.upper, str.lower, str.title, str.swapcase, str.casefold]
BLANKS = ["", " ", "\t", "\n", "\u00a0", "\u3000", "\u2003"]
DOTLESS = "\u0131"
"""Its capital is I, whose small letter is i: by the Unicode Standard the two are not one letter in another case."""

# Letters that change with case, with form, or with both; joined they are where the trouble is.
MUTABLE = [
    char
    for char in map(chr, range(0x110000))
    if (unicodedata.decomposition(char) or unicodedata.combining(char) or char.upper() != char.lower())
    and char != DOTLESS
]
MAIL_TEMPLATES = st.sampled_from(MUTABLE) | st.characters(categories=["L", "M", "N"], exclude_characters=DOTLESS)
TEXTS = st.text(MAIL_TEMPLATES | st.characters(exclude_characters=DOTLESS, exclude_categories=["Cs"]), max_size=30)
some_examples = hypothesis_settings(max_examples=30)


def is_allowed(name):
    return bool(name) and not validation_errors(User(username=normalize(name)), ["username"])


USERNAMES = st.text(MAIL_TEMPLATES | st.sampled_from("._-+"), min_size=1, max_size=20).filter(is_allowed)
ADDRESSES = st.emails().filter(lambda text: not validation_errors(User(email=normalize(text)), ["email"]))


@st.composite
def respelled(draw, text):
    """Draw another spelling of a name: other case, other form, other blanks around it."""
    form, case = draw(st.sampled_from(FORMS)), draw(st.sampled_from(CASES))
    # Case is a matter of whole letters: put together first, where a text is in pieces.
    cased = case(unicodedata.normalize("NFC", text))
    return draw(st.sampled_from(BLANKS)) + unicodedata.normalize(form, cased) + draw(st.sampled_from(BLANKS))


@contextlib.contextmanager
def undone():
    """Undo at the end what happened to the database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _as_many_as_there_are_examples(auth):
    auth(address_limit=None, account_limit=None)


@given(TEXTS)
@example("\u0345\u0301")
@example(" \u00a8 ")
def test_to_normalise_twice_is_to_normalise_once(text):
    assert normalize(normalize(text)) == normalize(text)
    assert comparison_key(comparison_key(text)) == comparison_key(text)
    assert comparison_key(normalize(text)) == comparison_key(text)


@given(TEXTS, st.sampled_from(FORMS), st.sampled_from(BLANKS), st.sampled_from(BLANKS))
def test_forms_and_outer_blanks_make_no_other_name(text, form, before, after):
    spelled = before + unicodedata.normalize(form, text) + after

    assert normalize(spelled) == normalize(text)
    assert comparison_key(spelled) == comparison_key(text)


@given(st.data())
def test_case_makes_no_other_name(data):
    name = data.draw(USERNAMES)

    assert comparison_key(data.draw(respelled(name))) == comparison_key(name)


def test_no_letter_has_a_key_of_its_own_in_another_case_or_form():
    for char in MUTABLE:
        key = comparison_key(char)
        assert comparison_key(key) == key
        assert {comparison_key(case(char)) for case in CASES} == {key}, char
        assert {comparison_key(unicodedata.normalize(form, char)) for form in FORMS} == {key}, char


@given(TEXTS)
def test_a_username_that_is_allowed_is_seen_whole_and_stands_for_no_address(text):
    try:
        validate_username(normalize(text))
    except ValidationError:
        return
    for spelled in (normalize(text), comparison_key(text)):
        validate_username(spelled)
        assert "@" not in spelled
        assert not any(unicodedata.category(char)[0] in "ZC" for char in spelled)


@given(TEXTS, TEXTS)
def test_an_address_that_is_allowed_has_no_control_characters(before, after):
    address = normalize(f"{before}@{after}")
    with contextlib.suppress(ValidationError):
        validate_email_address(address)
        assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in address)


@given(st.text(MAIL_TEMPLATES, min_size=1, max_size=40), st.integers(1, USERNAME_LENGTH))
def test_the_key_of_a_name_that_fits_fits(letters, length):
    name = normalize((letters * length)[:USERNAME_LENGTH])[:USERNAME_LENGTH]

    assert len(comparison_key(name)) <= User._meta.get_field("username_key").max_length
    assert len(comparison_key(name + "@b.c")) <= User._meta.get_field("email_key").max_length


@some_examples
@given(st.data())
def test_no_two_accounts_have_one_name(data):
    name = data.draw(USERNAMES)
    other = data.draw(respelled(name) | USERNAMES)
    is_same = comparison_key(name) == comparison_key(other)

    with undone():
        User.objects.create_user(name, "one@example.com", None)
        try:
            with transaction.atomic():
                User.objects.create_user(other, "another@example.com", None)
        except IntegrityError:
            assert is_same
        else:
            assert not is_same
        assert User.objects.identified_by(other).get().email == (
            "one@example.com" if is_same else "another@example.com"
        )


@some_examples
@given(st.data())
def test_whoever_signed_up_signs_in_under_every_spelling_of_the_name(data):
    name = data.draw(USERNAMES)
    other = data.draw(respelled(name))
    assume(len(other) <= USERNAME_LENGTH)

    with undone():
        assert Api().sign_up(name, email="one@example.com").status_code == 201
        assert Api().sign_up(other, email="another@example.com").json()["code"] == "username_taken"
        answer = Api().sign_in(other)
        assert (answer.status_code, answer.json()["username"]) == (200, normalize(name))


@some_examples
@given(st.data())
def test_whoever_signed_up_signs_in_under_every_spelling_of_the_address(data):
    address = data.draw(ADDRESSES)
    other = data.draw(respelled(address))
    assume(len(other) <= EMAIL_LENGTH)

    with undone():
        assert Api().sign_up("one", email=address).status_code == 201
        assert Api().sign_up("another", email=other).json()["code"] in ("email_taken", "invalid_request")
        answer = Api().sign_in(other)
        assert (answer.status_code, answer.json()["email"]) == (200, normalize(address))


@some_examples
@given(st.text())
def test_no_text_for_a_name_is_a_fault(text):
    with undone():
        for answer in (
            Api().sign_up(text, email="one@example.com"),
            Api().sign_up("another", email=text),
            Api().sign_in(text),
            Api().sign_in(text, password=text),
        ):
            assert answer.status_code in (200, 201, 400, 401), answer.content


def test_a_user_is_found_by_no_other_s_name():
    first, second = make_user("some.body"), make_user("somebody")

    @given(respelled("some.body"))
    def it_is_the_first(text):
        assert User.objects.identified_by(text).get() == first != second

    it_is_the_first()
