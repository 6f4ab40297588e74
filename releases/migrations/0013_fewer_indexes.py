import django.db.models.deletion
from django.db import migrations, models

from patchflow.kernel.append_only import AppendOnly


class Migration(migrations.Migration):

    dependencies = [
        ('cmdb', '0002_support_group'),
        ('releases', '0012_trial'),
    ]

    operations = [
        # Taking the index of a single column away takes a conditional unique one on it along: it is made again below.
        migrations.RemoveConstraint(
            model_name='job',
            name='releases_job_one_live_per_host',
        ),
        migrations.RemoveIndex(
            model_name='job',
            name='releases_job_live',
        ),
        migrations.AlterField(
            model_name='job',
            name='host',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='cmdb.host'),
        ),
        migrations.AlterField(
            model_name='job',
            name='job_key',
            field=models.CharField(max_length=100),
        ),
        migrations.AlterField(
            model_name='job',
            name='not_before',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='job',
            name='ring',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='releases.ring'),
        ),
        migrations.AlterField(
            model_name='job',
            name='rollout',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='releases.rollout'),
        ),
        migrations.AlterField(
            model_name='job',
            name='state',
            field=models.CharField(choices=[('pending', 'pending'), ('claimed', 'claimed'), ('staged', 'staged'), ('installing', 'installing'), ('restarting', 'restarting'), ('verifying', 'verifying'), ('unknown', 'unknown'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('undone', 'undone'), ('lost', 'lost'), ('refused', 'refused'), ('not_needed', 'not needed'), ('cancelled', 'cancelled')], default='pending', editable=False, max_length=24),
        ),
        migrations.AlterField(
            model_name='jobevent',
            name='job',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='releases.job'),
        ),
        migrations.AlterField(
            model_name='permissionslip',
            name='job',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='slips', to='releases.job'),
        ),
        migrations.AlterField(
            model_name='permissionslip',
            name='rollout',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='slips', to='releases.rollout'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state__in', ['claimed', 'staged', 'installing', 'restarting', 'verifying', 'unknown', 'lost'])), fields=['state'], name='releases_job_at_work'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(fields=('job_key',), name='releases_job_key'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['claimed', 'staged', 'installing', 'restarting', 'verifying', 'unknown'])), fields=('host',), name='releases_job_one_live_per_host'),
        ),
        AppendOnly('releases_permissionslip'),  # SQLite makes an altered table anew, without its triggers
    ]
