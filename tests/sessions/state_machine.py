"""The base class of the session state machine: it sets up the clock, the settings and the database."""

import contextlib
import logging
from datetime import UTC, datetime
from itertools import count

import time_machine
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from hypothesis.stateful import RuleBasedStateMachine

from accounts.models import User
from accounts.tokens import access_tokens
from tests.sessions.session_model import (
    ACCESS_LIFETIME,
    GRACE,
    REFRESH_LIFETIME,
    SESSION_LIFETIME,
    IssuedAccessToken,
    Owner,
    World,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
serial_numbers = count(1)


class EventRecorder(logging.Handler):
    """Records the names of logged events."""

    def __init__(self):
        super().__init__()
        self.events = []

    def emit(self, record):
        self.events.append(record.event)


class SessionStateMachine(RuleBasedStateMachine):
    """Runs with a frozen clock, short lifetimes and a transaction that is rolled back at the end."""

    rotates = True

    def __init__(self):
        super().__init__()
        lifetimes = {
            "access_token_lifetime": ACCESS_LIFETIME,
            "refresh_token_lifetime": REFRESH_LIFETIME,
            "session_lifetime": SESSION_LIFETIME,
            "refresh_token_grace": GRACE,
        }
        self.world = World()
        self.recorder = EventRecorder()
        self._stack = contextlib.ExitStack()
        self.clock = self._stack.enter_context(time_machine.travel(START, tick=False))
        auth = {**settings.AUTH, **lifetimes, "refresh_token_rotation": self.rotates}
        self._stack.enter_context(override_settings(AUTH=auth))
        self._stack.enter_context(transaction.atomic())
        logger = logging.getLogger("accounts.events")
        logger.addHandler(self.recorder)
        self._stack.callback(logger.removeHandler, self.recorder)

    def teardown(self):
        transaction.set_rollback(True)
        self._stack.close()

    @property
    def now(self):
        return datetime.now(UTC)

    @contextlib.contextmanager
    def expect_events(self, *events):
        self.recorder.events.clear()
        yield
        assert self.recorder.events == list(events)

    def _sign_up(self):
        name, password = f"someone{next(serial_numbers)}", "the first of them"
        user = User.objects.create_user(name, f"{name}@example.com", password)
        return Owner(user=user, roles=frozenset({"user"}), password=password)

    def _verify_and_remember(self, token, session):
        """Check that an access token has the claims that the model expects, and add it to the session."""
        owner = session.owner
        claims = access_tokens.verify(token.text, at=self.now)
        assert (claims.session_id, claims.user_id) == (session.uuid, owner.user.pk)
        assert (claims.roles, claims.token_version) == (tuple(sorted(owner.roles)), owner.version)
        assert claims.auth_time == int(session.authenticated_at.timestamp())
        expires_at = min(self.now + ACCESS_LIFETIME, session.expires_at)
        assert claims.expires_at == int(expires_at.timestamp())
        session.access_tokens.append(
            IssuedAccessToken(token.text, session, owner.version, expires_at, owner.user.pk)
        )
