"""Prints the keys that decrypt access tokens, for the services that verify them."""

import json
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from accounts.conf import auth_settings
from accounts.keys import key_ring, signing_keys
from accounts.management.service_command import ServiceCommand


class Command(ServiceCommand):
    """The command `show_encryption_key`."""

    help = (
        "Prints the keys that decrypt access tokens, now or after the next rotation, as a JWK set (RFC 7517). "
        "They are secrets: they reveal the claims of tokens. Tokens cannot be forged with them."
    )

    requires_database = False

    def handle(self, **_: Any) -> None:
        """Print the JWK set."""
        try:
            _refuse_missing_folder()
            keys = key_ring.decryption_keys()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if not keys:
            raise CommandError("There is no encryption key. Set AUTH_TOKEN_ENCRYPTION=true to create one.")
        jwks = [signing_keys.secret_jwk(cast("bytes", key.private_key)) for key in keys.values()]
        self.stdout.write(json.dumps({"keys": jwks}, indent=2))


def _refuse_missing_folder() -> None:
    settings = auth_settings()
    if settings.token_encryption and not settings.keys_dir.is_dir():
        # Reading the keys would create a folder, with keys that the service does not have.
        raise CommandError(
            f"AUTH_KEYS_DIR: {settings.keys_dir} does not exist. Allowed: the service's key folder."
        )
