"""What dnf's own library is asked, in a process of its own: run by dnf's Python, whichever that is (3.6 and later).

The answers are facts, not tables cut to the width of a terminal. Nothing here fetches lists: they are as `refresh` left
them. What is installed comes from files that were compared before, with every repository switched off.
"""

# ruff: noqa: B904, F401, RUF005, UP031, UP035 - older Pythons over there, and types that only comments name

import json
import os
import sys
from typing import Any, Dict, List, Tuple


class No(Exception):
    """Why not, with a code."""

    def __init__(self, code, words):  # type: (str, str) -> None
        super().__init__(words)
        self.code, self.words = code, words


def main():  # type: () -> None
    """A wish on stdin, one line of JSON as the last on stdout."""
    wish = json.load(sys.stdin)
    told = {}  # type: Dict[str, Any]
    try:
        told = VERBS[wish["verb"]](wish)
    except No as no:
        told = {"code": no.code, "refused": no.words}
    except Exception as error:
        words = str(error).strip() or repr(error)
        told = {"code": type(error).__name__, "refused": words}
    sys.stdout.write("\n" + MARK + json.dumps(told) + "\n")


MARK = "patchflow-dnf:"


def opened(archives="", repositories=True, settings=None):  # type: (str, bool, Any) -> Any
    """dnf as the host has it configured, plugins (versionlock) included; without any repository where asked. `settings` of
    every repository go over those of its file."""
    import dnf
    import dnf.repo

    base = dnf.Base()
    base.conf.read()
    base.conf.assumeyes, base.conf.exit_on_lock, base.conf.best = True, True, True
    base.conf.timeout, base.conf.retries = 15, 2
    base.init_plugins(disabled_glob=["show*leaves"])  # it knows no life without a terminal
    base.pre_configure_plugins()
    if repositories:
        base.read_all_repos()
    base.configure_plugins()
    for repo in base.repos.iter_enabled():
        repo.skip_if_unavailable = False  # a list that is not there must not look like packages that do not exist
        repo._repo.setSyncStrategy(dnf.repo.SYNC_ONLY_CACHE)
        if archives:
            repo.pkgdir = archives
        for name, value in sorted((settings or {}).items()):
            setattr(repo, name, float(value) if name == "throttle" else value)
    base.fill_sack(load_system_repo=True, load_available_repos=repositories)
    return base


def evr(pkg):  # type: (Any) -> str
    return str(pkg.evr)


def found(base, name, arch, version):  # type: (Any, str, str, str) -> Any
    """The package of exactly this version that a repository offers. An excluded one is held, not missing."""
    import hawkey

    def among(query):  # type: (Any) -> List[Any]
        rows = [pkg for pkg in query.available().filter(name=name) if evr(pkg) == version]
        return [pkg for pkg in rows if pkg.arch == arch] if arch else rows

    rows = among(base.sack.query())
    have = {pkg.arch for pkg in base.sack.query().installed().filter(name=name)}
    rows.sort(key=lambda pkg: (pkg.arch not in have, pkg.arch))
    if rows:
        return rows[0]
    if among(base.sack.query(hawkey.IGNORE_EXCLUDES)):
        raise No(
            "held", "%s %s is locked or excluded on this host (versionlock, or excludepkgs of dnf)" % (name, version)
        )
    raise No("impossible", "%s %s was not found: no enabled repository of this host has it" % (name, version))


def asked(base, wish):  # type: (Any, Dict[str, Any]) -> None
    """Tells dnf what is wanted, each by its exact version, and has it solved."""
    away = False
    only = base._get_installonly_query()
    for package in wish["packages"]:
        name, arch, version = package["name"], package["arch"], package["to_version"]
        mine = list(base.sack.query().installed().filter(name=name))
        if arch and len({pkg.arch for pkg in mine}) > 1:
            mine = [pkg for pkg in mine if pkg.arch == arch]
        if not version:
            away = True
            for pkg in mine:
                base.package_remove(pkg)
            continue
        if any(evr(pkg) == version for pkg in mine):
            newer = [pkg for pkg in mine if pkg.evr_gt(next(one for one in mine if evr(one) == version))]
            if newer and wish["downgrade"] and only.filter(name=name):
                away = True  # of several versions side by side the newest is the one that counts
                for pkg in newer:
                    base.package_remove(pkg)
            continue
        pkg = found(base, name, arch, version) if "files" not in wish else wish["files"].get((name, version))
        if pkg is None:
            raise No("artifact_missing", "%s %s is not among the files" % (name, version))
        older = mine and all(one.evr_gt(pkg) for one in mine)
        if older and not wish["downgrade"]:
            raise No("downgrade", "%s %s is older than what is installed" % (name, version))
        (base.package_downgrade if older else base.package_install)(pkg)
    base.resolve(allow_erasing=away)


def plan(base):  # type: (Any) -> Tuple[List[Dict[str, Any]], Dict[str, str]]
    """(what comes in, with its file; name -> version of what goes without anything of its name coming)."""
    import libdnf.transaction as words

    coming, going = [], {}  # type: List[Dict[str, Any]], Dict[str, str]
    transaction = list(base.transaction or [])
    gone = (words.TransactionItemAction_REMOVE, words.TransactionItemAction_OBSOLETED)
    comes = {
        words.TransactionItemAction_INSTALL, words.TransactionItemAction_UPGRADE,
        words.TransactionItemAction_DOWNGRADE, words.TransactionItemAction_OBSOLETE,
        words.TransactionItemAction_REINSTALL,
    }  # fmt: skip
    names = {item.pkg.name for item in transaction if item.action in comes}
    for item in transaction:
        if item.action in comes:
            coming.append(change(base, item.pkg))
        elif item.action in gone and item.pkg.name not in names:
            kept = [pkg for pkg in base.sack.query().installed().filter(name=item.pkg.name) if item.pkg.evr_gt(pkg)]
            if kept:  # of several versions side by side the newest goes: back to the one below
                coming.append(dict(change(base, sorted(kept)[-1]), kept=True))
            else:
                going[item.pkg.name] = evr(item.pkg)
    return coming, going


def change(base, pkg):  # type: (Any, Any) -> Dict[str, Any]
    before = sorted(one for one in base.sack.query().installed().filter(name=pkg.name) if one.arch == pkg.arch)
    before = before or sorted(base.sack.query().installed().filter(name=pkg.name))
    if pkg.reponame == "@System":  # it lies there already; the signed lists know its file, if they still have it
        same = base.sack.query().available().filter(name=pkg.name, arch=pkg.arch)
        pkg = next((one for one in same if evr(one) == evr(pkg)), pkg)
    return {
        "name": pkg.name, "arch": pkg.arch, "from": evr(before[-1]) if before else "", "to": evr(pkg),
        "file": None if pkg.reponame == "@System" else file_of(pkg),
    }  # fmt: skip


def file_of(pkg):  # type: (Any) -> Dict[str, Any]
    """Where a package's file lies and what the signed lists say of it."""
    import hawkey

    kind, digest = pkg.chksum if pkg.chksum else (0, b"")
    return {
        "uri": pkg.remote_location() or pkg.location or "", "filename": os.path.basename(pkg.location or ""),
        "size": pkg.downloadsize, "sha256": digest.hex() if kind and hawkey.chksum_name(kind) == "sha256" else "",
        "package": pkg.name, "version": evr(pkg), "arch": pkg.arch,
    }  # fmt: skip


def solve(wish):  # type: (Dict[str, Any]) -> Dict[str, Any]
    """What would be done, dependencies and removals included; with `download` also fetches what comes in."""
    base = opened(wish.get("archives", ""), settings=wish.get("settings"))
    asked(base, wish)
    coming, going = plan(base)
    if wish.get("download") and base.transaction:
        have = set(os.listdir(wish["archives"]))
        missing = [pkg for pkg in base.transaction.install_set if os.path.basename(pkg.location) not in have]
        fetch(base, missing)
        check_signatures(base, missing)
    return {"coming": coming, "going": going}


def fetch(base, packages):  # type: (Any, List[Any]) -> None
    """dnf's own error says only that all mirrors were tried: why stands in what it tells on the way."""
    from dnf.callback import STATUS_FAILED, DownloadProgress

    reasons = []  # type: List[str]

    class Heard(DownloadProgress):  # type: ignore[misc,unused-ignore]
        def end(self, payload, status, msg):  # type: (Any, Any, str) -> None
            if msg:
                reasons.append("%s: %s" % (payload, msg))
                sys.stdout.write("%s: %s\n" % ("error" if status == STATUS_FAILED else "warning", reasons[-1]))

    try:
        base.download_packages(packages, progress=Heard())
    except Exception as error:
        raise No("download", "; ".join(reasons + [str(error)]))


def check_signatures(base, packages):  # type: (Any, List[Any]) -> None
    """The host's own demand (gpgcheck), as dnf would make it; a key that is not there is never brought in silently."""
    for pkg in packages:
        result, words = base.package_signature_check(pkg)
        if result:
            hint = " (its key is not installed on the host: rpm --import it)" if result == 1 else ""
            raise No("repository_untrusted", "%s: %s%s" % (os.path.basename(pkg.location), words, hint))


def transact(wish):  # type: (Dict[str, Any]) -> Dict[str, Any]
    """Does it with the given files and nothing else, if it is what was signed; with `test` only as rpm's own rehearsal."""
    base = opened(repositories=False)
    base.args = ["patchflow", wish["key"]]  # how the transaction is named in `dnf history`
    base.conf.clean_requirements_on_remove = False
    wish["files"] = {(pkg.name, evr(pkg)): pkg for pkg in base.add_remote_rpms(wish["paths"])}
    asked(base, wish)
    coming, going = plan(base)
    done = [(one["name"], one["to"]) for one in coming]
    strange = sorted(set(done) - {tuple(one) for one in wish["coming"]})
    strange += [(name, "removal") for name in sorted(set(going) - set(wish["going"]))]
    if strange:
        raise No(
            "not_contained", "it would also do what was not signed: " + ", ".join(" ".join(one) for one in strange)
        )
    if wish["test"]:
        base.conf.tsflags += ("test",)
    display = displayed()
    base.do_transaction(display=[display])
    return {"coming": coming, "going": going, "errors": display.errors}


def finish(wish):  # type: (Dict[str, Any]) -> Dict[str, Any]
    """Puts the files of an interrupted transaction in place again; what lies beside them in another version goes."""
    base = opened(repositories=False)
    base.args = ["patchflow", wish["key"]]
    only = base._get_installonly_query()
    for pkg in base.add_remote_rpms(wish["paths"]):
        mine = [one for one in base.sack.query().installed().filter(name=pkg.name) if one.arch == pkg.arch]
        there = [one for one in mine if one.evr == pkg.evr]
        if there:
            base.package_reinstall(pkg)
            for other in mine:
                if other.evr != pkg.evr and not only.filter(name=pkg.name):
                    base.package_remove(other)
        elif mine and all(one.evr_gt(pkg) for one in mine):
            base.package_downgrade(pkg)
        else:
            base.package_install(pkg)
    base.resolve(allow_erasing=True)
    coming, going = plan(base)
    if going:
        raise No("not_contained", "it would also remove " + ", ".join(sorted(going)))
    display = displayed()
    base.do_transaction(display=[display])
    return {"coming": coming, "errors": display.errors}


def displayed():  # type: () -> Any
    """What rpm and the scripts of packages say, onto our output."""
    from dnf.yum.rpmtrans import TransactionDisplay

    class Told(TransactionDisplay):  # type: ignore[misc,unused-ignore]
        def __init__(self):  # type: () -> None
            super().__init__()
            self.errors = []  # type: List[str]

        def error(self, message):  # type: (str) -> None
            self.errors.append(message)
            sys.stdout.write("error: %s\n" % message)

        def scriptout(self, msgs):  # type: (Any) -> None
            if msgs:
                sys.stdout.write(msgs.decode(errors="replace") if isinstance(msgs, bytes) else "%s\n" % msgs)

    return Told()


VERBS = {"solve": solve, "transact": transact, "finish": finish}

if __name__ == "__main__":
    main()
