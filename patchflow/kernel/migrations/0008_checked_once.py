from django.db import migrations

from patchflow.kernel.references import CheckedByStatement


class Migration(migrations.Migration):
    dependencies = [("kernel", "0007_fewer_indexes")]

    operations = [CheckedByStatement("kernel_auditentry", "actor_id", "kernel_user")]
