"""Run in a project of its own by tests/clients/test_linking.py: prints the outcome of each scenario as JSON."""

import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from tempfile import NamedTemporaryFile
from threading import Barrier
from uuid import uuid4

import django

django.setup()

from authclient.django import linking  # noqa: E402
from authclient.django.models import Identity  # noqa: E402
from authclient.verifier import AccessToken  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connection  # noqa: E402

User = get_user_model()
ISSUER = "https://auth.example.com"


def token(subject, email=None, *, verified=True):
    claims = {} if email is None else {"email": email, "email_verified": verified}
    return AccessToken(ISSUER, subject, uuid4(), ("user",), 0, 0, claims, "id")


def create(email, **fields):
    if User.USERNAME_FIELD != "email":
        fields["username"] = uuid4().hex
    return User.objects.create(email=email, **fields)


def link(function, *arguments, **options):
    """Return the linked user, or the code of the refusal."""
    try:
        return function(token(*arguments, **options))
    except linking.AccountConflict as conflict:
        return conflict.get_codes()


def at_once(function, *tokens):
    """Link tokens in as many threads at the same time; return the keys of the users, or the codes of refusals."""
    barrier = Barrier(len(tokens))

    def run(arguments):
        try:
            barrier.wait(30)
            result = link(function, *arguments)
            return result if isinstance(result, str) else result.pk
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tokens)) as pool:
        return list(pool.map(run, tokens))


def describe(result, **known):
    """Return the name under which a user is known, "new" with its address, or the code of a refusal."""
    if isinstance(result, str):
        return result
    names = [name for name, user in known.items() if user.pk == result.pk]
    return names[0] if names else f"new {result.email or '-'}"


def scenarios():
    by_email, by_subject = linking.by_verified_email, linking.by_subject
    ann = create("ann@example.com")
    yield "unverified", describe(link(by_email, "1", "ann@example.com", verified=False), ann=ann)
    yield "verified as text", describe(link(by_email, "2", "ann@example.com", verified="true"), ann=ann)
    yield "by subject", describe(link(by_subject, "3", "ann@example.com"), ann=ann)
    yield "verified", describe(link(by_email, "4", "Ann@Example.com"), ann=ann)
    yield "again, with another address", describe(link(by_email, "4", "new@example.com"), ann=ann)
    yield "second subject", describe(link(by_email, "5", "ann@example.com"), ann=ann)
    yield "newcomer", describe(link(by_email, "6", "zoe@example.com"))
    yield "second newcomer", describe(link(by_email, "7", "zoe@example.com"))
    yield "third newcomer", describe(link(by_email, "8", "zoe@example.com"))
    dotless = create("m\u0131ke@example.com")
    yield "another letter", describe(link(by_email, "9", "mike@example.com"), dotless=dotless)
    if hasattr(User, "is_staff"):
        root = create("root@example.com", is_staff=True)
        yield "staff", describe(link(by_email, "10", "root@example.com"), root=root)
    yield "one subject at once", len(set(at_once(by_subject, *[("20", "at@example.com")] * 4)))
    yield "one verified subject at once", len(set(at_once(by_email, *[("21", "at2@example.com")] * 4)))
    create("bea@example.com")
    results = at_once(by_email, ("30", "bea@example.com"), ("31", "bea@example.com"))
    yield "one address at once", len(set(results)) == 2
    at_once(by_email, ("32", "new2@example.com"), ("33", "new2@example.com"))
    yield "import", import_links()
    yield "links of one user", Identity.objects.count() == Identity.objects.values("user").distinct().count()


def import_links():
    """Run link_users with a good line, its repetition, and lines of a linked user, an unknown user, and no user at all."""
    dan, known = create("dan@example.com"), Identity.objects.first()
    lines = [(dan.pk, 70), (dan.pk, 70), (known.user_id, 71), (10**6, 72), ("no key", 73)]
    with NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"pk": pk, "id": number}, default=str) + "\n" for pk, number in lines)
        file.write(json.dumps({"pk": 5, "refused": "email: …"}) + "\n")
        file.flush()
        errors = StringIO()
        try:
            call_command("link_users", file.name, stderr=errors)
        except CommandError:
            return *errors.getvalue().splitlines()[-2:], link(linking.by_subject, "70").pk == dan.pk
    return None


call_command("migrate", run_syncdb=True, verbosity=0)
print(json.dumps(dict(scenarios())))
