"""Who may do what in Identify."""

from __future__ import annotations

from patchflow.kernel.rules import capability

may_manage_feeds = capability("feed.manage")
may_poll_feeds = capability("feed.poll")
may_ingest = capability("advisory.ingest")
may_respond = capability("update.respond")
may_verify = capability("release.build")
may_verify_by_system = capability("feed.poll")
may_manage_advisories = capability("advisory.manage")
