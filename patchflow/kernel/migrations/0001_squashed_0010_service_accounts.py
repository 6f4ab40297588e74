import django.contrib.auth.models
import django.contrib.auth.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from patchflow.kernel.append_only import AppendOnly
from patchflow.kernel.references import CheckedByStatement


class Migration(migrations.Migration):

    replaces = [('kernel', '0001_initial'), ('kernel', '0002_append_only'), ('kernel', '0003_instance'), ('kernel', '0004_substitutes'), ('kernel', '0005_saved_filters'), ('kernel', '0006_trial'), ('kernel', '0007_fewer_indexes'), ('kernel', '0008_checked_once'), ('kernel', '0009_routes'), ('kernel', '0010_service_accounts')]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditSeal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveBigIntegerField(unique=True)),
                ('count', models.PositiveIntegerField()),
                ('root', models.CharField(max_length=64)),
                ('previous', models.CharField(max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('floor', models.BigIntegerField(default=0)),
                ('sealed_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['number'],
                'indexes': [],
                'constraints': [],
            },
        ),
        migrations.CreateModel(
            name='NamedChain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('name', models.CharField(max_length=60, unique=True)),
            ],
            options={
                'abstract': False,
                'indexes': [],
                'constraints': [],
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('time_zone', models.CharField(default='UTC', max_length=64, verbose_name='time zone')),
                ('language', models.CharField(default='en', max_length=8, verbose_name='language')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
                ('is_service', models.BooleanField(default=False, help_text='A program: it enters by token alone and decides nothing.', verbose_name='service account')),
                ('must_change_password', models.BooleanField(default=False, help_text='Somebody else knows it: told for the first log-in.', verbose_name='must change the password')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
                'indexes': [],
                'constraints': [],
            },
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('chain', models.CharField(max_length=100)),
                ('seq', models.PositiveIntegerField()),
                ('object_type', models.CharField(max_length=60)),
                ('object_id', models.CharField(blank=True, max_length=40)),
                ('object_label', models.CharField(blank=True, max_length=200)),
                ('verb', models.CharField(max_length=80)),
                ('outcome', models.CharField(choices=[('done', 'done'), ('refused', 'refused')], default='done', max_length=10)),
                ('actor_name', models.CharField(max_length=150)),
                ('correlation_id', models.CharField(blank=True, max_length=64)),
                ('before_state', models.CharField(blank=True, max_length=40)),
                ('after_state', models.CharField(blank=True, max_length=40)),
                ('detail', models.JSONField(default=dict)),
                ('effective_at', models.DateTimeField()),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('previous', models.CharField(max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('actor', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['object_type', 'object_id', '-id'], name='kernel_audi_object__f33e70_idx'), models.Index(fields=['verb', '-id'], name='kernel_audi_verb_b7ff72_idx'), models.Index(fields=['actor', '-id'], name='kernel_audi_actor_i_9c55bb_idx'), models.Index(fields=['correlation_id'], name='kernel_audi_correla_24b731_idx')],
                'constraints': [models.UniqueConstraint(fields=('chain', 'seq'), name='kernel_auditentry_place')],
            },
        ),
        migrations.CreateModel(
            name='AuditLeaf',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='leaf', to='kernel.auditentry')),
                ('seal', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='leaves', to='kernel.auditseal')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('seal', 'position'), name='kernel_auditleaf_place')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='Number',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('series', models.CharField(max_length=12)),
                ('year', models.PositiveIntegerField()),
                ('last', models.PositiveIntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('series', 'year'), name='kernel_number_series')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='RoleGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(max_length=40, verbose_name='role')),
                ('scope', models.CharField(blank=True, default='', max_length=40, verbose_name='scope')),
                ('granted_at', models.DateTimeField(auto_now_add=True, verbose_name='granted at')),
                ('granted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='role_grants', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'role', 'scope'), name='kernel_rolegrant_once')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='SignOffRound',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('not_before', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('lease_owner', models.CharField(blank=True, default='', max_length=80)),
                ('fence', models.PositiveBigIntegerField(default=0)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('subject_type', models.CharField(max_length=60)),
                ('subject_id', models.BigIntegerField()),
                ('subject_label', models.CharField(blank=True, max_length=200)),
                ('number', models.PositiveIntegerField()),
                ('kind', models.CharField(default='approval', max_length=30)),
                ('digest', models.CharField(max_length=64)),
                ('document', models.JSONField()),
                ('state', models.CharField(choices=[('open', 'open'), ('passed', 'passed'), ('refused', 'refused'), ('void', 'void'), ('expired', 'expired'), ('withdrawn', 'withdrawn')], default='open', max_length=12)),
                ('position', models.PositiveSmallIntegerField(default=1, help_text='The level that is being asked.')),
                ('opened_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField(blank=True, default='')),
                ('excluded', models.JSONField(default=dict, help_text='Who cannot sign, and why, when the round opened.')),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'sign-off round',
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('subject_type', 'subject_id'), name='kernel_round_one_open'), models.UniqueConstraint(fields=('subject_type', 'subject_id', 'number'), name='kernel_round_number')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='SignOffLevel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('name', models.CharField(max_length=80)),
                ('quorum', models.CharField(choices=[('first', 'first to sign'), ('all', 'all must sign'), ('count', 'a number must sign'), ('percent', 'a share must sign')], max_length=8)),
                ('amount', models.PositiveSmallIntegerField(default=1, help_text='A number, or a percentage.')),
                ('deadline_at', models.DateTimeField(blank=True, null=True)),
                ('reminded_at', models.DateTimeField(blank=True, null=True)),
                ('escalate_to', models.CharField(blank=True, default='', help_text='Role that is told when this level stays silent.', max_length=40)),
                ('round', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='levels', to='kernel.signoffround')),
                ('reason', models.TextField(blank=True, default='', help_text='Which rule asks it; empty where the kind or model does.')),
                ('veto', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['round', 'position'],
                'constraints': [models.UniqueConstraint(fields=('round', 'position'), name='kernel_level_place')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='SignOff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('verdict', models.CharField(choices=[('approve', 'approve'), ('refuse', 'refuse')], max_length=8)),
                ('comment', models.TextField(blank=True, default='')),
                ('digest', models.CharField(max_length=64)),
                ('decided_at', models.DateTimeField()),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='signoffs', to=settings.AUTH_USER_MODEL)),
                ('level', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='signoffs', to='kernel.signofflevel')),
                ('round', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='signoffs', to='kernel.signoffround')),
                ('on_behalf_of', models.ForeignKey(blank=True, help_text='The absent person on whose seat a substitute signed.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('round', 'user'), name='kernel_signoff_once'), models.CheckConstraint(condition=models.Q(models.Q(('verdict', 'refuse'), _negated=True), models.Q(('comment', ''), _negated=True), _connector='OR'), name='kernel_signoff_refusal_has_reason'), models.UniqueConstraint(models.F('round'), django.db.models.functions.comparison.Coalesce('on_behalf_of', 'user'), name='kernel_signoff_seat_once')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='Voter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('via', models.CharField(max_length=80)),
                ('level', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='voters', to='kernel.signofflevel')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('basis', models.CharField(choices=[('role', 'by their role'), ('owner', 'as owner'), ('group', 'from the support group')], default='role', max_length=8)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('level', 'user'), name='kernel_voter_once')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='Instance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=8)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('pk', 1)), name='kernel_instance_one')],
                'indexes': [],
            },
        ),
        migrations.CreateModel(
            name='Substitution',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('starts_at', models.DateTimeField(verbose_name='from')),
                ('ends_at', models.DateTimeField(verbose_name='until')),
                ('reason', models.CharField(blank=True, default='', max_length=200, verbose_name='reason')),
                ('named_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('named_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('substitute', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='stands_in', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='absences', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-starts_at', '-id'],
                'indexes': [],
                'constraints': [models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='kernel_substitution_span'), models.CheckConstraint(condition=models.Q(('user', models.F('substitute')), _negated=True), name='kernel_substitution_other')],
            },
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('list_name', models.CharField(max_length=100, verbose_name='list')),
                ('name', models.CharField(max_length=80, verbose_name='name')),
                ('query', models.CharField(blank=True, max_length=2000, verbose_name='query')),
                ('shared_with', models.CharField(blank=True, default='', max_length=40, verbose_name='shared with')),
                ('made_at', models.DateTimeField(verbose_name='made')),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='saved_filters', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name', 'id'],
                'indexes': [models.Index(fields=['list_name', 'owner'], name='kernel_savedfilter_list')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('removed_at__isnull', True)), fields=('owner', 'list_name', 'name'), name='kernel_savedfilter_name')],
            },
        ),
        migrations.CreateModel(
            name='DefaultFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('list_name', models.CharField(max_length=100)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('saved', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='kernel.savedfilter')),
            ],
            options={
                'indexes': [],
                'constraints': [models.UniqueConstraint(fields=('user', 'list_name'), name='kernel_defaultfilter_once')],
            },
        ),
        migrations.CreateModel(
            name='TrialPeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('audit_length', models.PositiveIntegerField(default=0, editable=False)),
                ('audit_head', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', editable=False, max_length=64)),
                ('started_at', models.DateTimeField()),
                ('reason', models.TextField(verbose_name='reason')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('end_reason', models.TextField(blank=True, default='', verbose_name='reason for leaving')),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('started_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'trial period',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(models.Value(1), condition=models.Q(('ended_at__isnull', True)), name='kernel_trialperiod_one_open'), models.CheckConstraint(condition=models.Q(('ended_at__isnull', True), ('ended_at__gte', models.F('started_at')), _connector='OR'), name='kernel_trialperiod_span'), models.CheckConstraint(condition=models.Q(('ended_at__isnull', True), models.Q(models.Q(('end_reason', ''), _negated=True), ('ended_by__isnull', False)), _connector='OR'), name='kernel_trialperiod_end_has_reason')],
                'indexes': [],
            },
        ),
        AppendOnly(
            "kernel_auditentry",
            "kernel_auditleaf",
            "kernel_auditseal",
            "kernel_signoff",
        ),
        CheckedByStatement("kernel_auditentry", "actor_id", "kernel_user"),
    ]
