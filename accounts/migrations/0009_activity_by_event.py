from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_expires_on")]

    operations = [
        migrations.AddIndex(
            model_name="activity",
            index=models.Index(fields=["event", "id"], name="activity_by_event"),
        ),
    ]
