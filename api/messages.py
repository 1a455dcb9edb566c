"""Translate the messages of this service for the pages, whose language is the browser's and not the API's.

Pages with scripts get a table of translations. Hosted pages, which work without scripts, show translated errors.
"""

import re
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth import password_validation
from django.utils.translation import gettext, override

from accounts import errors
from accounts.conf import auth_settings
from accounts.errors import AuthError, EmailTaken, InvalidRequest, Throttled, UsernameTaken
from accounts.factor_errors import InvalidPasskey

_NUMBER = re.compile(r"\d+")
_FIELDS = {UsernameTaken: "username", EmailTaken: "email"}
"""The fields of errors that concern one field and do not name it."""


def translations() -> dict[str, str]:
    """Return the messages that the API sends, each with its text in the current language, where that differs."""
    with override(settings.LANGUAGE_CODE):
        sent = [*_own_messages(), *_validation_messages()]
    shown = [*map(gettext, _own_messages()), *_validation_messages()]
    return {before: after for before, after in zip(sent, shown, strict=True) if before != after}


def translate(message: str) -> str:
    """Return a message of this service in the current language, or as it is if there is no translation.

    The catalog has `{number}` in the place of a number.
    """
    translated = gettext(message) if message else ""
    number = _NUMBER.search(message)
    if translated != message or number is None:
        return translated
    return gettext(_NUMBER.sub("{number}", message)).replace("{number}", number[0])


def text_of(error: AuthError) -> str:
    """Return the text of an error in the current language."""
    if isinstance(error, Throttled):
        return gettext("Too many attempts. Try again in {seconds} seconds.").format(seconds=error.retry_after)
    return translate(error.message)


def field_texts(error: AuthError) -> dict[str, str]:
    """Return the texts of an error by the field that they concern, in the current language."""
    if isinstance(error, InvalidRequest):
        return {name: " ".join(map(translate, texts)) for name, texts in error.errors.items()}
    field = _FIELDS.get(type(error))
    return {field: text_of(error)} if field else {}


def _own_messages() -> Iterator[str]:
    """Yield the messages that the API sends in English, whatever LANGUAGE_CODE is."""
    yield from (error.message for error in (*errors.AuthError.__subclasses__(), InvalidPasskey))
    for texts in errors.MailTokenInvalid().errors.values():
        yield from texts


def _validation_messages() -> Iterator[str]:
    """Yield messages of Django's password validators, which the API sends in LANGUAGE_CODE."""
    yield password_validation.MinimumLengthValidator(auth_settings().password_min_length).get_error_message()
    yield gettext("This password is too common.")
    similar = gettext("The password is too similar to the %(verbose_name)s.")
    yield from (similar % {"verbose_name": name} for name in ("username", "email address", "full name"))
