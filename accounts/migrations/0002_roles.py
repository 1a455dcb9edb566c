from django.db import migrations

NAMES = ("user", "moderator", "admin")


def add_roles(apps, schema_editor):
    roles = apps.get_model("accounts", "Role").objects.using(schema_editor.connection.alias)
    roles.bulk_create([roles.model(name=name) for name in NAMES], ignore_conflicts=True)


def remove_roles(apps, schema_editor):
    roles = apps.get_model("accounts", "Role").objects.using(schema_editor.connection.alias)
    roles.filter(name__in=NAMES).delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(add_roles, remove_roles)]
