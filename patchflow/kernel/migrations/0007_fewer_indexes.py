import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from patchflow.kernel.append_only import AppendOnly


class Migration(migrations.Migration):

    dependencies = [
        ('kernel', '0006_trial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='auditentry',
            name='actor',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        AppendOnly('kernel_auditentry'),  # SQLite makes an altered table anew, without its triggers
    ]
