"""Delivers logout tokens to applications whose sessions have ended."""

from argparse import ArgumentParser
from typing import Any

from accounts.management.service_command import ServiceCommand
from accounts.sso import logout_dispatch
from accounts.sso.logout_delivery import Deliverer, Outcome


class Command(ServiceCommand):
    """The command `deliver_logouts`."""

    help = (
        "Delivers logout tokens that are due to applications whose sessions have ended. `manage.py serve` does "
        "this itself. With another server, run this command with --watch as a service, or every minute. Safe to "
        "interrupt, and to run several times at the same time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the argument: whether to keep running."""
        parser.add_argument("--watch", action="store_true", help="keep running, and deliver whenever one is due")

    def handle(self, *, watch: bool, **_: Any) -> None:
        """Deliver what is due, and print how many tokens were delivered and how many were not."""
        deliverer = Deliverer()
        if watch:
            logout_dispatch.poll(deliverer)
        deliverer.deliver_all()
        counts = deliverer.outcomes
        report = f"Delivered {counts[Outcome.DELIVERED]} logout token(s)."
        if failed := counts[Outcome.FAILED]:
            report += f" {failed} failed and will be tried again later."
        if abandoned := counts[Outcome.ABANDONED]:
            report += f" {abandoned} failed for days and will not be tried again."
        self.stdout.write(report)
