"""Every end of a job that somebody must act on says what to do."""

import re
from pathlib import Path

from releases.executors.onhost import advice

HERE = Path(advice.__file__).parent
ACTS = {"busy", "cancelled", "not_needed", "staged", "broken", "failed", "no_sha256", "download", "stopped"}
"""Codes that ask nobody for anything, or of which nobody knows beforehand what could be done."""


def test_every_code_has_its_advice() -> None:
    used = set()
    for path in HERE.glob("*.py"):
        text = path.read_text()
        used |= set(re.findall(r"""(?:Refused|No)\(\s*"(\w+)",""", text))
        used |= set(re.findall(r'^\s+"(\w+)", (?:True|False)\),$', text, re.M))
        used |= set(re.findall(r'", "(\w+)", (?:True|False)\)', text))
        used |= set(re.findall(r'self\.end\([^\n]*, "(\w+)"\)', text))
    assert len(used) > 12
    assert used - ACTS <= set(advice.ADVICE), used - ACTS - set(advice.ADVICE)


def test_advice_follows_the_managers_own_words() -> None:
    assert advice.advised("disk_full", "E: No space left.") == (
        "E: No space left. What to do: free space on the host; it is tried again by itself"
    )
    assert advice.advised("disk_full", "E: No space left.", "failed") == (
        "E: No space left. What to do: free space on the host, then retry it"
    )
    assert "roll back" in advice.advised("step_after", "it failed", "failed")
    assert "roll back" not in advice.advised("step_after", "it failed", "failed", back=True)
    for code in advice.ADVICE:
        said = advice.without_promise(advice.advised(code, "E: no."))
        assert advice.AGAIN not in said
        assert said.startswith("E: no. What to do: ")
    assert advice.without_promise("Full. What to do: free space on the host; it is tried again by itself") == (
        "Full. What to do: free space on the host"
    )
    assert advice.advised("", "installed and verified") == "installed and verified"
