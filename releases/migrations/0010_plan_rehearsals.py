import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from patchflow.kernel.append_only import AppendOnly


class Migration(migrations.Migration):

    dependencies = [
        ('releases', '0009_periodic_reviews'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PlanRehearsal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64)),
                ('seed', models.PositiveIntegerField()),
                ('inputs', models.JSONField(default=dict)),
                ('starts_at', models.DateTimeField(help_text='When the rehearsed deployment starts.')),
                ('end', models.CharField(choices=[('full', 'full'), ('partial', 'partial'), ('failed', 'failed'), ('halted', 'halts'), ('stuck', 'waits without end')], max_length=12)),
                ('cause', models.TextField(blank=True, default='', help_text='Why it halts, or would wait without end.')),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('stopped_at', models.DateTimeField(blank=True, null=True)),
                ('result', models.JSONField(default=dict)),
                ('made_at', models.DateTimeField()),
                ('made_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rehearsals', to='releases.release')),
            ],
            options={
                'verbose_name': 'plan rehearsal',
                'ordering': ['-id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('end__in', ['full', 'partial', 'failed', 'halted', 'stuck'])), name='releases_rehearsal_end'), models.CheckConstraint(condition=models.Q(models.Q(('ends_at__isnull', False), ('stopped_at__isnull', True)), models.Q(('ends_at__isnull', True), ('stopped_at__isnull', False)), _connector='OR'), name='releases_rehearsal_one_end')],
            },
        ),
        AppendOnly("releases_planrehearsal"),
    ]
