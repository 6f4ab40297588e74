"""Where the collector begins: which parts are asked, and in which order."""

# ruff: noqa: UP006, UP017, UP035 - older Pythons over there

import datetime
import shutil
from typing import Any, Callable, Dict

from . import dpkg, rpm, system

VERSION = 1


def answer(request: Dict[str, Any], shipped: str) -> Dict[str, Any]:
    """The report as a plain dict. `refresh` (default False) allows the package lists to be fetched anew."""
    report: Dict[str, Any] = {
        "collector": VERSION,
        "collected_at": now(),
        "errors": [],
        "notes": [],
        "package_manager": "",
    }

    def part(name: str, function: Callable[..., Dict[str, Any]], *args: Any) -> None:
        try:
            found = function(*args)
            for kind in ("notes", "errors"):
                report[kind] += found.pop(kind, [])
            report.update(found)
        except Exception as error:  # one part of a host's facts must not hide the others
            report["errors"].append(f"{name}: {error}")

    part("system", system.facts)
    if shutil.which("dpkg-query"):
        report["package_manager"] = "dpkg"
        if request.get("refresh"):
            part("refresh", dpkg.refresh)
        part("packages", dpkg.software)
        part("sources", dpkg.sources)
        part("restart", dpkg.restart)
    elif shutil.which("rpm"):
        report["package_manager"] = "rpm"
        part("packages", rpm.packages)
        part("pending", rpm.pending, bool(request.get("refresh")))
        part("sources", rpm.sources)
        part("restart", rpm.restart)
    else:
        report["errors"].append("packages: neither dpkg nor rpm is on this host")
    report["ended_at"] = now()
    return report


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat()
