"""Replaces the secret of a confidential application, in two steps without downtime."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.management.service_command import ServiceCommand
from accounts.models import Application
from accounts.sso import registration
from accounts.values.clients import NO_CLIENT


class Command(ServiceCommand):
    """The command `rotateapplicationsecret`."""

    help = (
        "Prints a new secret of an application. The previous one stays valid until you run the command with "
        "--finish, after the application uses the new one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the application, and which of the two steps to take."""
        parser.add_argument("client_id", help="client id of the application")
        parser.add_argument("--finish", action="store_true", help="refuse the previous secret from now on")

    def handle(self, *, client_id: str, finish: bool, **_: Any) -> None:
        """Generate a secret, or drop the previous one."""
        application = Application.objects.filter(client_id=client_id).first()
        if application is None:
            raise CommandError(f"Application {client_id!r} does not exist.")
        if not application.is_confidential:
            raise CommandError(f"The application {client_id} is public: it has no secret.")
        self.stdout.write(_finish(application) if finish else _rotate(application))


def _rotate(application: Application) -> str:
    secret = registration.rotate_secret(application, NO_CLIENT)
    return f"Client secret: {secret}"


def _finish(application: Application) -> str:
    if not registration.finish_rotation(application, NO_CLIENT):
        raise CommandError(f"The application {application.client_id} has no previous secret.")
    return "The previous secret is refused from now on."
