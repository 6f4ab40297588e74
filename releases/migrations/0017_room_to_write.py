from django.db import migrations

from releases.migrations._room import as_before, make_room


class Migration(migrations.Migration):
    dependencies = [("releases", "0016_offline_rule")]

    operations = [migrations.RunPython(make_room, as_before, elidable=False)]
