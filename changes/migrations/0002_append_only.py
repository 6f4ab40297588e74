from django.db import migrations

from patchflow.kernel.append_only import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("changes", "0001_initial")]

    operations = [
        AppendOnly(
            "changes_cycleevent",
            "changes_evidence",
            "changes_revision",
            "changes_rfcrevision",
            "changes_riskassessment",
            "changes_updateresponse",
            "changes_verification",
        )
    ]
