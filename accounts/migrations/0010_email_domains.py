import logging

from django.db import migrations

from accounts.values.identifiers import email_key, normalize_email

logger = logging.getLogger("accounts.migrations")


def rewrite_addresses(apps, schema_editor):
    """Store every address with its domain in ASCII. Of accounts with the same address, one keeps it as its key."""
    users = apps.get_model("accounts", "User").objects.using(schema_editor.connection.alias)
    columns = ("pk", "email", "email_key", "email_verified_at", "created_at")
    outdated = [user for user in users.only(*columns).order_by("pk").iterator() if is_outdated(user)]
    for user in outdated:
        rewrite(users, user)


def is_outdated(user):
    return (user.email, user.email_key) != (normalize_email(user.email), email_key(user.email))


def rewrite(users, user):
    key = email_key(user.email)
    holder = users.filter(email_key=key).exclude(pk=user.pk).first()
    if holder is not None:
        loser = max(user, holder, key=lambda one: (one.email_verified_at is None, one.created_at, one.pk))
        logger.warning(
            "The users %s and %s have the same email address. User %s can sign in by username only, until the "
            "address of either is changed.", user.pk, holder.pk, loser.pk,
        )  # fmt: skip
        # Unique, and found by a search for "duplicate" in the admin.
        duplicate = f"duplicate {loser.pk}: {key}"
        users.filter(pk=loser.pk).update(email_key=duplicate)
        if loser.pk == user.pk:
            key = duplicate
    email = normalize_email(user.email)
    changed = {"email": email, "email_key": key}
    if user.email_verified_at and mailed_to(user.email) != mailed_to(email):
        logger.warning(
            "The address of user %s must be verified again: the link was sent to another domain.", user.pk
        )
        changed["email_verified_at"] = None
    users.filter(pk=user.pk).update(**changed)


def mailed_to(email):
    """Return the domain that Django sends email to: it encodes `ß`, among others, as in IDNA 2003."""
    domain = email.rpartition("@")[2]
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return domain


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_activity_by_event")]

    operations = [migrations.RunPython(rewrite_addresses, migrations.RunPython.noop)]
