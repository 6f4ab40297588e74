from django.db import migrations

from patchflow.kernel.append_only import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("kernel", "0001_initial")]

    operations = [AppendOnly("kernel_auditentry", "kernel_auditleaf", "kernel_auditseal", "kernel_signoff")]
