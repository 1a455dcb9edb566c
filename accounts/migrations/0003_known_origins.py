import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def forget_devices(apps, schema_editor):
    # Without the column `kind`, devices would be treated as networks.
    origins = apps.get_model("accounts", "KnownOrigin").objects.using(schema_editor.connection.alias)
    origins.filter(kind="device").delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles")]

    operations = [
        migrations.RemoveConstraint(model_name="knownnetwork", name="known_network_unique"),
        migrations.RenameModel(old_name="KnownNetwork", new_name="KnownOrigin"),
        migrations.AddField(
            model_name="knownorigin",
            name="kind",
            field=models.CharField(
                choices=[("network", "network"), ("device", "device")], default="network", max_length=8
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_devices),
        migrations.AlterField(
            model_name="knownorigin",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="known_origins",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="knownorigin",
            constraint=models.UniqueConstraint(fields=("user", "digest"), name="known_origin_unique"),
        ),
    ]
