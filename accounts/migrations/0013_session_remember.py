from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_activity_by_event")]

    operations = [
        migrations.AddField(
            model_name="refreshtoken",
            name="remember",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether the browser stays signed in after it is closed.",
            ),
        ),
    ]
