"""Sessions in any order of events: what they do is what the model of the contract does."""

from datetime import timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, rule, run_state_machine_as_test

from accounts import purge
from accounts.errors import AuthError, NotFound, TokenRevoked
from accounts.models import EndReason, RefreshToken, User
from accounts.sessions import lifecycle, rotation
from accounts.tokens import access_tokens
from accounts.users import activation, deletion, passwords, roles
from accounts.values.clients import NO_CLIENT
from tests.sessions.session_model import REFRESH_LIFETIME, Session
from tests.sessions.session_surroundings import Surroundings, numbers

pytestmark = pytest.mark.usefixtures("hashes_that_are_fast")

SPANS = [0, 1, 9, 10, 10, 900, 2000, 3599, 3600]  # seconds, up to each limit and beyond
AGES = st.sampled_from([0, 0, 1, 1, 2, 3, 1000])
NAMES = st.frozensets(st.sampled_from(["user", "moderator", "admin"]))
WAYS_TO_END = ["sign_out", "end_by_its_owner", "revoke"]
WAYS_TO_END_ALL = [
    "sign_out_everywhere",
    "set_password",
    "save_a_password_as_django_does",
    "deactivate",
    "activate",
    "switch_behind_our_back",
    "leave_and_come_back",
]


class Sessions(Surroundings):
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
        with self.telling("sign_in:succeeded"):
            pair = lifecycle.start(user, NO_CLIENT)
        session = Session(
            uuid=access_tokens.verify(pair.access.text, at=self.now).session_id,
            owner=owner,
            started_at=self.now,
            authenticated_at=self.now,
            expires_at=self.now + REFRESH_LIFETIME,
            stands_on=owner.passwords_set,
            tokens=[pair.refresh_token],
        )
        self.world.sessions.append(session)
        self._receive(pair.access, session)
        return session

    # What clients do

    @rule(session=opened, age=AGES)
    def refresh(self, session, age):
        generation = max(0, session.generation - age)
        answer = session.answer(generation, self.now)
        if answer == "rotated":
            self._rotate(session)
        elif answer == "repeated":
            with self.telling("session:refresh_repeated"):
                pair = rotation.rotate(session.tokens[generation], NO_CLIENT)
            assert pair.refresh_token == session.tokens[generation + 1]
            self._receive(pair.access, session)
        else:
            self._be_refused(session, generation, answer)

    def _rotate(self, session):
        with self.telling("session:refreshed"):
            pair = rotation.rotate(session.tokens[-1], NO_CLIENT)
        if self.rotates:
            assert pair.refresh_token not in session.tokens
            session.move_on(pair.refresh_token, self.now)
        assert pair.refresh_token == session.tokens[-1]
        assert pair.refresh_expires_in == (session.expires_at - self.now).total_seconds()
        self._receive(pair.access, session)

    def _be_refused(self, session, generation, code):
        is_reuse = code == "refresh_token_reused"
        with (
            self.telling(*["session:reuse_detected", "session:ended"] if is_reuse else []),
            pytest.raises(AuthError) as refusal,
        ):
            rotation.rotate(session.tokens[generation], NO_CLIENT)
        assert refusal.value.code == code
        if is_reuse:
            session.end(EndReason.REUSED)

    @rule(session=opened, age=AGES, times=st.integers(2, 4))
    def refresh_again_and_again(self, session, age, times):
        token = max(0, session.generation - age)
        for _ in range(times):
            self.refresh(session, session.generation - token)

    @rule(target=opened, owner=owners, times=st.integers(1, 3), seconds=st.sampled_from(SPANS), age=AGES)
    def go_on(self, owner, times, seconds, age):
        session = self._live_one(owner)
        for _ in range(times):
            self.refresh(session, 0)
        self.pass_time(seconds)
        self.refresh(session, age)
        self.refresh(session, 0)
        return session

    def _live_one(self, owner):
        live = [session for session in self.world.of(owner) if session.is_in_force(self.now)]
        return live[-1] if live else self.sign_in(owner)

    # Few rules for the many ways in which a session ends, otherwise hardly one would live; and each bites at once

    @rule(session=opened, way=st.sampled_from(WAYS_TO_END), age=AGES)
    def end(self, session, way, age):
        getattr(self, way)(session, age)
        self.refresh(session, 0)

    @rule(target=opened, owner=owners, way=st.sampled_from(WAYS_TO_END_ALL))
    def end_all(self, owner, way):
        session = self._live_one(owner)
        getattr(self, way)(owner)
        self.refresh(session, 0)
        return session

    def sign_out(self, session, age):
        is_live = not session.is_gone and not session.end_reason and self.now < session.expires_at
        with self.telling(*["session:ended"] * is_live):
            rotation.end_by_refresh_token(session.tokens[max(0, session.generation - age)], NO_CLIENT)
        if is_live:
            session.end(EndReason.SIGNED_OUT)

    def end_by_its_owner(self, session, age):
        stranger = next(owner for owner in self.world.owners if owner is not session.owner)
        with self.telling(), pytest.raises(NotFound):
            lifecycle.end_own(stranger.user.pk, session.uuid, NO_CLIENT)
        if session.is_gone:
            with pytest.raises(NotFound):
                lifecycle.end_own(session.owner.user.pk, session.uuid, NO_CLIENT)
        else:
            lifecycle.end_own(session.owner.user.pk, session.uuid, NO_CLIENT)
            session.end(EndReason.ENDED_BY_OWNER)

    @rule(session=opened)
    def step_up(self, session):
        user = User.objects.get(pk=session.owner.user.pk)
        if session.is_in_force(self.now):
            session.authenticated_at = self.now
            self._receive(lifecycle.step_up(session.uuid, user, NO_CLIENT), session)
        elif session.owner.is_active:
            with self.telling(), pytest.raises(TokenRevoked):
                lifecycle.step_up(session.uuid, user, NO_CLIENT)

    @rule(session=opened)
    def change_password(self, session):
        if not session.is_in_force(self.now):
            return
        owner, new = session.owner, f"another of them {next(numbers)}"
        passwords.change(owner.user.pk, session.uuid, owner.password, new, NO_CLIENT)
        self._password_is(owner, new)
        session.stands_on = owner.passwords_set
        for other in self.world.of(owner):
            if other is not session:
                other.end(EndReason.PASSWORD_CHANGED)

    def _password_is(self, owner, new):
        owner.password = new
        owner.passwords_set += 1
        owner.version += 1

    def _end_all(self, owner, reason):
        for session in self.world.of(owner):
            session.end(reason)

    def sign_out_everywhere(self, owner):
        lifecycle.end_all(owner.user.pk, EndReason.SIGNED_OUT_EVERYWHERE, NO_CLIENT)
        self._end_all(owner, EndReason.SIGNED_OUT_EVERYWHERE)

    # What administrators do

    def revoke(self, session, age):
        is_new = not session.is_gone and not session.end_reason
        assert lifecycle.end(session.uuid, EndReason.REVOKED, NO_CLIENT, by=1) == is_new
        session.end(EndReason.REVOKED)

    def set_password(self, owner):
        new = f"a given one {next(numbers)}"
        passwords.set_password(User.objects.get(pk=owner.user.pk), new, NO_CLIENT)
        self._password_is(owner, new)
        self._end_all(owner, EndReason.PASSWORD_CHANGED)

    def save_a_password_as_django_does(self, owner):
        user = User.objects.get(pk=owner.user.pk)
        owner.password = f"one from a shell {next(numbers)}"
        user.set_password(owner.password)
        user.save()
        owner.passwords_set += 1

    def deactivate(self, owner):
        activation.deactivate(owner.user, NO_CLIENT)
        owner.is_active = False
        owner.passwords_set += 1
        self._end_all(owner, EndReason.DEACTIVATED)

    def activate(self, owner):
        activation.activate(owner.user, NO_CLIENT)
        owner.is_active = True

    def switch_behind_our_back(self, owner):
        owner.is_active = not owner.is_active
        User.objects.filter(pk=owner.user.pk).update(is_active=owner.is_active)

    @rule(owner=owners, names=NAMES, change=st.sampled_from(["grant", "revoke", "replace"]))
    def change_roles(self, owner, names, change):
        wanted = {"grant": owner.roles | names, "revoke": owner.roles - names, "replace": names}[change]
        is_change = wanted != owner.roles
        with self.telling(*["roles:changed"] * is_change):
            assert getattr(roles, change)(owner.user, names, NO_CLIENT) == is_change
        owner.version += is_change
        owner.roles = frozenset(wanted)

    def leave_and_come_back(self, owner):
        deletion.delete(User.objects.get(pk=owner.user.pk), NO_CLIENT)
        for session in self.world.of(owner):
            session.is_gone = True
        for name, value in vars(self._sign_up()).items():
            setattr(owner, name, value)

    # What time does

    @rule(seconds=st.sampled_from(SPANS))
    def pass_time(self, seconds):
        self.clock.shift(timedelta(seconds=seconds))

    @rule(batch_size=st.integers(1, 3), hours=st.sampled_from([0, 1]))
    def purge(self, batch_size, hours):
        retain = timedelta(hours=hours)
        deleted = sum(purge.delete_in_batches(purge.expired_sessions(retain), batch_size))
        expired = [
            session
            for session in self.world.sessions
            if not session.is_gone and session.expires_at <= self.now - retain
        ]
        assert deleted == len(expired)
        for session in expired:
            session.is_gone = True

    # What always holds

    @invariant()
    def a_session_is_one_row(self):
        rows = {row.pk: row for row in RefreshToken.objects.all()}
        there = [session for session in self.world.sessions if not session.is_gone]
        assert rows.keys() == {session.uuid for session in there}
        for session in there:
            row = rows[session.uuid]
            assert (row.generation, row.end_reason) == (session.generation, session.end_reason)
            assert (row.expires_at, row.rotated_at) == (session.expires_at, session.rotated_at)
            assert (row.ended_at is None) == (not session.end_reason)

    @invariant()
    def an_owner_sees_what_is_live(self):
        for owner in self.world.owners:
            user = User.objects.get(pk=owner.user.pk)
            live = {session.uuid for session in self.world.of(owner) if session.is_in_force(self.now)}
            if owner.is_active:
                assert {row.pk for row in lifecycle.live_sessions(user)} == live

    @invariant()
    def an_access_token_works_for_as_long_as_all_it_stands_on(self):
        for access in self.world.accesses():
            try:
                claims = access_tokens.verify(access.text, at=self.now)
                answer = "good" if lifecycle.check(claims).pk == access.owner_id else "another's"
            except AuthError as refusal:
                answer = refusal.code
            assert answer == access.answer(self.now)


class SessionsWithoutRotation(Sessions):
    """For clients that never store a new refresh token."""

    rotates = False


@pytest.mark.parametrize(("machine", "examples"), [(Sessions, 20), (SessionsWithoutRotation, 8)])
def test_sessions_do_what_the_contract_says_in_whatever_order_things_happen(machine, examples):
    run_state_machine_as_test(machine, settings=hypothesis_settings(max_examples=examples, stateful_step_count=40))
