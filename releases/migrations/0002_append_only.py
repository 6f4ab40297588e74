from django.db import migrations

from patchflow.kernel.append_only import AppendOnly


class Migration(migrations.Migration):
    dependencies = [("releases", "0001_initial")]

    operations = [
        AppendOnly(
            "releases_acceptancestep",
            "releases_manifest",
            "releases_permissionslip",
            "releases_reviewanswer",
            "releases_reviewdefinition",
        )
    ]
