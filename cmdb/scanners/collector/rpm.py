"""rpm and dnf (or yum): what is installed, what waits, from which repositories, and whether a restart is wanted."""

# ruff: noqa: UP006, UP035, UP045 - older Pythons over there

import configparser
import glob
import os
import re
import shutil
from typing import Any, Dict, List, Optional, Set, Tuple

from .system import Failed, read, say, stale_processes

EVR = "%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}"
SIGNED = "%|SIGPGP?{y}:{%|RSAHEADER?{y}:{%|DSAHEADER?{y}:{n}|}|}|"
PLAIN = "%{NAME}\\t%{ARCH}\\t" + EVR + "\\t%{SOURCERPM}\\t%{VENDOR}\\t" + SIGNED
MODULE = "\\t%|MODULARITYLABEL?{%{MODULARITYLABEL}}|"
SOURCE = re.compile(r"^(?P<name>.+)-(?P<version>[^-]+-[^-]+)\.(?:no)?src\.rpm$")
ROW = re.compile(r"^(\S+)\.(\w+)\s+(\S+)\s+(\S+)\s*$")


def tool() -> str:
    found = next((name for name in ("dnf", "yum") if shutil.which(name)), "")
    if not found:
        raise Failed("neither dnf nor yum is on this host")
    return found


def packages() -> Dict[str, Any]:
    """Every installed package with its source package, vendor, module and the repository it came from."""
    try:
        lines = say(["rpm", "-qa", "--qf", PLAIN + MODULE + "\\n"]).splitlines()
    except Failed:  # an rpm that knows no modules
        lines = [line + "\t" for line in say(["rpm", "-qa", "--qf", PLAIN + "\\n"]).splitlines()]
    came_from, notes = repositories_of()
    rows = []
    for line in lines:
        if line.count("\t") != 6:
            continue  # rpm's warnings
        name, arch, version, source, vendor, signed, module = line.split("\t")
        if name == "gpg-pubkey":
            continue
        version = re.sub(r"^0:", "", version)  # an epoch of 0 is none, as dnf writes it
        parts = SOURCE.match(source)
        where = origin(came_from.get((name, arch), ""))
        where["origin"] = "" if vendor == "(none)" else vendor
        epoch = version.split(":")[0] + ":" if ":" in version else ""
        rows.append({
            "name": name, "arch": arch, "version": version, "source_name": parts.group("name") if parts else name,
            "source_version": epoch + parts.group("version") if parts else version,
            "status": "installed", "held": False, "module": module, "signed": signed == "y", "origin": where,
        })  # fmt: skip
    return {"packages": sorted(rows, key=lambda row: (row["name"], row["arch"], row["version"])), "notes": notes}


def repositories_of() -> Tuple[Dict[Tuple[str, str], str], List[str]]:
    form = "%{name}\\t%{arch}\\t%{from_repo}\\n"
    try:
        lines = say([tool(), "-q", "-C", "repoquery", "--installed", "--qf", form]).splitlines()
    except Failed as error:
        return {}, [f"origins: {error}"]
    parts = [line.split("\t") for line in lines if line.count("\t") == 2]
    return {(name, arch): repo for name, arch, repo in parts}, []


def origin(repository: str) -> Dict[str, str]:
    name = repository.strip().lstrip("@")
    return {"uri": "", "suite": name, "codename": "", "origin": "", "label": name, "component": ""}


def pending(may_refresh: bool) -> Dict[str, Any]:
    """What `check-update` lists. Without `may_refresh` only from what dnf has cached: no metadata is fetched."""
    dnf, cached = tool(), [] if may_refresh else ["-C"]
    if may_refresh:
        say([dnf, "-q", "-y", "makecache"], seconds=600)
    have: Dict[Tuple[str, str], List[str]] = {}
    for row in packages()["packages"]:
        have.setdefault((row["name"], row["arch"]), []).append(row["version"])
    listing = say([dnf, "-q", *cached, "check-update"], ok=(0, 100), seconds=600)
    secure, notes = security_updates(dnf, cached)
    found = []
    for line in listing.split("Obsoleting Packages")[0].splitlines():
        row = ROW.match(line)
        if not row:
            continue
        name, arch, candidate, repository = row.groups()
        found.append({
            "name": name, "arch": arch, "installed": (have.get((name, arch)) or [""])[-1], "candidate": candidate,
            "origin": origin(repository), "kept_back": False, "available": [candidate],
            "security": (name, arch) in secure if secure is not None else None,
        })  # fmt: skip
    return {"pending": found, "notes": notes}


def security_updates(dnf: str, cached: List[str]) -> Tuple[Optional[Set[Tuple[str, str]]], List[str]]:
    """{(name, arch)} that a security advisory covers; None where the repositories carry no advisories."""
    try:
        lines = say([dnf, "-q", *cached, "updateinfo", "list", "--security", "--available"], seconds=300).splitlines()
    except Failed as error:
        return None, [f"advisories: {error}"]
    found = set()
    for line in lines:
        last = re.match(r"^(.+)-[^-]+-[^-]+\.(\w+)$", (line.split() or [""])[-1])
        if last:
            found.add((last.group(1), last.group(2)))
    return found, []


def sources() -> Dict[str, Any]:
    """The configured repositories, with the variables of their addresses filled in as dnf would."""
    found, known = [], variables()
    for path in sorted(glob.glob("/etc/yum.repos.d/*.repo")):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        config.read(path)
        for name in config.sections():
            part = config[name]
            uri = filled(part.get("baseurl") or part.get("metalink") or part.get("mirrorlist") or "", known)
            found.append({
                "file": path, "uris": [re.sub(r"://[^/@]*@", "://", one) for one in uri.split()], "suites": [name],
                "components": [], "signed_by": filled(" ".join(part.get("gpgkey", "").split()), known),
                "trusted_unsigned": part.get("gpgcheck", "1") in ("0", "no", "false", "False"),
                "enabled": part.get("enabled", "1") not in ("0", "no", "false", "False"),
            })  # fmt: skip
    return {"sources": found}


def variables() -> Dict[str, str]:
    """$releasever, $basearch and $arch, and what this host sets itself (dnf.conf(5), "VARIABLES")."""
    machine = os.uname().machine
    known = {"arch": machine, "basearch": "i386" if re.match(r"i\d86$", machine) else machine}
    form = "[%{PROVIDENAME}\\t%{PROVIDEVERSION}\\n]"
    provides = say(["rpm", "-q", "--qf", form, "--whatprovides", "system-release(releasever)"], ok=(0, 1))
    for line in provides.splitlines():
        name, _, version = line.partition("\t")
        if name == "system-release(releasever)":
            known["releasever"] = version
    for folder in ("/etc/yum/vars", "/etc/dnf/vars"):
        for path in glob.glob(folder + "/*"):
            known[os.path.basename(path)] = read(path)
    if "releasever" in known:
        known["releasever_major"], _, known["releasever_minor"] = known["releasever"].partition(".")
    return known


def filled(text: str, known: Dict[str, str]) -> str:
    """The text with each $name or ${name} that is known; what is not stays, and is no address for anybody."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found.group(1), found.group(0)), text)


def restart() -> Dict[str, Any]:
    """By `needs-restarting -r` where the plugin is there, else by the newest kernel package against the one running."""
    reasons, notes, running = [], [], os.uname().release
    kernels = [
        line
        for line in say(["rpm", "-q", "--last", "kernel", "kernel-core"], ok=(0, 1, 2)).splitlines()
        if "is not" not in line
    ]
    newest = re.sub(r"^kernel(-core)?-", "", kernels[0].split()[0]) if kernels else ""
    try:
        words = say([tool(), "-q", "-C", "needs-restarting", "-r"], ok=(0, 1))
        needed: Optional[bool] = "Reboot is required" in words or "should be rebooted" in words
        if needed:
            named = re.findall(r"^\s*\* (\S+)", words, re.M)
            reasons.append("updated since the last start: %s" % (", ".join(named) or "core libraries or services"))
    except Failed as error:
        notes.append(f"restart: {error}")
        needed = None if not newest else newest != running
        if needed:
            reasons.append(f"kernel {running} runs, {newest} is installed")
    processes, complete = stale_processes()
    return {
        "restart": {"needed": needed, "reasons": reasons, "packages": [], "kernel_running": running,
                    "kernel_installed": newest, "processes": processes},
        "notes": notes + ([] if complete else ["restart: not all processes could be read without root"]),
    }  # fmt: skip
