import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('notices', '0001_initial'), ('notices', '0002_facts_and_wishes'), ('notices', '0003_webhooks')]

    initial = True

    dependencies = [
        ('kernel', '0001_squashed_0010_service_accounts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=60)),
                ('key', models.CharField(max_length=160, unique=True)),
                ('title', models.CharField(max_length=200)),
                ('url', models.CharField(blank=True, default='', max_length=300)),
                ('written_at', models.DateTimeField()),
                ('facts', models.JSONField(default=dict)),
            ],
            options={
                'indexes': [models.Index(fields=['kind', '-written_at'], name='notices_not_kind_2e9c89_idx')],
                'constraints': [],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('not_before', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('lease_owner', models.CharField(blank=True, default='', max_length=80)),
                ('fence', models.PositiveBigIntegerField(default=0)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('channel', models.CharField(choices=[('mail', 'mail'), ('inbox', 'here only')], max_length=10)),
                ('state', models.CharField(choices=[('queued', 'queued'), ('sent', 'sent'), ('failed', 'failed')], default='queued', max_length=10)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('read_at', models.DateTimeField(blank=True, null=True)),
                ('error', models.CharField(blank=True, default='', max_length=300)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to=settings.AUTH_USER_MODEL)),
                ('notice', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='notices.notice')),
                ('audience', models.CharField(choices=[('team', 'team'), ('management', 'management'), ('end_user', 'end users')], default='team', max_length=12)),
                ('body', models.TextField(default='')),
                ('language', models.CharField(default='en', max_length=8)),
                ('title', models.CharField(default='', max_length=200)),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'indexes': [models.Index(fields=['user', 'read_at', '-id'], name='notices_del_user_id_644361_idx')],
                'constraints': [models.UniqueConstraint(fields=('notice', 'user', 'channel'), name='notices_delivery_once'), models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'sent', 'failed'])), name='notices_delivery_state'), models.CheckConstraint(condition=models.Q(('channel__in', ['mail', 'inbox'])), name='notices_delivery_channel')],
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=60, verbose_name='kind')),
                ('wanted', models.CharField(choices=[('mail', 'by mail and here'), ('inbox', 'here only'), ('off', 'not at all')], default='mail', max_length=8, verbose_name='how')),
                ('reach', models.CharField(choices=[('mine', 'what concerns me'), ('scope', 'everything that I may see')], default='mine', max_length=8, verbose_name='about')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['kind', 'reach'], name='notices_sub_kind_3781e8_idx')],
                'constraints': [models.UniqueConstraint(fields=('user', 'kind'), name='notices_subscription_once'), models.CheckConstraint(condition=models.Q(('wanted__in', ['mail', 'inbox', 'off'])), name='notices_subscription_wanted'), models.CheckConstraint(condition=models.Q(('reach__in', ['mine', 'scope'])), name='notices_subscription_reach')],
            },
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('name', models.CharField(max_length=80, verbose_name='name')),
                ('url', models.CharField(max_length=500, verbose_name='address')),
                ('kinds', models.JSONField(blank=True, default=list, verbose_name='kinds')),
                ('roles', models.JSONField(blank=True, default=list, verbose_name='roles')),
                ('salt', models.CharField(editable=False, max_length=64)),
                ('salt_before', models.CharField(blank=True, default='', editable=False, max_length=64)),
                ('rotated_at', models.DateTimeField(blank=True, null=True)),
                ('made_at', models.DateTimeField()),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('disabled_why', models.CharField(blank=True, default='', max_length=200)),
                ('made_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name', 'id'],
                'indexes': [],
                'constraints': [],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('not_before', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('lease_owner', models.CharField(blank=True, default='', max_length=80)),
                ('fence', models.PositiveBigIntegerField(default=0)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('message_id', models.CharField(max_length=40, unique=True)),
                ('event', models.CharField(max_length=80, verbose_name='event')),
                ('body', models.TextField()),
                ('made_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('queued', 'queued'), ('sent', 'sent'), ('failed', 'failed')], default='queued', max_length=10)),
                ('answer', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='answer')),
                ('error', models.CharField(blank=True, default='', max_length=300)),
                ('tries', models.JSONField(default=list)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('notice', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='notices.notice')),
                ('webhook', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='notices.webhook')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'indexes': [models.Index(fields=['webhook', '-id'], name='notices_web_webhook_b131ea_idx')],
                'constraints': [models.UniqueConstraint(fields=('webhook', 'notice'), name='notices_webhookdelivery_once'), models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'sent', 'failed'])), name='notices_webhookdelivery_state')],
            },
        ),
    ]
