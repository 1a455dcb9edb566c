"""Use the whole service in one process, in a project with a replica that never receives what is written.

Run in the project as `python -m tests.embedded.journey`. Any query of the app on the replica fails.
"""

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core import mail  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from accounts.databases import alias_of  # noqa: E402
from accounts.history import background  # noqa: E402
from accounts.models import GuessCount, KnownOrigin, RefreshToken, Service, User  # noqa: E402
from accounts.sessions import services  # noqa: E402

PASSWORD = os.environ["PASSWORD"]
NEW_PASSWORD = "another horse battery"
ALICE = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}


def refuse_queries_of_the_app(execute, sql, params, many, context):
    # Django's own: the list of recent actions, and the groups in the form of a user.
    if not sql.startswith(('SELECT "django_admin_log"', 'SELECT "auth_group"', 'SELECT "auth_permission"')):
        assert "accounts_" not in sql, f"on the replica: {sql}"
    assert "django_session" not in sql, f"on the replica: {sql}"
    return execute(sql, params, many, context)


def refuse_queries(execute, sql, params, many, context):
    raise AssertionError(f"on the replica: {sql}")


class Api:
    http = Client()
    token = ""

    def call(self, method, path, body=None, *, expect, **headers):
        headers = {"authorization": f"Bearer {self.token}", **headers} if self.token else headers
        options = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = getattr(self.http, method)(path, headers=headers, **options)
        assert response.status_code == expect, (method, path, response.status_code, response.content)
        return response.json() if response.content else {}

    def sign_in(self, password):
        self.token = ""
        pair = self.call("post", "/api/auth/signin", {"username": "alice", "password": password}, expect=200)
        self.token = pair["accessToken"]
        return pair

    def refresh(self, pair):
        self.token = ""
        next_pair = self.call("post", "/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]}, expect=200)
        self.token = next_pair["accessToken"]
        return next_pair


def mailed_token(subject_part):
    """Return the token of the link in the email that a background thread sends."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for message in mail.outbox:
            if subject_part in message.subject.lower():
                return message.body.partition("#token=")[2].split()[0]
        time.sleep(0.01)
    raise AssertionError([message.subject for message in mail.outbox])


def account(api):
    api.call("post", "/api/auth/signup", ALICE, expect=201)
    api.call("post", "/api/auth/email/verify", {"token": mailed_token("verify")}, expect=204)
    pair = api.sign_in(PASSWORD)
    profile = api.call("get", "/api/auth/me", expect=200)
    assert profile["roles"] == ["ROLE_USER"], profile
    successor = api.refresh(pair)
    assert api.refresh(pair)["refreshToken"] == successor["refreshToken"]  # a retry within the grace period
    assert len(api.call("get", "/api/auth/sessions", expect=200)) == 1
    assert api.call("get", "/api/auth/activity", expect=200)
    api.call("patch", "/api/auth/me", {"fullname": "Alice A", "username": "alice2"}, expect=200)
    api.call("patch", "/api/auth/me", {"username": "alice"}, expect=200)
    call_command("grantrole", "alice", "moderator")
    assert api.call("get", "/api/test/mod", expect=401)["code"] == "token_stale"
    api.refresh(successor)
    api.http.get("/api/test/mod")
    api.call("post", "/api/auth/reauthenticate", {"password": PASSWORD}, expect=200)


def passwords(api):
    change = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    pair = api.sign_in(PASSWORD)
    api.call("post", "/api/auth/password/change", change, expect=204)
    api.refresh(pair)
    api.token = ""
    api.call("post", "/api/auth/password/reset", {"email": ALICE["email"]}, expect=202)
    confirm = {"token": mailed_token("reset"), "newPassword": PASSWORD}
    api.call("post", "/api/auth/password/reset/confirm", confirm, expect=204)
    api.call("post", "/api/auth/signin", {"username": "alice", "password": NEW_PASSWORD}, expect=401)
    assert GuessCount.objects.filter(count__gt=0).exists()
    assert KnownOrigin.objects.exists()


def registered_service(api):
    service = Service(client_id="orders", audience="shop")
    secret = services.new_secret(service)
    service.save()
    token = api.sign_in(PASSWORD)["accessToken"]
    form = urlencode({"token": token, "client_id": "orders", "client_secret": secret})
    response = Client().post("/api/oauth/introspect", form, content_type="application/x-www-form-urlencoded")
    assert response.json()["active"], response.content


def administration():
    call_command(
        "createsuperuser", "--noinput", username="root", email="root@example.com", database=alias_of(User)
    )
    browser = Client()
    form = {"username": "root", "password": PASSWORD}
    assert browser.post("/admin/login/?next=/admin/", form).status_code == 302
    pages = ("", "accounts/user/", "accounts/refreshtoken/", "accounts/activity/", "accounts/service/")
    alice = User.objects.get(username="alice")
    alice.groups.add(Group.objects.create(name="editors"))
    with connections["replica"].execute_wrapper(refuse_queries):
        assert not User.objects.get(pk=alice.pk).has_perm("accounts.view_user")
    for page in (*pages, f"accounts/user/{alice.pk}/change/", "accounts/user/add/"):
        assert browser.get(f"/admin/{page}").status_code == 200, page
    session = RefreshToken.objects.first()
    assert (
        browser.post(f"/admin/accounts/refreshtoken/{session.pk}/revoke/", {"confirmed": "yes"}).status_code == 302
    )
    assert browser.post("/admin/logout/").status_code == 200
    assert browser.get("/admin/").status_code == 302


def commands(folder):
    exported = [
        {"model": "auth.user", "pk": 1, "fields": {"username": "bob", "email": "b@example.com", "password": "!"}}
    ]
    (folder / "users.json").write_text("\n".join(json.dumps(entry) for entry in exported))
    call_command("import_users", str(folder / "users.json"))
    assert User.objects.get(username="bob").role_names == ("user",)
    call_command("deactivateuser", "alice")
    call_command("activateuser", "alice")
    call_command("purge_expired_tokens", "--retain", "0")


def main():
    setup_test_environment()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    background.MAIL._delay = 0
    connections["replica"].execute_wrappers.append(refuse_queries_of_the_app)
    api = Api()
    account(api)
    passwords(api)
    registered_service(api)
    administration()
    commands(Path.cwd())
    api.sign_in(PASSWORD)
    api.call("delete", "/api/auth/me", expect=204)
    api.call("get", "/readyz", expect=200)
    assert not User.objects.using(alias_of(User)).filter(username="alice").exists()
    connections["replica"].execute_wrappers.clear()
    assert not User.objects.using("replica").exists()
    sys.stdout.write("the journey ended")


if __name__ == "__main__":
    main()
