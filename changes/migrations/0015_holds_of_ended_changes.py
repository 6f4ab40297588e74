from django.db import migrations


def end_them(apps, schema_editor):
    """Ends the holds that outlived their change: it was rejected, cancelled or closed, and nobody could have anything go on by
    resuming it. Who ended the change stands in the trail; nobody resumed it, so that no name is put there."""
    Hold = apps.get_model("changes", "Hold")
    RFC = apps.get_model("changes", "RFC")
    ended = dict(
        RFC.objects.filter(state__in=["closed", "rejected", "cancelled"]).values_list("pk", "state_at")
    )
    for hold in Hold.objects.filter(subject_type="changes.rfc", resumed_at__isnull=True):
        if hold.subject_id in ended:
            hold.resumed_at = max(hold.placed_at, ended[hold.subject_id])
            hold.resume_reason = "It ended with its change."
            hold.save(update_fields=["resumed_at", "resume_reason"])


class Migration(migrations.Migration):
    dependencies = [("changes", "0014_change_tasks")]

    operations = [migrations.RunPython(end_them, migrations.RunPython.noop, elidable=True)]
