"""The verbs of an RFC as its page offers them: transitions from the machine, other verbs with the same rules that they check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext_lazy, ngettext

from changes.domain.offers import others
from changes.enums import RFCKind, RFCState
from changes.models import RFC
from changes.queries.rfcs import refusal_of, targets_seen
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.verbs import Verb

ICONS = {
    "submit": "send",
    "evaluate": "eye",
    "request_approval": "send",
    "send_back": "back",
    "reject": "x",
    "cancel": "x",
    "lapse": "ban",
    "stop": "ban",
    "close": "check",
    "revise": "pen",
    "copy": "copy",
    "parent": "link",
    "hold": "pause",
    "move": "update",
    "resume": "run",
    "score": "compare",
    "classify": "flag",
    "break_glass": "bolt",
    "ask_break_glass": "bolt",
    "review_glass": "review",
    "bring_owed": "file",
}
PRIMARY = {
    RFCState.DRAFT: "submit",
    RFCState.SUBMITTED: "evaluate",
    RFCState.EVALUATING: "request_approval",
    RFCState.SUSPENDED: "request_approval",
    RFCState.IN_REVIEW: "close",
}
AT_A_CLICK = {"copy", "submit", "evaluate", "request_approval", "score"}
"""Verbs that need nothing typed."""


LABELS = {
    "cancel": gettext_lazy("Cancel the change"),
    "stop": gettext_lazy("Stop the change"),
    "close": gettext_lazy("Close the change"),
}
"""Where the machine's word alone would not say what it is done to."""

ASIDE = {"copy", "parent", "score", "classify", "hold", "revise", "reject", "cancel"}
"""Verbs that do not take the RFC on; they stand in a bar of their own unless they are what is due."""


def verbs_of_rfc(rfc: RFC, *, actor: User, at: datetime) -> tuple[list[Verb], list[Verb]]:
    """What can be done to the RFC where it stands, and what can be done aside; refused ones with every reason, verbs of
    other kinds left out."""
    hosts = targets_seen(rfc, actor).count()
    reach = {"stop": ngettext("on %(n)d host", "on %(n)d hosts", hosts) % {"n": hosts}}
    offered = [
        _verb(rfc, one.name, str(one.label), one.blockers, dangerous=one.dangerous, reach=reach.get(one.name, ""))
        for one in workflow.available(rfc, actor=actor, at=at)
        if not any(b.code == "rfc.kind" for b in one.blockers)
    ]
    first = _primary(rfc)
    offered += [_verb(rfc, one.name, one.label, one.blockers, dangerous=one.dangerous) for one in others(rfc, actor)]
    everything = [replace(v, primary=v.name == first) for v in offered]
    everything.sort(key=lambda verb: not verb.primary)
    main = [v for v in everything if v.primary or v.name not in ASIDE]
    return main, [v for v in everything if v not in main]


def _verb(
    rfc: RFC, name: str, label: str, blockers: Sequence[Blocker], *, dangerous: bool = False, reach: str = ""
) -> Verb:
    return Verb(
        name=name,
        label=str(LABELS.get(name, label)),
        url=reverse(f"changes:rfc-{name.replace('_', '-')}", args=[rfc.pk]),
        allowed=not blockers,
        blockers=tuple(blockers),
        dangerous=dangerous,
        reach=reach,
        method="post" if name in AT_A_CLICK else "get",
        icon=ICONS.get(name, ""),
    )


def _primary(rfc: RFC) -> str:
    if rfc.state == RFCState.SUBMITTED and rfc.kind == RFCKind.EMERGENCY:
        return "request_approval"
    if rfc.state == RFCState.EVALUATING and refusal_of(rfc) is not None:
        return "revise"
    risk = rfc.risk
    if rfc.state == RFCState.EVALUATING and (risk is None or risk.content_digest != rfc.content_digest()):
        return "score"
    return PRIMARY.get(RFCState(rfc.state), "")
