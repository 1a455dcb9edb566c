from django.db import migrations, models

import accounts.fields

# Measured (benchmarks/RESULTS.md): enough for the next version of a row to stay in its page.
FILLFACTOR = "ALTER TABLE accounts_refreshtoken SET (fillfactor = 85)"
FULL = "ALTER TABLE accounts_refreshtoken RESET (fillfactor)"


def on_postgresql(statement):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_services")]

    operations = [
        migrations.AlterField(
            model_name="refreshtoken",
            name="expires_at",
            field=models.DateTimeField(help_text="When the refresh token is too old.", verbose_name="expires"),
        ),
        # Before the next operation: on PostgreSQL that one writes the table anew, with room in its pages.
        migrations.RunPython(on_postgresql(FILLFACTOR), on_postgresql(FULL)),
        migrations.AddField(
            model_name="refreshtoken",
            name="expires_on",
            field=models.GeneratedField(
                db_index=True,
                db_persist=True,
                expression=accounts.fields.UtcDate("expires_at"),
                output_field=models.DateField(),
            ),
        ),
    ]
