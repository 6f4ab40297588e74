import cmdb.models.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("cmdb", "0001_initial"),
        ("kernel", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="Feed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_length", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "audit_head",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000",
                        editable=False,
                        max_length=64,
                    ),
                ),
                ("name", models.SlugField(max_length=60, unique=True, verbose_name="name")),
                ("title", models.CharField(blank=True, default="", max_length=120, verbose_name="title")),
                ("kind", models.CharField(max_length=20, verbose_name="kind")),
                (
                    "location_kind",
                    models.CharField(
                        choices=[
                            ("url", "web address"),
                            ("file", "file"),
                            ("folder", "folder"),
                            ("archive", "archive"),
                        ],
                        max_length=10,
                        verbose_name="kind of location",
                    ),
                ),
                ("location", models.CharField(max_length=500, verbose_name="location")),
                ("allow_private", models.BooleanField(default=False, verbose_name="may lie in the own network")),
                ("every_minutes", models.PositiveIntegerField(default=60, verbose_name="polled every (minutes)")),
                (
                    "stale_after_minutes",
                    models.PositiveIntegerField(default=2880, verbose_name="stale after (minutes)"),
                ),
                ("enabled", models.BooleanField(default=True, verbose_name="enabled")),
                ("covers", models.JSONField(blank=True, default=list)),
                ("records", models.PositiveIntegerField(default=0)),
                ("last_good_at", models.DateTimeField(blank=True, null=True)),
                ("last_tried_at", models.DateTimeField(blank=True, null=True)),
                ("problem", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "feed",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Vulnerability",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("cve", models.CharField(max_length=40, unique=True)),
                ("aliases", models.JSONField(blank=True, default=list)),
                ("cvss", models.JSONField(blank=True, default=list, help_text="Pairs of type and vector.")),
                ("severity_vendor", models.CharField(blank=True, default="", max_length=40)),
                ("epss", models.DecimalField(blank=True, decimal_places=5, max_digits=6, null=True)),
                ("epss_percentile", models.DecimalField(blank=True, decimal_places=5, max_digits=6, null=True)),
                ("epss_model", models.CharField(blank=True, default="", max_length=40)),
                ("epss_on", models.DateField(blank=True, null=True)),
                (
                    "exploited_since_on",
                    models.DateField(blank=True, db_index=True, null=True, verbose_name="known exploited since"),
                ),
                ("exploited_due_on", models.DateField(blank=True, null=True)),
                ("ransomware", models.BooleanField(default=False)),
                ("rejected", models.BooleanField(default=False)),
                ("first_seen_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "vulnerability",
                "verbose_name_plural": "vulnerabilities",
                "ordering": ["cve"],
            },
        ),
        migrations.CreateModel(
            name="ChangeModel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_length", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "audit_head",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000",
                        editable=False,
                        max_length=64,
                    ),
                ),
                ("name", models.CharField(max_length=120, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("standard", "standard"), ("normal", "normal"), ("emergency", "emergency")],
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("proposed", "proposed"),
                            ("approved", "approved"),
                            ("retired", "retired"),
                        ],
                        db_index=True,
                        default="draft",
                        editable=False,
                        max_length=24,
                    ),
                ),
                ("description", models.TextField(blank=True, default="")),
                ("levels", models.JSONField(blank=True, default=list)),
                ("packages", models.JSONField(blank=True, default=list)),
                ("max_score", models.PositiveSmallIntegerField(default=8)),
                ("max_hosts", models.PositiveIntegerField(default=50)),
                ("implementation_plan", models.TextField(blank=True, default="")),
                ("test_plan", models.TextField(blank=True, default="")),
                ("back_out_plan", models.TextField(blank=True, default="")),
                ("written_at", models.DateTimeField()),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "revised_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "written_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "change model",
                "ordering": ["kind", "name"],
            },
        ),
        migrations.CreateModel(
            name="Cycle",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_length", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "audit_head",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000",
                        editable=False,
                        max_length=64,
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                (
                    "kind",
                    models.CharField(
                        choices=[("monthly", "monthly"), ("out_of_band", "out of band"), ("emergency", "emergency")],
                        max_length=12,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("assess", "assess"),
                            ("identify", "identify"),
                            ("evaluate_and_plan", "evaluate and plan"),
                            ("deploy", "deploy"),
                            ("completed", "completed"),
                        ],
                        db_index=True,
                        default="assess",
                        editable=False,
                        max_length=24,
                    ),
                ),
                ("state_at", models.DateTimeField()),
                (
                    "month_on",
                    models.DateField(blank=True, help_text="The first day of a monthly cycle's month.", null=True),
                ),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("close_reason", models.TextField(blank=True, default="")),
                (
                    "decision_on",
                    models.DateField(
                        blank=True, help_text="Updates notified after it join the next monthly cycle.", null=True
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "monthly"), models.Q(("state", "completed"), _negated=True)),
                        fields=("kind",),
                        name="changes_cycle_one_monthly",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["assess", "identify", "evaluate_and_plan", "deploy", "completed"])
                        ),
                        name="changes_cycle_state_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="EvaluationOrder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("not_before", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("lease_owner", models.CharField(blank=True, default="", max_length=80)),
                ("fence", models.PositiveBigIntegerField(default=0)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("version_ids", models.JSONField(default=list)),
                ("ordered_at", models.DateTimeField()),
                (
                    "host",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="cmdb.host"),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Advisory",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("advisory_id", models.CharField(max_length=130)),
                ("scope", models.CharField(max_length=400)),
                ("vendor", models.CharField(max_length=60)),
                ("title", models.CharField(max_length=500)),
                ("text", models.TextField(blank=True, default="")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("security", "security"),
                            ("bugfix", "bug fix"),
                            ("enhancement", "enhancement"),
                            ("newpackage", "new package"),
                        ],
                        default="security",
                        max_length=12,
                    ),
                ),
                ("severity_vendor", models.CharField(blank=True, default="", max_length=40)),
                (
                    "severity_rank",
                    models.PositiveSmallIntegerField(
                        choices=[
                            (0, "not stated"),
                            (1, "negligible"),
                            (2, "low"),
                            (3, "moderate"),
                            (4, "important"),
                            (5, "critical"),
                        ],
                        default=0,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("current", "current"),
                            ("withdrawn", "withdrawn by the vendor"),
                            ("vanished", "no longer listed"),
                        ],
                        default="current",
                        max_length=10,
                    ),
                ),
                ("references", models.JSONField(blank=True, default=list)),
                ("cvss", models.JSONField(blank=True, default=list)),
                ("notes", models.JSONField(blank=True, default=list)),
                ("published_at", models.DateTimeField(blank=True, null=True)),
                ("modified_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("vanished_at", models.DateTimeField(blank=True, null=True)),
                ("document_name", models.CharField(blank=True, default="", max_length=320)),
                ("document_sha256", models.CharField(max_length=64)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_run", models.BigIntegerField(db_index=True, default=0)),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="advisories", to="changes.feed"
                    ),
                ),
            ],
            options={
                "verbose_name": "advisory",
                "verbose_name_plural": "advisories",
            },
        ),
        migrations.CreateModel(
            name="FeedRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("not_before", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("lease_owner", models.CharField(blank=True, default="", max_length=80)),
                ("fence", models.PositiveBigIntegerField(default=0)),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("completed", "completed"),
                            ("held", "held"),
                            ("failed", "failed"),
                            ("refused", "refused"),
                        ],
                        db_index=True,
                        default="queued",
                        editable=False,
                        max_length=24,
                    ),
                ),
                ("requested_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("documents", models.PositiveIntegerField(default=0)),
                ("new", models.PositiveIntegerField(default=0)),
                ("changed", models.PositiveIntegerField(default=0)),
                ("unchanged", models.PositiveIntegerField(default=0)),
                ("withdrawn", models.PositiveIntegerField(default=0)),
                ("quarantined", models.PositiveIntegerField(default=0)),
                ("vanished", models.PositiveIntegerField(default=0)),
                ("known_before", models.PositiveIntegerField(default=0)),
                ("covers", models.JSONField(blank=True, default=list)),
                ("problem", models.TextField(blank=True, default="")),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="runs", to="changes.feed"
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "feed run",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=("feed",),
                        name="changes_feedrun_one_live",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject_type", models.CharField(max_length=60)),
                ("subject_id", models.BigIntegerField()),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("person", "a person asked for it"),
                            ("superseded", "an update was superseded"),
                            ("facts_changed", "facts have changed"),
                        ],
                        default="person",
                        max_length=16,
                    ),
                ),
                ("reason", models.TextField()),
                ("placed_at", models.DateTimeField()),
                ("resumed_at", models.DateTimeField(blank=True, null=True)),
                ("resume_reason", models.TextField(blank=True, default="")),
                (
                    "placed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "resumed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resumed_at__isnull", True)),
                        fields=("subject_type", "subject_id"),
                        name="changes_hold_one_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="changes_hold_has_reason"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("resumed_at__isnull", True), ("resumed_at__gte", models.F("placed_at")), _connector="OR"
                        ),
                        name="changes_hold_span",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PhaseStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "phase",
                    models.CharField(
                        choices=[
                            ("assess", "assess"),
                            ("identify", "identify"),
                            ("evaluate_and_plan", "evaluate and plan"),
                            ("deploy", "deploy"),
                            ("completed", "completed"),
                        ],
                        max_length=20,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "key",
                    models.CharField(
                        choices=[
                            ("inventory", "inventory computing assets"),
                            ("threats", "assess threats and vulnerabilities"),
                            ("sources", "determine sources of information"),
                            ("distribution", "assess the distribution infrastructure"),
                            ("effectiveness", "assess operational effectiveness"),
                            ("discover", "discover updates reliably"),
                            ("relevance", "determine relevance"),
                            ("files", "obtain and verify source files"),
                            ("nature", "determine the nature of the update and submit the RFC"),
                            ("response", "determine the response"),
                            ("plan", "plan the release"),
                            ("build", "build the release"),
                            ("acceptance", "acceptance test"),
                            ("preparation", "deployment preparation"),
                            ("deployment", "deployment to targets"),
                            ("review", "post-implementation review"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "open"), ("done", "done"), ("waived", "waived")], default="open", max_length=8
                    ),
                ),
                ("output", models.TextField(blank=True, default="")),
                ("reason", models.TextField(blank=True, default="")),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "cycle",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="changes.cycle"
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "settled_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "step",
                "ordering": ["cycle", "position"],
                "constraints": [
                    models.UniqueConstraint(fields=("cycle", "key"), name="changes_phasestep_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "waived"), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="changes_phasestep_waived_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="QuarantinedDocument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("document_name", models.CharField(max_length=320)),
                ("document_sha256", models.CharField(max_length=64)),
                ("advisory_id", models.CharField(blank=True, default="", max_length=130)),
                (
                    "beginning",
                    models.TextField(blank=True, default="", help_text="The first characters of the document."),
                ),
                ("error", models.TextField()),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="quarantine", to="changes.feed"
                    ),
                ),
            ],
            options={
                "verbose_name": "quarantined document",
                "ordering": ["-last_seen_at", "-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("feed", "document_name", "document_sha256"), name="changes_quarantine_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RepositoryIndex",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_length", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "audit_head",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000",
                        editable=False,
                        max_length=64,
                    ),
                ),
                ("uri", models.CharField(max_length=500, verbose_name="address")),
                ("suite", models.CharField(max_length=120)),
                ("codename", models.CharField(blank=True, default="", max_length=80)),
                ("signer", models.CharField(help_text="Fingerprint of the key that signed.", max_length=80)),
                ("signer_name", models.CharField(blank=True, default="", max_length=200)),
                ("release_sha256", models.CharField(max_length=64)),
                ("index_sha256", models.CharField(max_length=64)),
                ("dated_at", models.DateTimeField(blank=True, null=True)),
                ("valid_until", models.DateTimeField(blank=True, null=True)),
                ("registered_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "repository index",
                "verbose_name_plural": "repository indexes",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("uri", "suite", "release_sha256", "index_sha256"), name="changes_repositoryindex_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Artifact",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("package", models.CharField(max_length=255)),
                ("version", models.CharField(max_length=300)),
                ("arch", models.CharField(max_length=20)),
                ("source_name", models.CharField(blank=True, default="", max_length=255)),
                ("source_version", models.CharField(blank=True, default="", max_length=300)),
                ("filename", models.CharField(max_length=500)),
                ("size", models.PositiveBigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("origin", models.CharField(help_text="Repository and suite.", max_length=640)),
                (
                    "index",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="artifacts",
                        to="changes.repositoryindex",
                    ),
                ),
            ],
            options={
                "verbose_name": "artifact",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("package", "version", "arch", "sha256", "origin"), name="changes_artifact_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Revision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("document_sha256", models.CharField(max_length=64)),
                ("packed", models.BinaryField(help_text="The document, compressed by zlib.")),
                ("severity_vendor", models.CharField(blank=True, default="", max_length=40)),
                ("modified_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                (
                    "advisory",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="revisions", to="changes.advisory"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="changes.feedrun"
                    ),
                ),
            ],
            options={
                "verbose_name": "revision",
                "ordering": ["advisory", "number"],
                "constraints": [models.UniqueConstraint(fields=("advisory", "number"), name="changes_revision_number")],
            },
        ),
        migrations.CreateModel(
            name="RFC",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_length", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "audit_head",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000",
                        editable=False,
                        max_length=64,
                    ),
                ),
                ("number", models.CharField(max_length=20, unique=True)),
                ("title", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("standard", "standard"), ("normal", "normal"), ("emergency", "emergency")],
                        default="normal",
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("submitted", "submitted"),
                            ("evaluating", "evaluating"),
                            ("awaiting_approval", "awaiting approval"),
                            ("authorized", "authorized"),
                            ("implementing", "implementing"),
                            ("suspended", "suspended"),
                            ("in_review", "in review"),
                            ("closed", "closed"),
                            ("rejected", "rejected"),
                            ("cancelled", "cancelled"),
                        ],
                        db_index=True,
                        default="draft",
                        editable=False,
                        max_length=24,
                    ),
                ),
                ("state_at", models.DateTimeField(help_text="Since when it is in this state.")),
                ("raised_at", models.DateTimeField()),
                (
                    "other_reason",
                    models.TextField(blank=True, default="", help_text="Why, where no target misses an update."),
                ),
                ("implementation_plan", models.TextField(blank=True, default="")),
                ("test_plan", models.TextField(blank=True, default="")),
                ("back_out_plan", models.TextField(blank=True, default="")),
                ("communication_plan", models.TextField(blank=True, default="")),
                (
                    "way_back",
                    models.CharField(
                        choices=[
                            ("reinstall_previous", "reinstall the previous versions"),
                            ("snapshot", "return to a snapshot"),
                            ("none", "none"),
                        ],
                        default="reinstall_previous",
                        max_length=20,
                    ),
                ),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("not_after", models.DateTimeField(blank=True, null=True)),
                (
                    "update_class",
                    models.CharField(
                        choices=[("critical", "critical"), ("high", "high"), ("medium", "medium"), ("low", "low")],
                        default="medium",
                        max_length=8,
                    ),
                ),
                (
                    "clock_started_at",
                    models.DateTimeField(help_text="The notification from which the start-by target counts."),
                ),
                ("start_by", models.DateTimeField(blank=True, null=True)),
                ("clock_stopped_at", models.DateTimeField(blank=True, null=True)),
                ("submitted_at", models.DateTimeField(blank=True, null=True)),
                ("authorized_at", models.DateTimeField(blank=True, null=True)),
                ("begun_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "close_code",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("successful", "successful"),
                            ("successful_with_issues", "successful with issues"),
                            ("backed_out", "backed out"),
                            ("failed", "failed"),
                            ("not_needed", "not needed"),
                        ],
                        default="",
                        max_length=24,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(blank=True, default="", help_text="What the release reported.", max_length=24),
                ),
                (
                    "change_model",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rfcs",
                        to="changes.changemodel",
                    ),
                ),
                (
                    "cycle",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rfcs", to="changes.cycle"
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rfcs_requested",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "RFC",
                "verbose_name_plural": "RFCs",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["state", "-id"], name="changes_rfc_state_5f9502_idx"),
                    models.Index(fields=["start_by"], name="changes_rfc_start_b_009741_idx"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "draft",
                                    "submitted",
                                    "evaluating",
                                    "awaiting_approval",
                                    "authorized",
                                    "implementing",
                                    "suspended",
                                    "in_review",
                                    "closed",
                                    "rejected",
                                    "cancelled",
                                ],
                            )
                        ),
                        name="changes_rfc_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("not_after__isnull", True),
                            ("not_before__isnull", True),
                            ("not_after__gt", models.F("not_before")),
                            _connector="OR",
                        ),
                        name="changes_rfc_dates_ordered",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "closed"), _negated=True),
                            models.Q(("close_code", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="changes_rfc_closed_has_code",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Evidence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("acceptance", "acceptance test"),
                            ("rollback_rehearsal", "rehearsal of the way back"),
                            ("manifest", "manifest"),
                            ("readiness", "readiness review"),
                            ("deployment", "deployment"),
                            ("review", "post-implementation review"),
                            ("document", "document that was owed"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        blank=True, default="", help_text="Which document, where the kind is document.", max_length=40
                    ),
                ),
                ("digest", models.CharField(blank=True, default="", max_length=64)),
                ("summary", models.TextField()),
                ("passed", models.BooleanField(blank=True, null=True)),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="evidence", to="changes.rfc"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "evidence",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["rfc", "kind", "-id"], name="changes_evi_rfc_id_239c3d_idx")],
            },
        ),
        migrations.CreateModel(
            name="BreakGlass",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64)),
                ("reason", models.TextField()),
                ("asked_at", models.DateTimeField()),
                ("broken_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("review_due_at", models.DateTimeField(blank=True, null=True)),
                ("reviewed_at", models.DateTimeField(blank=True, null=True)),
                ("justified", models.BooleanField(blank=True, null=True)),
                ("finding", models.TextField(blank=True, default="")),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "broken_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reviewed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="glass", to="changes.rfc"
                    ),
                ),
            ],
            options={
                "verbose_name": "broken glass",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("broken_at__isnull", True), ("withdrawn_at__isnull", True)),
                        fields=("rfc",),
                        name="changes_breakglass_one_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("broken_by__isnull", True),
                            models.Q(("broken_by", models.F("asked_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="changes_breakglass_two_people",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="changes_breakglass_has_reason"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RFCRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("at", models.DateTimeField()),
                ("reason", models.TextField(blank=True, default="")),
                ("difference", models.JSONField(default=list)),
                ("digest_before", models.CharField(max_length=64)),
                ("digest_after", models.CharField(max_length=64)),
                ("voided", models.CharField(blank=True, default="", max_length=16)),
                (
                    "authored",
                    models.BooleanField(
                        default=True, help_text="Whether `by` wrote it; an assessment of risk writes nothing."
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="revisions", to="changes.rfc"
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
                "constraints": [models.UniqueConstraint(fields=("rfc", "number"), name="changes_rfcrevision_number")],
            },
        ),
        migrations.CreateModel(
            name="RFCTarget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("host_name", models.CharField(max_length=253)),
                ("criticality", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("environment", models.CharField(blank=True, default="", max_length=20)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("planned", "planned"),
                            ("done", "done"),
                            ("owed", "owed"),
                            ("not_needed", "not needed"),
                        ],
                        default="planned",
                        max_length=12,
                    ),
                ),
                ("added_at", models.DateTimeField()),
                ("left_at", models.DateTimeField(blank=True, null=True)),
                ("left_reason", models.CharField(blank=True, default="", max_length=200)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "host",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rfc_targets", to="cmdb.host"
                    ),
                ),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="targets", to="changes.rfc"
                    ),
                ),
            ],
            options={
                "verbose_name": "target of an RFC",
                "ordering": ["host_name", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("removed_at__isnull", True)),
                        fields=("rfc", "host"),
                        name="changes_rfctarget_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RFCWindow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="windows", to="changes.rfc"
                    ),
                ),
                (
                    "window",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="cmdb.servicewindow"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("rfc", "window"), name="changes_rfcwindow_once")],
            },
        ),
        migrations.CreateModel(
            name="RiskAssessment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("score", models.PositiveSmallIntegerField()),
                ("maximum", models.PositiveSmallIntegerField()),
                (
                    "level",
                    models.CharField(choices=[("low", "low"), ("medium", "medium"), ("high", "high")], max_length=8),
                ),
                ("factors", models.JSONField()),
                (
                    "content_digest",
                    models.CharField(
                        help_text="What was assessed: the change document without its risk.", max_length=64
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="assessments", to="changes.rfc"
                    ),
                ),
            ],
            options={
                "verbose_name": "risk assessment",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="SoftwareUpdate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audit_length", models.PositiveIntegerField(default=0, editable=False)),
                (
                    "audit_head",
                    models.CharField(
                        default="0000000000000000000000000000000000000000000000000000000000000000",
                        editable=False,
                        max_length=64,
                    ),
                ),
                ("ecosystem", models.CharField(max_length=8)),
                ("distribution", models.CharField(max_length=60, verbose_name="distribution")),
                ("release", models.CharField(max_length=40, verbose_name="release")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                ("module", models.CharField(blank=True, default="", max_length=160)),
                ("flavour", models.CharField(default="plain", max_length=20)),
                ("fixed_version", models.CharField(max_length=300, verbose_name="fixed version")),
                ("fixed_key", cmdb.models.fields.VersionKeyField(blank=True, max_length=511, null=True)),
                ("title", models.CharField(blank=True, default="", max_length=500, verbose_name="title")),
                (
                    "origin",
                    models.CharField(
                        choices=[("advisory", "advisory"), ("reported", "reported by hosts")], max_length=10
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("security_patch", "security patch"),
                            ("critical_update", "critical update"),
                            ("update", "update"),
                            ("hotfix", "hotfix"),
                            ("update_rollup", "update rollup"),
                            ("service_pack", "service pack"),
                            ("integrated_service_pack", "integrated service pack"),
                            ("feature_pack", "feature pack"),
                        ],
                        default="update",
                        max_length=24,
                    ),
                ),
                ("severity", models.CharField(blank=True, default="", max_length=40, verbose_name="vendor's severity")),
                (
                    "severity_rank",
                    models.PositiveSmallIntegerField(
                        choices=[
                            (0, "not stated"),
                            (1, "negligible"),
                            (2, "low"),
                            (3, "moderate"),
                            (4, "important"),
                            (5, "critical"),
                        ],
                        default=0,
                    ),
                ),
                ("exploited", models.BooleanField(default=False, verbose_name="known exploited")),
                ("known_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("notified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "update_class",
                    models.CharField(
                        choices=[("critical", "critical"), ("high", "high"), ("medium", "medium"), ("low", "low")],
                        default="low",
                        max_length=10,
                        verbose_name="class",
                    ),
                ),
                ("class_reason", models.CharField(blank=True, default="", max_length=400)),
                (
                    "class_by_person",
                    models.BooleanField(default=False, help_text="Set by a person: the rule leaves it alone."),
                ),
                ("start_by", models.DateTimeField(blank=True, null=True, verbose_name="start by")),
                (
                    "response",
                    models.CharField(
                        choices=[
                            ("undecided", "undecided"),
                            ("deploy", "deploy"),
                            ("workaround", "workaround"),
                            ("wait_for_rollup", "wait for rollup"),
                            ("decline", "decline"),
                        ],
                        default="undecided",
                        max_length=16,
                    ),
                ),
                (
                    "reach",
                    models.PositiveIntegerField(
                        default=0, help_text="Hosts that missed it when last counted: orders lists."
                    ),
                ),
                (
                    "superseded_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="supersedes",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "verbose_name": "update",
            },
        ),
        migrations.CreateModel(
            name="RFCUpdate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("distribution", models.CharField(max_length=60)),
                ("release", models.CharField(max_length=60)),
                ("name", models.CharField(max_length=255)),
                ("fixed_version", models.CharField(max_length=300)),
                ("added_at", models.DateTimeField()),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "rfc",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="updates", to="changes.rfc"
                    ),
                ),
                (
                    "update",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rfc_rows",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "verbose_name": "update of an RFC",
                "ordering": ["name", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("removed_at__isnull", True)),
                        fields=("rfc", "update"),
                        name="changes_rfcupdate_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Fix",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ecosystem", models.CharField(max_length=8)),
                ("distribution", models.CharField(max_length=60)),
                ("release", models.CharField(max_length=40)),
                ("channel", models.CharField(blank=True, default="", max_length=40)),
                ("name", models.CharField(max_length=255)),
                (
                    "name_kind",
                    models.CharField(
                        choices=[("source", "source package"), ("binary", "binary package")], max_length=6
                    ),
                ),
                ("arch", models.CharField(default="any", max_length=20)),
                ("modular", models.BooleanField(default=False)),
                ("module", models.CharField(blank=True, default="", max_length=160)),
                ("module_sure", models.BooleanField(default=True)),
                ("flavour", models.CharField(default="plain", max_length=20)),
                ("is_kernel", models.BooleanField(default=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("fixed", "fixed"),
                            ("not_affected", "not affected"),
                            ("no_fix", "no fix yet"),
                            ("will_not_fix", "will not be fixed"),
                            ("deferred", "deferred"),
                            ("under_investigation", "under investigation"),
                            ("out_of_support", "out of support"),
                            ("unparsable", "not readable"),
                        ],
                        max_length=20,
                    ),
                ),
                ("introduced", models.CharField(default="0", max_length=300)),
                ("introduced_key", cmdb.models.fields.VersionKeyField(blank=True, default="", max_length=511)),
                ("fixed_version", models.CharField(blank=True, default="", max_length=300)),
                ("fixed_key", cmdb.models.fields.VersionKeyField(blank=True, max_length=512, null=True)),
                ("reason", models.CharField(blank=True, default="", max_length=300)),
                ("severity_vendor", models.CharField(blank=True, default="", max_length=200)),
                ("known_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("vanished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "advisory",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fixes",
                        to="changes.advisory",
                    ),
                ),
                (
                    "update",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fixes",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "verbose_name": "fix",
                "verbose_name_plural": "fixes",
                "indexes": [
                    models.Index(
                        condition=models.Q(("withdrawn_at__isnull", True)),
                        fields=["name", "distribution", "release"],
                        name="changes_fix_in_force",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("withdrawn_at__isnull", True), ("withdrawn_at__gte", models.F("known_at")), _connector="OR"
                        ),
                        name="changes_fix_span",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CycleUpdate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("notified_at", models.DateTimeField()),
                ("joined_at", models.DateTimeField(blank=True, null=True)),
                (
                    "cycle",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="updates",
                        to="changes.cycle",
                    ),
                ),
                (
                    "update",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cycle_rows",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(fields=("cycle", "update"), name="changes_cycleupdate_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("cycle__isnull", True)),
                        fields=("update",),
                        name="changes_cycleupdate_waits",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Supersedence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("origin", models.CharField(default="version_order", max_length=20)),
                (
                    "newer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replaces_edges",
                        to="changes.softwareupdate",
                    ),
                ),
                (
                    "older",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replaced_edges",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("newer", "older"), name="changes_supersedence_once"),
                    models.CheckConstraint(
                        condition=models.Q(("newer", models.F("older")), _negated=True),
                        name="changes_supersedence_not_itself",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UpdateAdvisory",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "advisory",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="announces", to="changes.advisory"
                    ),
                ),
                (
                    "update",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="announced_by",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("update", "advisory"), name="changes_updateadvisory_once")
                ],
            },
        ),
        migrations.AddField(
            model_name="softwareupdate",
            name="advisories",
            field=models.ManyToManyField(
                related_name="updates", through="changes.UpdateAdvisory", to="changes.advisory"
            ),
        ),
        migrations.CreateModel(
            name="UpdateResponse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "response",
                    models.CharField(
                        choices=[
                            ("undecided", "undecided"),
                            ("deploy", "deploy"),
                            ("workaround", "workaround"),
                            ("wait_for_rollup", "wait for rollup"),
                            ("decline", "decline"),
                        ],
                        max_length=16,
                    ),
                ),
                ("reason", models.TextField()),
                ("revisit_on", models.DateField(blank=True, null=True)),
                ("decided_at", models.DateTimeField()),
                (
                    "decided_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "update",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="responses",
                        to="changes.softwareupdate",
                    ),
                ),
            ],
            options={
                "verbose_name": "response",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("outcome", models.CharField(choices=[("passed", "passed"), ("refused", "refused")], max_length=8)),
                ("checks", models.JSONField(default=list)),
                ("reason", models.TextField(blank=True, default="")),
                ("subject", models.CharField(blank=True, default="", max_length=640)),
                ("verified_at", models.DateTimeField()),
                (
                    "artifact",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="verifications",
                        to="changes.artifact",
                    ),
                ),
                (
                    "index",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="verifications",
                        to="changes.repositoryindex",
                    ),
                ),
                (
                    "verified_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "verification",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="VersionFix",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "package_version_id", "fix_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("applicable", "missing"),
                            ("applicable_after_channel", "missing, needs a channel"),
                            ("fixed_pending_restart", "restart pending"),
                            ("no_fix", "no fix"),
                            ("unknown", "unknown"),
                            ("fixed", "fixed"),
                            ("not_applicable", "not applicable"),
                        ],
                        max_length=24,
                    ),
                ),
                (
                    "basis",
                    models.CharField(
                        choices=[
                            ("below", "The installed version is below the fixed one."),
                            ("channel", "The fix is only in a channel that this host may not use."),
                            ("no_fix", "The vendor has no fixed version for this release."),
                            ("investigated", "The vendor is still investigating."),
                            (
                                "origin",
                                "The package is not the distribution's own: its advisories say nothing about it.",
                            ),
                            (
                                "rebuilt",
                                "The package was rebuilt from another release: this release's advisories do not judge it.",
                            ),
                            ("installed_unreadable", "The installed version cannot be ordered."),
                            ("fix_unreadable", "The fixed version cannot be ordered."),
                            ("module", "It is not known for sure which module stream is meant."),
                            ("epoch", "It counts as fixed only because the advisory names no epoch."),
                            ("vanished", "The source no longer lists the advisory, and says nothing else."),
                            ("not_running", "The fixed kernel is installed, but an older one is running."),
                            ("running_unknown", "It is not known which kernel is running."),
                            ("reported", "The host's own package manager offers it."),
                            ("stale", "What is known of the host, or of the advisories, is too old to count."),
                            ("at_or_above", "The installed version is the fixed one or a later one."),
                            ("not_installed", "The package is not installed."),
                        ],
                        max_length=24,
                    ),
                ),
                ("low_confidence", models.BooleanField(default=False)),
                (
                    "fix",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="changes.fix",
                    ),
                ),
                (
                    "package_version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="cmdb.packageversion",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AdvisoryVulnerability",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fixes", models.BooleanField(default=True)),
                (
                    "advisory",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="names", to="changes.advisory"
                    ),
                ),
                (
                    "vulnerability",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="named_by", to="changes.vulnerability"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("advisory", "vulnerability"), name="changes_advisoryvulnerability_once"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="advisory",
            name="vulnerabilities",
            field=models.ManyToManyField(
                related_name="advisories", through="changes.AdvisoryVulnerability", to="changes.vulnerability"
            ),
        ),
        migrations.CreateModel(
            name="CycleEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("notified", "notification that an update exists"),
                            ("rfc_submitted", "submission of an RFC"),
                            ("deployment_approved", "approval to deploy into production"),
                            ("release_completed", "completion of the release"),
                        ],
                        max_length=20,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("cause", models.CharField(blank=True, default="", max_length=200)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "cycle",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="events", to="changes.cycle"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [models.Index(fields=["cycle", "kind"], name="changes_cyc_cycle_i_218e7e_idx")],
            },
        ),
        migrations.AddIndex(
            model_name="softwareupdate",
            index=models.Index(fields=["-notified_at", "-id"], name="changes_update_notified"),
        ),
        migrations.AddIndex(
            model_name="softwareupdate",
            index=models.Index(fields=["distribution", "release", "name"], name="changes_update_name"),
        ),
        migrations.AddConstraint(
            model_name="softwareupdate",
            constraint=models.UniqueConstraint(
                fields=("distribution", "release", "name", "fixed_version", "flavour"), name="changes_update_once"
            ),
        ),
        migrations.AddIndex(
            model_name="advisory",
            index=models.Index(fields=["advisory_id"], name="changes_advisory_by_id"),
        ),
        migrations.AddConstraint(
            model_name="advisory",
            constraint=models.UniqueConstraint(fields=("feed", "advisory_id", "scope"), name="changes_advisory_once"),
        ),
    ]
