"""Which package manager this host has."""

from __future__ import annotations

import os
import shutil

from . import dnf
from .apt import Apt
from .dnf import Dnf
from .packaging import Manager


def here() -> Manager | None:
    """apt where there is one; else dnf; else nothing that is known."""
    if os.path.exists("/usr/bin/apt-get"):
        return Apt()
    return Dnf() if shutil.which("rpm") and not dnf.why_not() else None


def why_not() -> str:
    """Why no order can be carried out here."""
    return dnf.why_not() if shutil.which("rpm") else "this host has neither apt nor dnf"
