from django.db import migrations


def label(apps, schema_editor):
    """Slots that releases of the simulator hold already say so too."""
    simulated = apps.get_model("releases", "Release").objects.filter(executor="simulator")
    slots = apps.get_model("changes", "ChangeSlot").objects.filter(holder__in=simulated.values("number"))
    slots.update(simulated=True)


class Migration(migrations.Migration):

    dependencies = [
        ("releases", "0021_rehearsed_before_a_release"),
        ("changes", "0013_simulated_slots"),
    ]

    operations = [migrations.RunPython(label, migrations.RunPython.noop, elidable=True)]
