"""Sign out in one application, and be out of all others: from the browser's sign-in to a verifier of signatures."""

import pytest
from authclient.ended_sessions import MemoryEndedSessions
from authclient.logout import LogoutReceiver
from authclient.verifier import TokenRevoked, Verifier

from accounts.models import EndReason, LogoutDelivery, User
from accounts.sso import browser_sign_ins
from accounts.sso.logout_delivery import Deliverer, Outcome
from accounts.users import passwords
from accounts.values.clients import NO_CLIENT
from tests.sso.flows import BROWSER, SingleSignOn, make_application, refused
from tests.sso.receiving import Receiver

ISSUER = "http://localhost:8000"


class Site:
    """An application with a receiver of logout tokens and a verifier that knows signatures and logout tokens."""

    def __init__(self, client_id):
        self.receiver = Receiver()
        make_application(client_id, backchannel_logout_uri=self.receiver.url)
        ended_sessions = MemoryEndedSessions()
        self.logout = LogoutReceiver(ISSUER, client_id=client_id, ended_sessions=ended_sessions)
        self.verifier = Verifier(ISSUER, audience="authproject", ended_sessions=ended_sessions)

    def is_signed_in(self, tokens):
        for token in self.receiver.tokens:
            assert self.logout.receive(f"logout_token={token}".encode()).status == 200
        self.receiver.tokens.clear()
        try:
            self.verifier.verify(tokens["access_token"])
        except TokenRevoked:
            return False
        return True


@pytest.fixture(autouse=True)
def _keys_are_fetched(monkeypatch, api):
    monkeypatch.setattr("authclient.issuer_keys._fetch", lambda _, url: api.get(url.removeprefix(ISSUER)).json())


@pytest.fixture
def sites():
    opened = [Site("shop"), Site("blog")]
    yield opened
    for site in opened:
        site.receiver.close()


@pytest.fixture
def both(sites):
    """Return a user who signed in at the shop and came to the blog without a password."""
    alice = SingleSignOn()
    alice.of_blog = alice.sign_in("blog")
    return alice


def deliver():
    deliverer = Deliverer()
    deliverer.deliver_all()
    return deliverer.outcomes


WAYS = {
    "the end of the browser's sign-in": lambda alice: browser_sign_ins.end(alice.browser, BROWSER),
    "a new password": lambda alice: passwords.set_password(alice.user, "another horse battery", NO_CLIENT),
    "a deactivation behind our back": lambda alice: User.objects.filter(pk=alice.user.pk).update(is_active=False),
    "the deletion of the user": lambda alice: User.objects.get(pk=alice.user.pk).delete(),
}


@pytest.mark.parametrize("end", WAYS.values(), ids=WAYS)
def test_every_application_is_out_after(end, sites, both):
    shop, blog = sites
    assert shop.is_signed_in(both.tokens)
    assert blog.is_signed_in(both.of_blog)

    end(both)

    assert deliver() == {Outcome.DELIVERED: 2}
    assert not shop.is_signed_in(both.tokens)
    assert not blog.is_signed_in(both.of_blog)
    assert refused(both.party.refresh(both.tokens["refresh_token"]))


def test_the_end_of_one_application_s_session_leaves_the_other_one_signed_in(sites, both):
    shop, blog = sites
    assert both.party.send("/api/oauth/revoke", token=both.tokens["refresh_token"]).status_code == 200

    assert deliver() == {Outcome.DELIVERED: 1}
    assert not shop.is_signed_in(both.tokens)
    assert blog.is_signed_in(both.of_blog)


def test_a_reused_code_ends_the_session_that_it_opened_at_the_application_too(sites):
    shop, _ = sites
    alice = SingleSignOn()
    assert shop.is_signed_in(alice.tokens)

    assert refused(alice.party.exchange(alice.code))

    assert deliver() == {Outcome.DELIVERED: 1}
    assert not shop.is_signed_in(alice.tokens)


def test_a_logout_token_opens_nothing_at_this_service(api, sites, both):
    browser_sign_ins.end(both.browser, BROWSER, EndReason.SIGNED_OUT)
    deliver()
    [token] = sites[0].receiver.tokens

    assert both.party.userinfo(token).status_code == 401
    assert api.get("/api/test/user", token).json()["code"] == "token_invalid"
    assert both.party.refresh(token).status_code == 400
    assert not LogoutDelivery.objects.exists()
