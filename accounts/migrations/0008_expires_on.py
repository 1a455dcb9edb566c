from django.db import migrations, models

import accounts.fields

# Leaves room in each page, so that a refresh can write the new version of a row to the same page. The value was
# measured (benchmarks/RESULTS.md).
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
            field=models.DateTimeField(help_text="When the refresh token expires.", verbose_name="expires"),
        ),
        # Before the next operation, because adding a generated column makes PostgreSQL rewrite the whole table, which
        # applies the fill factor to existing rows.
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
