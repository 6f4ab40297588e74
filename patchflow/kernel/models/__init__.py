"""The kernel's tables: people and grants, audit, sign-offs, numbers, this installation."""

from patchflow.kernel import alike, among  # the lookups are known wherever there are models
from patchflow.kernel.models.audit import Audited, AuditEntry, AuditLeaf, AuditSeal, NamedChain
from patchflow.kernel.models.due import DueWork
from patchflow.kernel.models.instance import Instance
from patchflow.kernel.models.number import Number
from patchflow.kernel.models.saved_filter import DefaultFilter, SavedFilter
from patchflow.kernel.models.signoff import SignOff, SignOffLevel, SignOffRound, Voter
from patchflow.kernel.models.substitution import Substitution
from patchflow.kernel.models.trial import TrialPeriod
from patchflow.kernel.models.user import RoleGrant, User

__all__ = [
    "AuditEntry",
    "AuditLeaf",
    "AuditSeal",
    "Audited",
    "DefaultFilter",
    "DueWork",
    "Instance",
    "NamedChain",
    "Number",
    "RoleGrant",
    "SavedFilter",
    "SignOff",
    "SignOffLevel",
    "SignOffRound",
    "Substitution",
    "TrialPeriod",
    "User",
    "Voter",
]
