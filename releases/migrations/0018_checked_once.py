from django.db import migrations

from patchflow.kernel.references import CheckedByStatement


class Migration(migrations.Migration):
    dependencies = [("releases", "0017_room_to_write")]

    operations = [
        CheckedByStatement("releases_jobevent", "job_id", "releases_job"),
        CheckedByStatement("releases_permissionslip", "job_id", "releases_job"),
        CheckedByStatement("releases_permissionslip", "rollout_id", "releases_rollout"),
    ]
