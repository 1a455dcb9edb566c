from django.db import migrations, models

from accounts.values.password_hashes import highest_amounts, parse_cost

# The hashes of new passwords at the time of this migration.
CURRENT = "argon2$argon2id$v=19$m=19456,t=2,p=1$"


def remember_costs_of_earlier_imports(apps, schema_editor):
    alias = schema_editor.connection.alias
    users = apps.get_model("accounts", "User").objects.using(alias)
    passwords = users.values_list("password", flat=True).iterator()
    amounts = highest_amounts(_costs(passwords))
    rows = apps.get_model("accounts", "PasswordCost").objects.using(alias)
    rows.bulk_create(rows.model(kind=kind, amount=amount) for kind, amount in amounts.items())


def _costs(passwords):
    for password in passwords:
        try:
            if not password.startswith(CURRENT):
                yield parse_cost(password)
        except ValueError:
            continue  # unusable or malformed


class Migration(migrations.Migration):
    dependencies = [("accounts", "0014_derived_columns")]

    operations = [
        migrations.CreateModel(
            name="PasswordCost",
            fields=[
                ("kind", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("amount", models.PositiveIntegerField()),
                ("revision", models.PositiveIntegerField(default=0)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunPython(remember_costs_of_earlier_imports, migrations.RunPython.noop, elidable=True),
    ]
