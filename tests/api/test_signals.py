"""Django's signals for sign-ins and sign-outs through the API."""

import pytest
from django.contrib.auth import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from accounts.models import User
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_administrator, make_user

SIGNALS = (user_logged_in, user_logged_out, user_login_failed)


@pytest.fixture
def received():
    """Return the arguments of the signals that were sent."""
    calls = []

    def receive(signal, **arguments):
        calls.append((signal, arguments))

    for signal in SIGNALS:
        signal.connect(receive)
    yield calls
    for signal in SIGNALS:
        signal.disconnect(receive)


def test_a_sign_in_is_signaled_with_the_request_and_the_session(received):
    user = make_user("alice")
    signed_in = SignedIn("alice")

    [(signal, arguments)] = received
    assert (signal, arguments["sender"], arguments["user"]) == (user_logged_in, User, user)
    assert isinstance(arguments["request"], HttpRequest)
    assert arguments["session_id"] == str(signed_in.claims.session_id)


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_a_failed_sign_in_is_signaled_without_the_password(api, received, username):
    make_user("alice")
    api.sign_in(username, "wrong password")

    [(signal, arguments)] = received
    assert signal is user_login_failed
    assert arguments["credentials"] == {"username": username, "password": "*" * 20}
    assert "wrong password" not in str(arguments)


def test_a_sign_in_with_an_unverified_address_is_signaled_as_failed(api, override_auth, received):
    make_user("alice", email_verified_at=None)
    override_auth(unverified_signin=False)
    api.sign_in("alice")

    assert [signal for signal, _ in received] == [user_login_failed]


@pytest.mark.parametrize("path", ["signout", "signout-all"])
def test_a_sign_out_is_signaled(received, path):
    user = make_user("alice")
    signed_in = SignedIn("alice")
    signed_in.post(f"/api/auth/{path}", token=signed_in.access_token)

    assert received[-1][0] is user_logged_out
    assert received[-1][1]["user"] == user


def test_a_sign_out_by_refresh_token_is_signaled_once(received):
    user = make_user("alice")
    signed_in = SignedIn("alice")
    for _ in range(2):
        signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token})

    assert [(signal, arguments["user"]) for signal, arguments in received[1:]] == [(user_logged_out, user)]


def test_a_receiver_that_raises_does_not_break_a_sign_in(api):
    def fail(**_):
        raise RuntimeError("a fault of the project")

    make_user("alice")
    for signal in SIGNALS:
        signal.connect(fail)
    try:
        assert api.sign_in("alice").status_code == 200
        assert api.sign_in("alice", "wrong password").status_code == 401
        signed_in = SignedIn("alice")
        assert signed_in.post("/api/auth/signout", token=signed_in.access_token).status_code == 204
    finally:
        for signal in SIGNALS:
            signal.disconnect(fail)


def test_last_login_is_set_by_sign_ins_to_the_admin_only(client):
    root = make_administrator()
    SignedIn(root.username)
    root.refresh_from_db()
    assert root.last_login is None

    client.post("/admin/login/?next=/admin/", {"username": root.username, "password": PASSWORD})
    root.refresh_from_db()
    assert root.last_login is not None


def test_the_admin_shows_the_last_sign_in_to_the_api(admin_client, clock):
    user = make_user("alice")
    SignedIn("alice")

    page = admin_client.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()

    assert "Last sign-in" in page
    assert "last_login" not in page
