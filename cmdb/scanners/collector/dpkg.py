"""dpkg and apt: what is installed, what waits, from which signed sources, and whether a restart is wanted."""

# ruff: noqa: UP006, UP035, UP045 - older Pythons over there

import contextlib
import glob
import os
import re
import shutil
import tempfile
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .system import Failed, read, say, stale_processes

FIELDS = (
    "Package", "Architecture", "Version", "source:Package", "source:Version",
    "db:Status-Want", "db:Status-Eflag", "db:Status-Status",
)  # fmt: skip
INST = re.compile(r"^Inst (\S+?)(?::\S+)? (?:\[([^\]]*)\] )?\((\S+) (.*?) ?\[([^\]]+)\]\)", re.M)
STATUS_FILE = "/var/lib/dpkg/status"
# Package -> candidate and versions, each with its places; a place (address, "suite/component") -> its release fields.
Tables = Dict[str, Dict[str, Any]]
Releases = Dict[Tuple[str, str], Dict[str, str]]


def refresh() -> Dict[str, Any]:
    """Fetches the package lists; a list that cannot be had or verified is an error, never old lists in silence."""
    say(["apt-get", "-q", "update", "-eany"], seconds=600)
    return {}


def software() -> Dict[str, Any]:
    """Every package that is not gone, with its source package, state and archive, and what waits for it."""
    rows, errors = installed(), []
    plan: Dict[Tuple[str, str], str] = {}
    tables: Tables = {}
    known: Releases = {}
    try:  # what is installed is told even if apt cannot say what waits
        with apt_cache() as cache:
            plan = planned(cache)
            wanted = {f"{row['name']}:{row['arch']}" for row in rows} | {":".join(key) for key in plan}
            tables, known = policies(sorted(wanted), cache)
    except Failed as error:
        errors.append(f"pending: {error}")
    for row in rows:
        table = table_of(tables, row["name"], row["arch"])
        row["origin"] = origin(table["versions"].get(row["version"], []), known)
    return {"packages": rows, "pending": pending(rows, plan, tables, known), "errors": errors}


def table_of(tables: Tables, name: str, arch: str) -> Dict[str, Any]:
    return tables.get(f"{name}:{arch}") or tables.get(name) or {"candidate": "", "versions": {}}


def installed() -> List[Dict[str, Any]]:
    form = "\\t".join(f"${{{field}}}" for field in FIELDS) + "\\n"
    rows = []
    for line in say(["dpkg-query", "-W", "-f", form]).splitlines():
        name, arch, version, source, source_version, want, flag, status = line.split("\t")
        if status in ("not-installed", "config-files"):
            continue
        rows.append({
            "name": name, "arch": arch, "version": version, "source_name": source, "source_version": source_version,
            "status": status if flag == "ok" else flag, "held": want == "hold", "module": "",
        })  # fmt: skip
    return rows


@contextlib.contextmanager
def apt_cache() -> Iterator[List[str]]:
    """Options that let several questions to apt share one cache, where this host keeps none: else each builds its own."""
    file = say(["apt-config", "shell", "file", "Dir::Cache::pkgcache/f"]).strip()
    kept = os.path.exists(file[len("file='") : -1])
    with tempfile.TemporaryDirectory(prefix="patchflow-") as folder:
        if kept or shutil.disk_usage(folder).free < 512 << 20:
            yield []
        else:
            yield ["-o", f"Dir::Cache::pkgcache={folder}/pkg.bin", "-o", f"Dir::Cache::srcpkgcache={folder}/src.bin"]


def planned(cache: List[str]) -> Dict[Tuple[str, str], str]:
    """(name, arch) -> version that a full upgrade would bring in now. A simulation: nothing is fetched or changed."""
    text = say(["apt-get", *cache, "-s", "-q", "dist-upgrade"])
    return {(name, arch): new for name, _old, new, _where, arch in INST.findall(text)}


def pending(
    rows: List[Dict[str, Any]], plan: Dict[Tuple[str, str], str], tables: Tables, known: Releases
) -> List[Dict[str, Any]]:
    """What the plan brings in, and what is newer but would be kept back."""
    have, found = {(row["name"], row["arch"]): row["version"] for row in rows}, []
    for key in sorted(set(have) | set(plan)):
        table, now = table_of(tables, *key), have.get(key, "")
        candidate = plan.get(key) or table["candidate"]
        order = list(table["versions"])  # apt lists them newest first
        newer = order[: order.index(now)] if now in order else order
        if candidate in ("", "(none)", now) or (key not in plan and candidate not in newer):
            continue
        found.append({
            "name": key[0], "arch": key[1], "installed": now, "candidate": candidate,
            "origin": origin(table["versions"].get(candidate, []), known),
            "kept_back": key not in plan, "available": newer,
            "security": any(is_security(origin(table["versions"][v], known)) for v in newer),
        })  # fmt: skip
    return found


def policies(names: List[str], cache: List[str]) -> Tuple[Tables, Releases]:
    """({package: {candidate, versions: {version: [(uri, "suite/component")]}}}, releases of the sources)."""
    tables: Tables = {}
    current: Dict[str, Any] = {}
    version = ""
    native = say(["dpkg", "--print-architecture"]).strip()
    wanted = [name[: -len(":all")] if name.endswith(":all") else name for name in names]
    for start in range(0, len(wanted), 500):
        for line in say(["apt-cache", *cache, "policy", *wanted[start : start + 500]]).splitlines():
            if re.match(r"^\S+:$", line):
                current = {"candidate": "", "versions": {}}
                tables[line[:-1]] = current
                if ":" not in line[:-1]:
                    tables[line[:-1] + ":all"] = tables[line[:-1] + ":" + native] = current
            elif line.startswith("  Candidate: "):
                current["candidate"] = line.split(": ", 1)[1]
            elif re.match(r"^ (\*\*\*|   ) \S+ -?\d+", line):
                version = line.split()[-2] if re.search(r" -?\d+$", line) else line.split()[-1]
                current["versions"][version] = []
            elif version and re.match(r"^ +-?\d+ \S", line):
                parts = line.split()
                current["versions"][version].append((parts[1], parts[2] if len(parts) > 2 else ""))
    return tables, releases(cache)


def releases(cache: List[str]) -> Releases:
    """(uri, "suite/component") -> the fields of its signed Release file, as `apt-cache policy` shows them."""
    found: Releases = {}
    where = None
    for line in say(["apt-cache", *cache, "policy"]).splitlines():
        at = re.match(r"^ +-?\d+ (\S+) (\S+) \S+ Packages", line)
        if at:
            where = (at.group(1), at.group(2))
        elif where and line.strip().startswith("release "):
            found[where] = dict(pair.split("=", 1) for pair in line.strip()[8:].split(",") if "=" in pair)
    return found


def origin(places: Sequence[Tuple[str, str]], known: Releases) -> Dict[str, str]:
    """The first real archive a version is in; what is only installed and in no archive is `local`."""
    for place in places:
        if place[0] != STATUS_FILE:
            fields = known.get(place, {})
            return {
                "uri": without_secret(place[0]), "suite": fields.get("a", place[1].split("/")[0]),
                "codename": fields.get("n", ""), "origin": fields.get("o", ""), "label": fields.get("l", ""),
                "component": fields.get("c", ""),
            }  # fmt: skip
    return {"uri": "", "suite": "", "codename": "", "origin": "", "label": "local" if places else "", "component": ""}


def is_security(where: Dict[str, str]) -> bool:
    """Whether the archive calls itself a security archive: Debian by label, Ubuntu and others by suite."""
    return where["label"] == "Debian-Security" or any(
        where[name].endswith(("-security", "/updates")) for name in ("suite", "codename", "label")
    )


def sources() -> Dict[str, Any]:
    """The configured archives, enabled or not, with the key each is signed by. Passwords in addresses are dropped."""
    found = []
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        text = read(path)
        if path.endswith(".sources"):
            for stanza in re.split(r"\n\s*\n", text):
                found += stanza_of(path, re.sub(r"^#.*\n?", "", stanza, flags=re.M))
        elif path.endswith(".list"):
            lines = re.findall(r"^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)(.*)$", text, re.M)
            for options, uri, suite, rest in lines:
                given = dict(pair.split("=", 1) for pair in options.split() if "=" in pair)
                found.append(source(path, [uri], [suite], rest.split("#")[0].split(), given.get("signed-by", ""),
                                    given.get("trusted", "") == "yes", True))  # fmt: skip
    return {"sources": found}


def stanza_of(path: str, stanza: str) -> List[Dict[str, Any]]:
    fields = {
        name.lower(): value.strip() for name, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.M)
    }
    if "deb" not in fields.get("types", "").split():
        return []
    signed = fields.get("signed-by", "")
    return [
        source(path, fields.get("uris", "").split(), fields.get("suites", "").split(), fields.get("components", "").split(),
               "inline key" if "BEGIN PGP" in signed else signed, fields.get("trusted", "") == "yes",
               fields.get("enabled", "yes") != "no")
    ]  # fmt: skip


def source(
    path: str,
    uris: List[str],
    suites: List[str],
    components: List[str],
    signed_by: str,
    trusted: bool,
    enabled: bool,
) -> Dict[str, Any]:
    return {
        "file": path, "uris": [without_secret(uri) for uri in uris], "suites": suites, "components": components,
        "signed_by": signed_by, "trusted_unsigned": trusted, "enabled": enabled,
    }  # fmt: skip


def without_secret(uri: str) -> str:
    return re.sub(r"://[^/@]*@", "://", uri)


def restart() -> Dict[str, Any]:
    """What asks for a restart: the flag that packages leave, a newer kernel than the one running, old libraries in use."""
    flagged = os.path.exists("/run/reboot-required")
    wanting = sorted(set(read("/run/reboot-required.pkgs").split()))
    reasons = ["a package asks for it: %s" % (", ".join(wanting) or "unnamed")] if flagged else []
    newest = newest_kernel()
    running = os.uname().release
    if newest and newest["release"] != running:
        reasons.append(f"kernel {running} runs, {newest['release']} is installed")
    elif newest and newest["version"] not in os.uname().version and "Debian" in os.uname().version:
        reasons.append(f"kernel {running} runs in an older build than {newest['version']}")
    processes, complete = stale_processes()
    return {
        "restart": {
            "needed": bool(reasons), "reasons": reasons, "packages": wanting, "kernel_running": running,
            "kernel_installed": newest["release"] if newest else "", "processes": processes,
        },
        "notes": [] if complete else ["restart: not all processes could be read without root"],
    }  # fmt: skip


def newest_kernel() -> Optional[Dict[str, str]]:
    """The newest installed kernel package whose flavor runs here; None where kernels are not packages of this host."""
    form, found = "${Package}\\t${Version}\\t${db:Status-Status}\\n", []
    try:
        lines = say(["dpkg-query", "-W", "-f", form, "linux-image-[0-9]*"], ok=(0, 1)).splitlines()
    except Failed:
        return None
    for line in lines:
        name, version, status = line.split("\t")
        if status == "installed" and not name.endswith("-dbg"):
            found.append({"release": name[len("linux-image-") :].replace("unsigned-", ""), "version": version})
    if os.uname().release not in [kernel["release"] for kernel in found]:
        return None  # a container, or a kernel that was not installed as a package: nothing can be said
    best = found[0]
    for kernel in found[1:]:
        try:
            say(["dpkg", "--compare-versions", kernel["version"], "gt", best["version"]])
            best = kernel
        except Failed:
            pass
    return best
