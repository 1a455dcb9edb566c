"""Translate the messages of the API for the pages, whose language is the browser's and not the API's."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth import password_validation
from django.utils.translation import gettext, override

from accounts import errors
from accounts.conf import auth_settings
from accounts.factor_errors import InvalidPasskey


def translations() -> dict[str, str]:
    """Return the messages that the API sends, each with its text in the current language, where that differs."""
    with override(settings.LANGUAGE_CODE):
        sent = [*_own_messages(), *_validation_messages()]
    shown = [*map(gettext, _own_messages()), *_validation_messages()]
    return {before: after for before, after in zip(sent, shown, strict=True) if before != after}


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
