"""docs/moving.md: a project with simplejwt and knox moves as the page says; and the rules of import_users."""

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import bcrypt
import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts.models import Activity, Role, User
from accounts.users import importing
from tests.conftest import Api
from tests.factories import PASSWORD, make_user, password_hash
from tests.servers import ROOT, Server, environment, free_port

MOVING = (ROOT / "docs/moving.md").read_text()
EXPORT, IMPORT, SERVE, INSTALL, LINK = re.findall(r"```sh\n(.*?)```", MOVING, re.DOTALL)
SETTINGS, LAST_SETTINGS = re.findall(r"```python\n(.*?)```", MOVING, re.DOTALL)
OLD_SETTINGS = """
INSTALLED_APPS += ["rest_framework", "rest_framework_simplejwt", "knox"]
ALLOWED_HOSTS = ["*"]
"""
URLS = """
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView

class Basket(APIView):
    def get(self, request):
        return Response({"of": request.user.username})

urlpatterns = [path("api/token/", TokenObtainPairView.as_view()), path("basket", Basket.as_view())]
"""
CREATE_USERS = f"""
from django.contrib.auth.models import Group, User
alice = User.objects.create_user("alice", "alice@example.com", "{PASSWORD}", first_name="Alice", last_name="A.")
bob = User.objects.create_user("bob", "bob@example.com", "{PASSWORD}")
alice.groups.add(Group.objects.create(name="Shop managers"))
bob.groups.add(Group.objects.create(name="Newsletter"), Group.objects.create(name="admin"))
User.objects.create_user("carol@home", "carol@example.com", "{PASSWORD}")
User.objects.create_superuser("root", "root@example.com", "{PASSWORD}")
"""
REQUEST_BASKET = """
import sys
from django.test import Client
response = Client().get("/basket", headers={"Authorization": sys.stdin.read()})
body = response.json()
print(response.status_code, *(body[name] for name in ("of", "code", "detail") if name in body))
"""
CREATE_SHOPPERS = """
from django.contrib.auth.models import User
for name in ("erin", "frank"):
    User.objects.create_user(f"{name}-in-the-shop", f"{name}@example.com")
"""
OLD_TOKENS = f"""
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken
print(Client().post("/api/token/", {{"username": "alice", "password": "{PASSWORD}"}}).json()["access"])
print(AuthToken.objects.create(User.objects.get(username="bob"))[1])
"""


class OldProject:
    """A project named shop, with users, simplejwt and knox, before the move."""

    def __init__(self, folder):
        self.folder = folder
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("AUTH", "DJANGO", "DATABASE"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**inherited, "PYTHONPATH": str(ROOT / "clients/python"), "PATH": path}
        self.run("python -m django startproject shop .")
        self.add("settings", OLD_SETTINGS)
        (folder / "shop/urls.py").write_text(URLS)
        self.run("python manage.py migrate --verbosity 0")
        self.shell(CREATE_USERS)

    def add(self, module, text):
        with (self.folder / f"shop/{module}.py").open("a") as file:
            file.write(f"\n{text}")

    def run(self, command, text=""):
        done = subprocess.run(
            ["sh", "-ec", command], cwd=self.folder, env=self.environment,
            check=False, capture_output=True, text=True, input=text, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, script, text=""):
        (self.folder / "script.py").write_text(script)
        return self.run("""python manage.py shell -v 0 -c "exec(open('script.py').read())" """, text)

    def request_basket(self, authorization):
        return self.shell(REQUEST_BASKET, authorization).strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder, port = tmp_path_factory.mktemp("moved"), free_port()
    documented = dict(re.findall(r"([A-Z_]+)=(\S+)", SERVE))
    assert set(documented) == {"PUBLIC_URL", "AUTH_AUDIENCE", "AUTH_PROFILE_CLAIMS"}
    settings = {**documented, "PUBLIC_URL": f"http://localhost:{port}", "PORT": str(port)}
    server = Server(environment(folder, django_db_blocker, **settings), folder / "log")
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def old_project(tmp_path_factory):
    return OldProject(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def imported(old_project, server):
    old_project.run(EXPORT)
    command = IMPORT.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py")
    done = subprocess.run(
        ["sh", "-ec", command], cwd=old_project.folder, env=server.environment,
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    lines = map(json.loads, (old_project.folder / "ids.jsonl").read_text().splitlines())
    return done, {line["username"]: line for line in lines}


@pytest.fixture(scope="module")
def old_tokens(old_project, server, imported):
    tokens = old_project.shell(OLD_TOKENS).split()
    old_project.add("settings", SETTINGS.replace("https://auth.example.com", server.environment["PUBLIC_URL"]))
    old_project.run(LINK)
    return tokens


def test_accounts_that_break_a_rule_are_refused_and_all_others_are_imported(imported):
    done, results = imported

    assert done.returncode == 1
    assert "3 account(s) imported or already present, 1 refused" in done.stderr
    assert "no spaces, no @" in results["carol@home"]["refused"]
    assert {name for name, line in results.items() if "id" in line} == {"alice", "bob", "root"}
    assert results["root"]["note"] == "Staff and superuser rights were not imported."


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("alice", ["ROLE_MODERATOR", "ROLE_USER"]),
        ("bob", ["ROLE_ADMIN", "ROLE_USER"]),
        ("root", ["ROLE_USER"]),
    ],
)
def test_the_old_password_signs_in_and_groups_have_become_roles(server, imported, name, roles):
    status, body = server.post("/api/auth/signin", {"username": name, "password": PASSWORD})

    assert (status, body["roles"], body["id"]) == (200, roles, imported[1][name]["id"])
    assert server.post("/api/auth/signin", {"username": name, "password": "wrong"})[0] == 401


def test_the_old_project_accepts_old_and_new_tokens(old_project, server, old_tokens):
    jwt, knox = old_tokens
    new = server.post("/api/auth/signin", {"username": "bob", "password": PASSWORD})[1]["accessToken"]

    assert old_project.request_basket(f"Bearer {jwt}") == "200 alice"
    assert old_project.request_basket(f"Token {knox}") == "200 bob"
    assert old_project.request_basket(f"Bearer {new}") == "200 bob"
    assert old_project.request_basket(f"Bearer {new[:-20]}{'A' * 10}{new[-10:]}") == "401 Unauthorized!"
    assert old_project.request_basket("Bearer nonsense").startswith("401 token_not_valid")


def test_a_user_who_signed_up_after_the_import_gets_a_new_user_in_the_old_project(old_project, server, old_tokens):
    new = server.sign_in("dora")["accessToken"]

    assert old_project.request_basket(f"Bearer {new}").startswith("200 account-")
    assert old_project.request_basket(f"Bearer {new}").startswith("200 account-")


def test_repeating_the_import_changes_nothing(old_project, server, old_tokens):
    command = IMPORT.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py")
    before = (old_project.folder / "ids.jsonl").read_text()
    subprocess.run(["sh", "-ec", command], cwd=old_project.folder, env=server.environment, check=False, timeout=60)
    old_project.run(LINK)

    assert (old_project.folder / "ids.jsonl").read_text() == before


def test_a_user_is_linked_by_a_verified_email_address_only(old_project, server, old_tokens):
    old_project.shell(CREATE_SHOPPERS)
    by_email = 'AUTH_SERVICE["user"] = "authclient.django.linking.by_verified_email"\n'
    path = old_project.folder / "shop/settings.py"
    before = path.read_text()
    old_project.add("settings", by_email)
    try:
        verified, unverified = (
            sign_in(server, "erin", is_verified=True),
            sign_in(server, "frank", is_verified=False),
        )
        assert old_project.request_basket(f"Bearer {verified}") == "200 erin-in-the-shop"
        assert old_project.request_basket(f"Bearer {verified}") == "200 erin-in-the-shop"
        assert old_project.request_basket(f"Bearer {unverified}").startswith("200 account-")
    finally:
        path.write_text(before)


def test_after_the_last_step_only_new_tokens_are_accepted(old_project, server, old_tokens):
    path = old_project.folder / "shop/settings.py"
    before = path.read_text()
    old_project.add("settings", LAST_SETTINGS)
    try:
        new = server.post("/api/auth/signin", {"username": "alice", "password": PASSWORD})[1]["accessToken"]
        assert old_project.request_basket(f"Bearer {new}") == "200 alice"
        assert old_project.request_basket(f"Bearer {old_tokens[0]}") == "401 token_invalid"
        assert old_project.request_basket(f"Token {old_tokens[1]}") == "401 token_missing"
    finally:
        path.write_text(before)


def test_the_installed_package_has_the_version_that_is_built():
    version = re.search(r'^version = "(.*)"$', (ROOT / "clients/python/pyproject.toml").read_text(), re.MULTILINE)[
        1
    ]

    assert f"pip install authclient-{version}-py3-none-any.whl\n" == INSTALL


def sign_in(server, username, *, is_verified):
    """Sign up and sign in a user; return an access token."""
    server.sign_in(username)
    if is_verified:
        script = (
            "from accounts.models import User; from django.utils import timezone; "
            f"User.objects.filter(username={username!r}).update(email_verified_at=timezone.now())"
        )
        server.manage("shell", "--no-imports", "-c", script)
    return server.sign_in(username)["accessToken"]


def user(pk, username, /, **fields):
    email = f"{username}@example.com"
    return {
        "model": "auth.user",
        "pk": pk,
        "fields": {"username": username, "email": email, "password": password_hash(), **fields},
    }


def import_entries(tmp_path, *entries, groups=(), file_format="jsonl"):
    """Run import_users; return the result of each entry, and the summary that went to standard error."""
    lines = "\n".join(map(json.dumps, entries)) if file_format == "jsonl" else json.dumps(entries, indent=2)
    path = tmp_path / "users"
    path.write_text(lines)
    output, error_output = StringIO(), StringIO()
    options = [f"--group={group}" for group in groups]
    try:
        call_command("import_users", str(path), *options, stdout=output, stderr=error_output)
    except CommandError as error:
        error_output.write(str(error))
    results = [json.loads(line) for line in output.getvalue().splitlines()]
    messages = error_output.getvalue().splitlines(keepends=True)
    return results, "".join(line for line in messages if not line.startswith("Database: "))


@pytest.mark.parametrize("hasher", ["pbkdf2_sha256", "pbkdf2_sha1", "scrypt", "bcrypt", "bcrypt_sha256"])
def test_an_imported_hash_is_valid_and_upgraded_at_the_next_sign_in(tmp_path, hasher):
    import_entries(tmp_path, user(1, "alice", password=make_password(PASSWORD, hasher=hasher)))

    assert User.objects.get().password.startswith(hasher)
    assert Api().sign_in("alice").status_code == 200
    assert User.objects.get().password.startswith("argon2$argon2id$")
    assert Api().sign_in("alice").status_code == 200


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_a_bcrypt_hash_of_another_framework_is_imported(tmp_path, prefix):
    digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", prefix)
    import_entries(tmp_path, user(1, "alice", password=digest))

    assert Api().sign_in("alice", "wrong password").status_code == 401
    assert Api().sign_in("alice").status_code == 200
    assert User.objects.get().password.startswith("argon2$argon2id$")


def test_name_state_and_join_date_are_imported(tmp_path):
    join_date = "2019-05-06T07:08:09.123Z"
    import_entries(
        tmp_path, user(1, "alice", first_name="Alice", last_name="A.", date_joined=join_date, is_active=False)
    )

    alice = User.objects.get()
    assert (alice.fullname, alice.is_active, alice.is_email_verified) == ("Alice A.", False, False)
    assert alice.created_at.isoformat() == "2019-05-06T07:08:09.123000+00:00"
    assert Activity.objects.get().event == "user:imported"


def test_an_account_without_a_usable_password_needs_a_reset_to_sign_in(tmp_path, mailoutbox):
    import_entries(tmp_path, user(1, "alice", password="!unusable"))

    assert Api().sign_in("alice", "!unusable").status_code == 401
    Api().post("/api/auth/password/reset", {"email": "alice@example.com"})
    assert "reset-password" in mailoutbox[0].body


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"email": ""}, "email: "),
        ({"email": "nobody"}, "email: "),
        ({"username": "a b"}, "username: "),
        ({"username": "x" * 151}, "username: "),
        ({"first_name": "x" * 151}, "fullname: "),
        ({"first_name": "\ud800"}, "surrogates"),
        ({"password": "plain text"}, "password: The hash is malformed or not one of argon2, pbkdf2_sha256"),
        ({"password": "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99"}, "password: "),
        ({"password": "pbkdf2_sha256$many$salt$hash"}, "password: "),
        ({"password": f"pbkdf2_sha256$-5$salt${'A' * 43}="}, "password: The hash is malformed"),
        ({"password": f"scrypt$3$salt$8$1${'A' * 86}=="}, "password: The hash is malformed"),
        ({"password": f"pbkdf2_sha256$50000000$salt${'A' * 43}="}, "Allowed: at most 2000000 iterations."),
        ({"password": "$2b$15$" + "e" * 53}, "Allowed: at most 14 rounds."),
        ({"password": "!\0"}, "password: "),
        ({"password": ""}, "password: "),
        ({"groups": [["Editors"]]}, "groups: 'Editors' is not a role here"),
        ({"groups": [3]}, "groups: '3' is not a role here"),
        ({"groups": None}, "groups: "),
        ({"date_joined": "2019-13-01T00:00:00Z"}, "month"),
        ({"date_joined": 5}, "Invalid value"),
        ({"password": None}, "This entry is not a user with the fields username, email, password."),
    ],
)
def test_an_account_that_breaks_a_rule_is_refused_with_the_reason_and_others_are_imported(
    tmp_path, fields, reason
):
    results, error_output = import_entries(tmp_path, user(1, "alice", **fields), user(2, "bob"))

    assert results[0]["pk"] == 1
    assert reason in results[0]["refused"]
    assert results[1]["id"] == User.objects.get(username="bob").pk
    assert User.objects.count() == 1
    assert error_output.endswith(
        '\n1 account(s) imported or already present, 1 refused. See "refused" in the output for the reasons.'
    )
    assert "plain text" not in str(results)


def test_the_refused_accounts_are_summarized_by_reason_with_the_first_lines(tmp_path):
    blanks = [user(pk, f"a blank {pk}", email=f"{pk}@example.com") for pk in range(60)]
    costly = [user(99, "costly", password=f"pbkdf2_sha256$50000000$salt${'A' * 43}=", email="")]
    results, error_output = import_entries(tmp_path, user(100, "bob"), *blanks, *costly)

    *reasons, total = error_output.splitlines()
    assert reasons == [
        "60 × username: A username can contain only letters, digits and . _ - + (no spaces, no @). (lines 2, 3, 4, 5, 6, …)",
        "1 × email: This field cannot be blank. (line 62)",
        "1 × password: The hash costs too much to verify. Allowed: at most 2000000 iterations. (line 62)",
    ]
    assert total.startswith("1 account(s) imported or already present, 61 refused.")
    assert len(results) == 62


def test_blank_lines_count_and_entries_of_a_list_are_numbered(tmp_path):
    path = tmp_path / "users"
    path.write_text(f"\n\n{json.dumps(user(1, 'a b'))}\n")
    with pytest.raises(CommandError) as lines:
        call_command("import_users", str(path), stdout=StringIO(), stderr=(error_output := StringIO()))
    assert "(line 3)" in error_output.getvalue()
    assert lines.value.returncode == 1

    _, error_output = import_entries(tmp_path, user(1, "alice"), user(2, "a b"), file_format="json")
    assert "(entry 2)" in error_output


def test_the_summary_is_limited_to_the_most_frequent_reasons(tmp_path):
    entries = [user(pk, f"user{pk}", groups=[[f"group {pk % 30}"]]) for pk in range(45)]
    _, error_output = import_entries(tmp_path, *entries)

    *reasons, rest, _total = error_output.splitlines()
    assert len(reasons) == 20
    assert [line[:4] for line in reasons[14:16]] == ["2 × ", "1 × "]
    assert rest == "10 more reasons: see the output."


@pytest.mark.parametrize("entry", [7, None, "alice", {}, {"fields": 3}, {"pk": 1, "fields": {"name": "Editors"}}])
def test_an_entry_that_is_not_a_user_is_refused(tmp_path, entry):
    results, _ = import_entries(tmp_path, entry, user(2, "bob"))

    assert "This entry is not a user" in results[0]["refused"]
    assert User.objects.count() == 1


def test_an_account_whose_name_or_email_differs_only_by_case_is_refused(tmp_path):
    results, _ = import_entries(
        tmp_path,
        user(1, "alice"),
        user(2, "Alice", email="other@example.com"),
        user(3, "ALICE", email="alice@example.com"),
        user(4, "bob", email="Alice@Example.com"),
    )

    assert [line.get("refused") for line in results] == [
        None,
        "username: Another account already has this username.",
        "username: Another account already has this username.",
        "email: Another account already has this email.",
    ]


def test_an_existing_account_is_not_changed(tmp_path):
    alice = make_user("alice", fullname="Alice here", roles=("moderator",))
    results, error_output = import_entries(
        tmp_path, user(1, "alice", first_name="Alice there", groups=[["admin"]])
    )

    assert results == [{"pk": 1, "username": "alice", "id": alice.pk}]
    assert error_output == "1 account(s) imported or already present.\n"
    alice.refresh_from_db()
    assert (alice.fullname, alice.role_names) == ("Alice here", ("moderator",))


def test_a_group_becomes_the_role_that_the_option_names(tmp_path):
    Role.objects.create(name="editor")
    entry = user(1, "alice", groups=[["Editors"], ["News=letter"], ["moderator"]])
    import_entries(tmp_path, entry, groups=["Editors=editor", "News=letter="])

    assert User.objects.get().role_names == ("editor", "moderator", "user")


@pytest.mark.parametrize(("group", "message"), [("Editors=emperor", "emperor"), ("Editors", "NAME=ROLE")])
def test_an_unknown_role_stops_the_import_before_any_account_is_imported(tmp_path, group, message):
    results, error_output = import_entries(tmp_path, user(1, "alice"), groups=[group])

    assert (results, User.objects.count()) == ([], 0)
    assert message in error_output


def test_a_json_list_and_standard_input_are_accepted_too(tmp_path, monkeypatch):
    assert len(import_entries(tmp_path, user(1, "alice"), user(2, "bob"), file_format="json")[0]) == 2

    monkeypatch.setattr(sys, "stdin", StringIO(json.dumps(user(3, "carol")) + "\n\n"))
    call_command("import_users", "-", stdout=StringIO(), stderr=StringIO())
    assert User.objects.count() == 3


def test_a_truncated_file_is_refused_with_the_line_number(tmp_path):
    path = tmp_path / "cut"
    path.write_text(json.dumps(user(1, "alice")) + '\n{"model": "auth')

    with pytest.raises(CommandError, match=r"^Line 2 is not valid JSON"):
        call_command("import_users", str(path))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_users", str(tmp_path / "none"))


def test_a_failing_batch_is_rolled_back_and_earlier_ones_remain(monkeypatch):
    entries = [user(pk, f"user{pk}") for pk in range(5)]
    calls = []

    def fail_in_the_second(granted):
        calls.append(granted)
        if len(calls) == 2:
            raise RuntimeError

    monkeypatch.setattr(importing, "record_imports", fail_in_the_second)
    with pytest.raises(RuntimeError):
        list(importing.import_accounts(entries, {}, batch_size=2))

    assert sorted(User.objects.values_list("username", flat=True)) == ["user0", "user1"]
    assert len(list(importing.import_accounts(entries, {}, batch_size=2))) == 5
    assert all(account.role_names == ("user",) for account in User.objects.all())


def test_a_batch_that_conflicts_with_a_sign_up_is_retried(monkeypatch):
    grant_roles, conflicts = importing._grant_roles, []

    def raise_once(new):
        if not conflicts:
            conflicts.append(True)
            raise IntegrityError
        grant_roles(new)

    monkeypatch.setattr(importing, "_grant_roles", raise_once)
    results = list(importing.import_accounts([user(1, "alice"), user(2, "bob")], {}, batch_size=9))

    assert [account.refusal for account in results] == ["", ""]
    assert User.objects.count() == 2
