"""Recovery codes: ten codes that each replace a lost factor once.

A code has 50 random bits. The rows store HMACs under SECRET_KEY, so that the database alone does not allow a
search for the codes. Attempts through the API are limited per account.
"""

import re
import secrets

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.databases import atomic
from accounts.models import RecoveryCode, User

NUMBER_OF_CODES = 10

_ALPHABET = "abcdefghjkmnpqrstvwxyz0123456789"  # 32 characters; no i, l, o and u, which are misread
_GROUP_LENGTH = 5
_LENGTH = 2 * _GROUP_LENGTH


def renew(user: User) -> list[str]:
    """Replace the recovery codes of a user, and return the new ones, which cannot be read again."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(NUMBER_OF_CODES)]
    with atomic(RecoveryCode):
        RecoveryCode.objects.filter(owner=user).delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(owner=user, digest=_digest(user, code, settings.SECRET_KEY)) for code in codes
        )
    return [f"{code[:_GROUP_LENGTH]}-{code[_GROUP_LENGTH:]}" for code in codes]


def use(user: User, code: str) -> bool:
    """Return whether the code is one of the user's, and delete it. Of simultaneous uses, one succeeds."""
    normalized = _normalize(code)
    if re.fullmatch(rf"[{_ALPHABET}]{{{_LENGTH}}}", normalized, re.ASCII) is None:
        return False
    server_keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    digests = [_digest(user, normalized, server_key) for server_key in server_keys]
    deleted, _ = RecoveryCode.objects.filter(owner=user, digest__in=digests).delete()
    return deleted > 0


def count(user: User) -> int:
    """Return how many recovery codes the user has left."""
    return RecoveryCode.objects.filter(owner=user).count()


def _normalize(code: str) -> str:
    """Return the code as it was issued: lowercase, without the hyphen, misread letters corrected."""
    typed = re.sub(r"[\s-]", "", code).lower()
    return typed.translate(str.maketrans("ilou", "110v"))


def _digest(user: User, code: str, server_key: str | bytes) -> str:
    return salted_hmac("accounts.recovery_codes", f"{user.pk}:{code}", server_key, algorithm="sha256").hexdigest()
