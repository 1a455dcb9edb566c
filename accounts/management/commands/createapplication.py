"""Registers an application that signs its users in at this service."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils.text import slugify

from accounts.conf import auth_settings
from accounts.management.service_command import ServiceCommand
from accounts.models import Application
from accounts.sso import addresses, registration
from accounts.values.clients import NO_CLIENT

_LISTS = (
    (
        "--redirect-uri",
        True,
        "address to which users return after they signed in, compared exactly; may be repeated",
    ),
    ("--post-logout-redirect-uri", False, "address to which users return after they signed out; may be repeated"),
    (
        "--audience",
        False,
        "service of AUTH_AUDIENCE that the access tokens are for (default: all); may be repeated",
    ),
)


class Command(ServiceCommand):
    """The command `createapplication`."""

    help = (
        "Registers an application that signs its users in here, by OpenID Connect. Prints its client id, and the "
        "secret of a confidential one, which is shown only now."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the name, the addresses, the audiences, and whether the application has a secret."""
        parser.add_argument("name", help="name that users see when they sign in")
        for option, is_required, description in _LISTS:
            parser.add_argument(
                option, action="append", default=[], required=is_required, metavar="VALUE", help=description
            )
        parser.add_argument(
            "--backchannel-logout-uri",
            default=None,
            metavar="URI",
            help="address that is notified of ended sessions",
        )
        parser.add_argument(
            "--client-id", help="id of the application (default: the name in lower case, as in my-shop)"
        )
        parser.add_argument(
            "--confidential", action="store_true", help="the application runs on a server, and gets a secret"
        )

    def handle(self, *, name: str, **options: Any) -> None:
        """Validate and store the application."""
        application = Application(
            name=name,
            client_id=options["client_id"] or slugify(name),
            is_confidential=options["confidential"],
            redirect_uris=list(dict.fromkeys(options["redirect_uri"])),
            post_logout_redirect_uris=list(dict.fromkeys(options["post_logout_redirect_uri"])),
            backchannel_logout_uri=options["backchannel_logout_uri"] or "",
            audiences=list(dict.fromkeys(options["audience"])),
        )
        if not application.client_id:
            raise CommandError("The name contains no letter for a client id. Pass one with --client-id.")
        _validate(application)
        secret = registration.register(application, NO_CLIENT)
        self.stdout.write(f"Client ID: {application.client_id}")
        if secret:
            self.stdout.write(f"Client secret: {secret}")


def _validate(application: Application) -> None:
    """Raise CommandError with a sentence for each value that is not allowed."""
    try:
        addresses.validate_redirect_uris([*application.redirect_uris, *application.post_logout_redirect_uris])
        if application.backchannel_logout_uri:
            addresses.validate_backchannel_uri(application.backchannel_logout_uri)
        application.full_clean()
    except ValidationError as error:
        raise CommandError(_in_lines(error)) from None
    unknown = [audience for audience in application.audiences if audience not in auth_settings().audience]
    if unknown:
        raise CommandError(
            f"AUTH_AUDIENCE does not list {', '.join(unknown)}. Known: {', '.join(auth_settings().audience)}."
        )


def _in_lines(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return "\n".join(error.messages)
    lines = (f"{name}: {message}" for name, messages in error.message_dict.items() for message in messages)
    return "\n".join(lines)
