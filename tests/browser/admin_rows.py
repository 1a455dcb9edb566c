"""Fill the database of a server with what makes the admin's pages wide: `manage.py shell` runs this file."""

from datetime import timedelta

from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.history.events import DESCRIPTIONS
from accounts.models import Activity, Application, EndReason, Invitation, RefreshToken, Service, SessionKind, User

NOW = timezone.now()
IPV6 = "2001:db8:85a3:1234:5678:8a2e:370:7334"
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "",
    "x" * 200,
    "<b>App</b>/1.0",
]
DETAILS = {
    "roles:changed": {"granted": ["moderator"], "taken": ["admin"]},
    "session:ended": {"reason": "ended_by_owner"},
    "session:reuse_detected": {"presented_generation": 3, "current_generation": 9},
}

Group.objects.create(name="Bürgerdienste")
root = User.objects.get(username="root")
names = ["jürgen.müller-lüdenscheidt", "käthe.von-und-zu-hohenstein-wartenburg", f"long-{'x' * 100}", "short"]
users = [
    User.objects.create_user(
        name,
        f"{index}.{'sehr-lange-adresse-' * 2}@verwaltung.example",
        None,
        fullname="Käthe von und zu Hohenstein",
    )
    for index, name in enumerate(names)
]
User.objects.filter(pk=users[-1].pk).update(is_active=False)


def session(owner, **columns):
    defaults = {
        "owner_stamp": owner.security_stamp, "created_at": NOW, "authenticated_at": NOW, "last_used_at": NOW,
        "expires_at": NOW + timedelta(days=7), "session_expires_at": NOW + timedelta(days=60), "secret_digest": b"",
        "address": IPV6,
    }  # fmt: skip
    RefreshToken.objects.create(owner=owner, **{**defaults, **columns})


for number, reason in enumerate(EndReason.values):
    session(users[number % 3], ended_at=NOW, end_reason=reason, user_agent=AGENTS[number % 4])
application = Application.objects.create(
    client_id=f"anwendung-{'x' * 50}", name=f"Verwaltungsanwendung {'der Bürgerdienste ' * 4}", is_confidential=True,
    redirect_uris=[f"https://{name}.verwaltung.example/{'zurück/'.encode().hex() * 8}" for name in ("a", "b")],
    previous_secret_digest="x",
)  # fmt: skip
for owner in users:
    session(owner, kind=SessionKind.BROWSER, user_agent=AGENTS[0])
    session(
        owner, application=application, parent=RefreshToken.objects.order_by("pk").last(), user_agent=AGENTS[2]
    )
    session(owner, expires_at=NOW - timedelta(days=1), user_agent=AGENTS[2])
    session(owner, last_used_at=NOW - timedelta(minutes=59), user_agent=AGENTS[0])
Activity.objects.bulk_create(
    Activity(
        user=users[number % 3], event=str(event), at=NOW, address=IPV6, user_agent=AGENTS[number % 4], by=root.pk,
        details=DETAILS.get(event, {}), session_id=RefreshToken.objects.first().pk,
    )
    for number, event in enumerate(DESCRIPTIONS)
)  # fmt: skip
for number in range(3):
    Invitation.objects.create(
        email=f"{'mit-langem-namen-' * 3}{number}@verwaltung.example", roles=["moderator", "admin"],
        token_digest=str(number), invited_by=root, expires_at=NOW, used_by=users[number],
    )  # fmt: skip
Service.objects.create(client_id=f"dienst-{'x' * 50}", audience=f"https://example.com/{'abteilung/' * 15}")
