"""Run random sequences of events on sessions and compare the result of each with a model of the rules."""

from datetime import timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, rule, run_state_machine_as_test

from accounts import purge
from accounts.errors import AuthError, NotFound, TokenRevoked
from accounts.models import EndReason, RefreshToken, User
from accounts.sessions import lifecycle, rotation, step_up
from accounts.tokens import access_tokens
from accounts.users import activation, deletion, passwords, roles
from accounts.values.authentication import BY_PASSWORD
from accounts.values.clients import NO_CLIENT
from tests.sessions.session_model import REFRESH_LIFETIME, Session
from tests.sessions.state_machine import SessionStateMachine, serial_numbers

pytestmark = pytest.mark.usefixtures("fast_password_hasher")

SECONDS = [0, 1, 9, 10, 10, 900, 2000, 3599, 3600]  # below, at and above each limit
GENERATIONS_AGO = st.sampled_from([0, 0, 1, 1, 2, 3, 1000])
ROLE_SETS = st.frozensets(st.sampled_from(["user", "moderator", "admin"]))
WAYS_TO_END = ["sign_out", "end_by_its_owner", "revoke"]
WAYS_TO_END_ALL = [
    "sign_out_everywhere",
    "set_password",
    "save_a_password_with_the_model",
    "deactivate",
    "activate",
    "toggle_is_active_in_the_database",
    "delete_account_and_sign_up_again",
]


class Sessions(SessionStateMachine):
    owners = Bundle("owners")
    opened = Bundle("opened")

    @initialize(target=owners)
    def two_people(self):
        self.world.owners += [self._sign_up(), self._sign_up()]
        return multiple(*self.world.owners)

    @rule(target=opened, owner=owners)
    def sign_in(self, owner):
        if not owner.is_active:
            self.activate(owner)
        user = User.objects.with_role_names().get(pk=owner.user.pk)
        with self.expect_events("sign_in:succeeded"):
            pair = lifecycle.start(user, NO_CLIENT, BY_PASSWORD)
        session = Session(
            uuid=access_tokens.verify(pair.access.text, at=self.now).session_id,
            owner=owner,
            started_at=self.now,
            authenticated_at=self.now,
            expires_at=self.now + REFRESH_LIFETIME,
            owner_stamp=owner.stamp,
            tokens=[pair.refresh_token],
        )
        self.world.sessions.append(session)
        self._verify_and_remember(pair.access, session)
        return session

    # Clients

    @rule(session=opened, generations_ago=GENERATIONS_AGO)
    def refresh(self, session, generations_ago):
        generation = max(0, session.generation - generations_ago)
        outcome = session.expected_outcome(generation, self.now)
        if outcome == "rotated":
            self._rotate(session)
        elif outcome == "repeated":
            with self.expect_events("session:refresh_repeated"):
                pair = rotation.rotate(session.tokens[generation], NO_CLIENT)
            assert pair.refresh_token == session.tokens[generation + 1]
            self._verify_and_remember(pair.access, session)
        else:
            self._expect_refusal(session, generation, outcome)

    def _rotate(self, session):
        with self.expect_events("session:refreshed"):
            pair = rotation.rotate(session.tokens[-1], NO_CLIENT)
        if self.rotates:
            assert pair.refresh_token not in session.tokens
            session.advance(pair.refresh_token, self.now)
        assert pair.refresh_token == session.tokens[-1]
        assert pair.refresh_expires_in == (session.expires_at - self.now).total_seconds()
        self._verify_and_remember(pair.access, session)

    def _expect_refusal(self, session, generation, code):
        is_reuse = code == "refresh_token_reused"
        with (
            self.expect_events(*["session:reuse_detected", "session:ended"] if is_reuse else []),
            pytest.raises(AuthError) as refusal,
        ):
            rotation.rotate(session.tokens[generation], NO_CLIENT)
        assert refusal.value.code == code
        if is_reuse:
            session.end(EndReason.REUSED)

    @rule(session=opened, generations_ago=GENERATIONS_AGO, times=st.integers(2, 4))
    def refresh_one_token_repeatedly(self, session, generations_ago, times):
        token = max(0, session.generation - generations_ago)
        for _ in range(times):
            self.refresh(session, session.generation - token)

    @rule(
        target=opened,
        owner=owners,
        times=st.integers(1, 3),
        seconds=st.sampled_from(SECONDS),
        generations_ago=GENERATIONS_AGO,
    )
    def refresh_repeatedly(self, owner, times, seconds, generations_ago):
        session = self._live_session(owner)
        for _ in range(times):
            self.refresh(session, 0)
        self.pass_time(seconds)
        self.refresh(session, generations_ago)
        self.refresh(session, 0)
        return session

    def _live_session(self, owner):
        live = [session for session in self.world.sessions_of(owner) if session.is_valid(self.now)]
        return live[-1] if live else self.sign_in(owner)

    # One rule for all the ways to end a session: with a rule for each, hardly any session would live long enough to
    # be refreshed. The refresh that follows checks that the end takes effect immediately.

    @rule(session=opened, way=st.sampled_from(WAYS_TO_END), generations_ago=GENERATIONS_AGO)
    def end(self, session, way, generations_ago):
        getattr(self, way)(session, generations_ago)
        self.refresh(session, 0)

    @rule(target=opened, owner=owners, way=st.sampled_from(WAYS_TO_END_ALL))
    def end_all(self, owner, way):
        session = self._live_session(owner)
        getattr(self, way)(owner)
        self.refresh(session, 0)
        return session

    def sign_out(self, session, generations_ago):
        is_live = not session.is_deleted and not session.end_reason and self.now < session.expires_at
        with self.expect_events(*["session:ended"] * is_live):
            rotation.end_by_refresh_token(session.tokens[max(0, session.generation - generations_ago)], NO_CLIENT)
        if is_live:
            session.end(EndReason.SIGNED_OUT)

    def end_by_its_owner(self, session, generations_ago):
        stranger = next(owner for owner in self.world.owners if owner is not session.owner)
        with self.expect_events(), pytest.raises(NotFound):
            lifecycle.end_own(stranger.user.pk, session.uuid, NO_CLIENT)
        if session.is_deleted:
            with pytest.raises(NotFound):
                lifecycle.end_own(session.owner.user.pk, session.uuid, NO_CLIENT)
        else:
            lifecycle.end_own(session.owner.user.pk, session.uuid, NO_CLIENT)
            session.end(EndReason.ENDED_BY_OWNER)

    @rule(session=opened)
    def step_up(self, session):
        user = User.objects.get(pk=session.owner.user.pk)
        if session.is_valid(self.now):
            session.authenticated_at = self.now
            self._verify_and_remember(step_up.step_up(session.uuid, user, NO_CLIENT, BY_PASSWORD), session)
        elif session.owner.is_active:
            with self.expect_events(), pytest.raises(TokenRevoked):
                step_up.step_up(session.uuid, user, NO_CLIENT, BY_PASSWORD)

    @rule(session=opened)
    def change_password(self, session):
        if not session.is_valid(self.now):
            return
        owner, new = session.owner, f"another of them {next(serial_numbers)}"
        passwords.change(owner.user.pk, session.uuid, owner.password, new, NO_CLIENT)
        self._note_password(owner, new)
        session.owner_stamp = owner.stamp
        for other in self.world.sessions_of(owner):
            if other is not session:
                other.end(EndReason.PASSWORD_CHANGED)

    def _note_password(self, owner, new):
        owner.password = new
        owner.stamp += 1
        owner.version += 1

    def _end_all(self, owner, reason):
        for session in self.world.sessions_of(owner):
            session.end(reason)

    def sign_out_everywhere(self, owner):
        lifecycle.end_all(owner.user.pk, EndReason.SIGNED_OUT_EVERYWHERE, NO_CLIENT)
        self._end_all(owner, EndReason.SIGNED_OUT_EVERYWHERE)

    # Administrators

    def revoke(self, session, generations_ago):
        is_new = not session.is_deleted and not session.end_reason
        assert lifecycle.end(session.uuid, EndReason.REVOKED, NO_CLIENT, by=1) == is_new
        session.end(EndReason.REVOKED)

    def set_password(self, owner):
        new = f"a given one {next(serial_numbers)}"
        passwords.set_password(User.objects.get(pk=owner.user.pk), new, NO_CLIENT)
        self._note_password(owner, new)
        self._end_all(owner, EndReason.PASSWORD_CHANGED)

    def save_a_password_with_the_model(self, owner):
        user = User.objects.get(pk=owner.user.pk)
        owner.password = f"one from a shell {next(serial_numbers)}"
        user.set_password(owner.password)
        user.save()
        owner.stamp += 1

    def deactivate(self, owner):
        activation.deactivate(owner.user, NO_CLIENT)
        owner.is_active = False
        owner.stamp += 1
        self._end_all(owner, EndReason.DEACTIVATED)

    def activate(self, owner):
        activation.activate(owner.user, NO_CLIENT)
        owner.is_active = True

    def toggle_is_active_in_the_database(self, owner):
        owner.is_active = not owner.is_active
        User.objects.filter(pk=owner.user.pk).update(is_active=owner.is_active)

    @rule(owner=owners, names=ROLE_SETS, change=st.sampled_from(["grant", "revoke", "replace"]))
    def change_roles(self, owner, names, change):
        wanted = {"grant": owner.roles | names, "revoke": owner.roles - names, "replace": names}[change]
        is_change = wanted != owner.roles
        with self.expect_events(*["roles:changed"] * is_change):
            assert getattr(roles, change)(owner.user, names, NO_CLIENT) == is_change
        owner.version += bool(wanted - owner.roles) + bool(owner.roles - wanted)
        owner.roles = frozenset(wanted)

    def delete_account_and_sign_up_again(self, owner):
        deletion.delete(User.objects.get(pk=owner.user.pk), NO_CLIENT)
        for session in self.world.sessions_of(owner):
            session.is_deleted = True
        for name, value in vars(self._sign_up()).items():
            setattr(owner, name, value)

    # Time

    @rule(seconds=st.sampled_from(SECONDS))
    def pass_time(self, seconds):
        self.clock.shift(timedelta(seconds=seconds))

    @rule(batch_size=st.integers(1, 3), hours=st.sampled_from([0, 1]))
    def purge(self, batch_size, hours):
        retain = timedelta(hours=hours)
        deleted = sum(purge.delete_expired_sessions(retain, batch_size))
        expired = [
            session
            for session in self.world.sessions
            if not session.is_deleted and session.expires_at <= self.now - retain
        ]
        assert deleted == len(expired)
        for session in expired:
            session.is_deleted = True

    # Invariants

    @invariant()
    def a_session_is_one_row(self):
        rows = {row.pk: row for row in RefreshToken.objects.all()}
        existing = [session for session in self.world.sessions if not session.is_deleted]
        assert rows.keys() == {session.uuid for session in existing}
        for session in existing:
            row = rows[session.uuid]
            assert (row.generation, row.end_reason) == (session.generation, session.end_reason)
            assert (row.expires_at, row.rotated_at) == (session.expires_at, session.rotated_at)
            assert (row.ended_at is None) == (not session.end_reason)

    @invariant()
    def an_owner_sees_the_live_sessions(self):
        for owner in self.world.owners:
            user = User.objects.get(pk=owner.user.pk)
            live = {session.uuid for session in self.world.sessions_of(owner) if session.is_valid(self.now)}
            if owner.is_active:
                assert {row.pk for row in lifecycle.live_sessions(user)} == live

    @invariant()
    def an_access_token_has_the_expected_outcome(self):
        for access in self.world.newest_access_tokens():
            try:
                claims = access_tokens.verify(access.text, at=self.now)
                outcome = "good" if lifecycle.check(claims).pk == access.owner_id else "another's"
            except AuthError as refusal:
                outcome = refusal.code
            assert outcome == access.expected_outcome(self.now)


class SessionsWithoutRotation(Sessions):
    """Sessions with AUTH_REFRESH_TOKEN_ROTATION off, for clients that never store a new refresh token."""

    rotates = False


@pytest.mark.parametrize(("machine", "examples"), [(Sessions, 20), (SessionsWithoutRotation, 8)])
def test_sessions_match_the_model_in_any_order_of_events(machine, examples):
    run_state_machine_as_test(machine, settings=hypothesis_settings(max_examples=examples, stateful_step_count=40))
