"""All variants of a username or email address in case and Unicode form have one key and belong to one account."""

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
    email_key,
    normalize,
    normalize_email,
    validate_email_address,
    validate_username,
)
from tests.conftest import Api
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("fast_password_hasher")

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
CASES = [str, str.upper, str.lower, str.title, str.swapcase, str.casefold]
WHITESPACE = ["", " ", "\t", "\n", "\u00a0", "\u3000", "\u2003"]
DOTLESS = "\u0131"
"""Excluded: dotless i has the uppercase I, but the Unicode Standard does not treat it as a case variant of i."""

# Characters that change with case or form. Combined, they are the most likely to break normalization.
MUTABLE = [
    char
    for char in map(chr, range(0x110000))
    if (unicodedata.decomposition(char) or unicodedata.combining(char) or char.upper() != char.lower())
    and char != DOTLESS
]
LETTERS = st.sampled_from(MUTABLE) | st.characters(categories=["L", "M", "N"], exclude_characters=DOTLESS)
TEXTS = st.text(LETTERS | st.characters(exclude_characters=DOTLESS, exclude_categories=["Cs"]), max_size=30)
some_examples = hypothesis_settings(max_examples=30)


def is_allowed(name):
    return bool(name) and not validation_errors(User(username=normalize(name)), ["username"])


USERNAMES = st.text(LETTERS | st.sampled_from("._-+"), min_size=1, max_size=20).filter(is_allowed)
ADDRESSES = st.emails().filter(lambda text: not validation_errors(User(email=normalize_email(text)), ["email"]))


@st.composite
def variants(draw, text):
    """Draw a variant of a name with another case, another Unicode form and other whitespace around it."""
    form, case = draw(st.sampled_from(FORMS)), draw(st.sampled_from(CASES))
    # Compose first: changing case is defined for whole letters, not for a letter and a separate mark.
    cased = case(unicodedata.normalize("NFC", text))
    return (
        draw(st.sampled_from(WHITESPACE)) + unicodedata.normalize(form, cased) + draw(st.sampled_from(WHITESPACE))
    )


@contextlib.contextmanager
def rolled_back():
    """Roll back all changes to the database at the end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _no_limits(override_auth):
    override_auth(address_limit=None, account_limit=None)


@given(TEXTS)
@example("\u0345\u0301")
@example(" \u00a8 ")
def test_normalization_is_idempotent(text):
    assert normalize(normalize(text)) == normalize(text)
    assert comparison_key(comparison_key(text)) == comparison_key(text)
    assert comparison_key(normalize(text)) == comparison_key(text)


@given(TEXTS, TEXTS)
@example("a", "xn--zca.de")
@example("a", "XN--BCHER-KVA.de")
@example("a", "b\u00fc\u3002\u3002")
def test_normalization_of_an_email_address_is_idempotent(local_part, domain):
    address = f"{local_part}@{domain}"
    assert normalize_email(normalize_email(address)) == normalize_email(address)
    assert email_key(email_key(address)) == email_key(address)
    assert email_key(normalize_email(address)) == email_key(address)


@given(TEXTS, st.sampled_from(FORMS), st.sampled_from(WHITESPACE), st.sampled_from(WHITESPACE))
def test_unicode_form_and_outer_whitespace_do_not_change_a_name(text, form, before, after):
    variant = before + unicodedata.normalize(form, text) + after

    assert normalize(variant) == normalize(text)
    assert comparison_key(variant) == comparison_key(text)


@given(st.data())
def test_case_does_not_change_the_key_of_a_name(data):
    name = data.draw(USERNAMES)

    assert comparison_key(data.draw(variants(name))) == comparison_key(name)


def test_every_letter_has_the_same_key_in_every_case_and_form():
    for char in MUTABLE:
        key = comparison_key(char)
        assert comparison_key(key) == key
        assert {comparison_key(case(char)) for case in CASES} == {key}, char
        assert {comparison_key(unicodedata.normalize(form, char)) for form in FORMS} == {key}, char


@given(TEXTS)
def test_a_valid_username_has_no_invisible_character_and_no_at_sign(text):
    try:
        validate_username(normalize(text))
    except ValidationError:
        return
    for variant in (normalize(text), comparison_key(text)):
        validate_username(variant)
        assert "@" not in variant
        assert not any(unicodedata.category(char)[0] in "ZC" for char in variant)


@given(TEXTS, TEXTS)
def test_a_valid_email_address_has_no_control_characters(before, after):
    address = normalize(f"{before}@{after}")
    with contextlib.suppress(ValidationError):
        validate_email_address(address)
        assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in address)


@given(st.text(LETTERS, min_size=1, max_size=40), st.integers(1, USERNAME_LENGTH))
def test_the_key_of_a_name_of_valid_length_fits_its_column(letters, length):
    name = normalize((letters * length)[:USERNAME_LENGTH])[:USERNAME_LENGTH]

    assert len(comparison_key(name)) <= User._meta.get_field("username_key").max_length
    assert len(email_key(name + "@b.c")) <= User._meta.get_field("email_key").max_length


@some_examples
@given(st.data())
def test_two_accounts_never_share_a_name(data):
    name = data.draw(USERNAMES)
    variant = data.draw(variants(name) | USERNAMES)
    is_same = comparison_key(name) == comparison_key(variant)

    with rolled_back():
        User.objects.create_user(name, "one@example.com", None)
        try:
            with transaction.atomic():
                User.objects.create_user(variant, "another@example.com", None)
        except IntegrityError:
            assert is_same
        else:
            assert not is_same
        assert User.objects.identified_by(variant).get().email == (
            "one@example.com" if is_same else "another@example.com"
        )


@some_examples
@given(st.data())
def test_a_user_signs_in_with_every_form_of_the_username(data):
    name = data.draw(USERNAMES)
    variant = data.draw(variants(name))
    assume(len(variant) <= USERNAME_LENGTH)

    with rolled_back():
        assert Api().sign_up(name, email="one@example.com").status_code == 201
        assert Api().sign_up(variant, email="another@example.com").json()["code"] == "username_taken"
        response = Api().sign_in(variant)
        assert (response.status_code, response.json()["username"]) == (200, normalize(name))


@some_examples
@given(st.data())
def test_a_user_signs_in_with_every_form_of_the_email_address(data):
    address = data.draw(ADDRESSES)
    variant = data.draw(variants(address))
    assume(len(variant) <= EMAIL_LENGTH)

    with rolled_back():
        assert Api().sign_up("one", email=address).status_code == 201
        assert Api().sign_up("another", email=variant).json()["code"] in ("email_taken", "invalid_request")
        response = Api().sign_in(variant)
        assert (response.status_code, response.json()["email"]) == (200, normalize_email(address))


@some_examples
@given(st.text())
def test_no_text_causes_a_server_error(text):
    with rolled_back():
        for response in (
            Api().sign_up(text, email="one@example.com"),
            Api().sign_up("another", email=text),
            Api().sign_in(text),
            Api().sign_in(text, password=text),
        ):
            assert response.status_code in (200, 201, 400, 401), response.content


def test_a_username_does_not_find_a_user_with_a_similar_one():
    first, second = make_user("some.body"), make_user("somebody")

    @given(variants("some.body"))
    def finds_the_first(text):
        assert User.objects.identified_by(text).get() == first != second

    finds_the_first()
