"""An index of the few fixes that are about kernels: findings ask for them apart from the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("changes", "0002_append_only")]

    operations = [
        migrations.AddIndex(
            model_name="fix",
            index=models.Index(
                condition=models.Q(("is_kernel", True)), fields=["id"], name="changes_fix_kernels"
            ),
        ),
    ]
