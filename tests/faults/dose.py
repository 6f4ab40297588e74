"""How much of each fault: a little in CI, what the fault matrix asks for by `make faults` (FAULTS=long).

One word may be changed by itself: FAULTS_F1_KILLS=300.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

LONG = os.environ.get("FAULTS") == "long"
SHORT_AND_LONG: dict[str, dict[str, tuple[int, int]]] = {
    "F1": {"hosts": (200, 10_000), "kills": (20, 1000), "limit": (240, 3600), "calm": (0, 0)},
    "F2": {"rounds": (1, 50)},
    "F3": {"rounds": (1, 20), "seconds": (5, 60)},
    "F4": {"rounds": (2, 50)},
    "F5": {"slots": (20, 100), "schedulers": (3, 5)},
    "F6": {"kills": (12, 500)},
    "F9": {"people": (8, 50), "rounds": (2, 200)},
    "F12": {"rounds": (1, 100)},
}


def dose(fault: str, what: str) -> int:
    """The number asked for."""
    short, long = SHORT_AND_LONG[fault][what]
    return int(os.environ.get(f"FAULTS_{fault}_{what.upper()}", long if LONG else short))


def report(fault: str, **seen: Any) -> None:
    """Keeps what was seen, a line for each run, where FAULTS_REPORT names a file."""
    line = {
        "fault": fault,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "form": "long" if LONG else "short",
        **seen,
    }
    print(json.dumps(line))
    if path := os.environ.get("FAULTS_REPORT"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")
