"""One job, from its order to its last word. Detached: whoever ordered it may be gone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import families, look, ways
from .advice import advised
from .ledger import BEFORE_INSTALLING, Ledger, held
from .packaging import Manager, Plan, Refused, compare_files, contained, run, said_with_way, sha256
from .steps import StepFailed, Steps
from .store import Store

if TYPE_CHECKING:
    from .packaging import Packages

FULL = (errno.ENOSPC, errno.EDQUOT)
UNPACKED = 6
"""So many times its compressed size a package takes, as a rule, unpacked beside the one that it replaces."""
RESTARTS_SOON = "Software was updated. This computer restarts in {seconds} seconds: save your work now."


class Called(Exception):
    """The job was called off before it installed anything."""


def launch(ledger: Ledger, shipped: str, mode: str) -> None:
    """Starts the worker so that it outlives us, the connection and the session: under systemd, or in its own session."""
    program = ledger.path("onhost.zip")
    if not os.path.exists(program):
        shutil.copyfile(shipped, program + ".new")
        os.replace(program + ".new", program)
    code = "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1]); from onhost import work; work.main(*sys.argv[2:])"
    argv = [sys.executable or "python3", "-c", code, program, ledger.root, ledger.key, mode]
    if os.path.isdir("/run/systemd/system") and shutil.which("systemd-run"):
        # Only the worker is the unit's: apt is not killed with it. --collect forgets a failed unit at once.
        unit = f"patchflow-job-{ledger.key}-{mode}"
        head = ["systemd-run", "--quiet", "--collect", "--unit", unit, "--property", "KillMode=process"]
        done = subprocess.run([*head, "--", *argv], stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode and b"already" not in done.stderr:
            raise OSError("systemd-run: " + done.stderr.decode(errors="replace").strip())
        return
    with open(ledger.path("worker.out"), "ab") as out:
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/")


def main(root: str, key: str, mode: str) -> None:
    """The worker. A second one of the same job ends at once; a job that began never begins again."""
    ledger = Ledger(root, key)
    try:
        with held(ledger.path("work.lock")):
            if mode == "work":
                os.close(os.open(ledger.path("begun"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            elif ledger.result is not None or ledger.stage != "restarting":
                return
            Job(ledger).go(mode)
    except (BlockingIOError, FileExistsError):
        return


class Job:
    """One order being carried out, by its worker alone."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.order = ledger, ledger.order
        self.packages, self.action = self.order["packages"], self.order["action"]
        self.archives, self.log = ledger.archives, ledger.path("log")
        self.manager = families.here() or Manager()
        self.store = Store(ledger.root, self.manager.suffix)
        self.steps = Steps(ledger, self.order.get("steps", ()), self.manager)
        self.downgrade = self.action == "rollback"
        self.back = self.downgrade or (self.action == "recover" and self.to_older())
        """Whether it takes the host back, or finishes what did."""
        self.restarted = restarted_since(ledger)
        self.way = ledger.way

    def go(self, mode: str) -> None:
        """To the last word, whatever happens on the way."""
        try:
            with held(os.path.join(self.ledger.root, "lock"), wait=mode == "resume"):
                self.verify() if mode == "resume" else self.work()
        except BlockingIOError:
            self.end("refused", "another job is at work on this host", "busy")
        except Called:
            self.end("cancelled", "called off before anything was installed", "cancelled")
        except Refused as no:
            self.end("refused", no.reason, no.code, permanent=no.permanent)
        except StepFailed as failed:
            self.end("failed", str(failed), "step_before")
        except Exception as error:
            before = self.ledger.stage in BEFORE_INSTALLING
            full = isinstance(error, OSError) and error.errno in FULL
            words = f"{type(error).__name__}: {error}"
            self.end("refused" if before else "failed", words, "disk_full" if full else "broken")
            raise
        finally:
            shutil.rmtree(self.archives, ignore_errors=True)

    def end(self, outcome: str, message: str, code: str = "", permanent: bool = False) -> None:
        if outcome in ("succeeded", "not_needed"):
            self.store.empty(self.order.get("artifacts", ()))
        if self.ledger.stage in BEFORE_INSTALLING:  # they may be what leaves no room for the last words
            shutil.rmtree(self.archives, ignore_errors=True)
            if code == "disk_full" and self.action != "stage":
                gone = self.store.make_room(self.order.get("artifacts", ()), times=UNPACKED)
                message = "; ".join([message.rstrip(". "), gone]) if gone else message
        if outcome != "succeeded":
            message += self.steps.give_back(intact=self.ledger.stage in BEFORE_INSTALLING)
        tail = ""
        if os.path.exists(self.log):
            with open(self.log, "rb") as file:
                file.seek(max(0, os.path.getsize(self.log) - 4000))
                tail = file.read().decode(errors="replace")
        self.ledger.finish(
            outcome, advised(code, message, outcome, back=self.back), code, permanent,
            packages=self.manager.states(self.packages), boot_id=look.boot_id(),
            restart_needed=self.manager.restart_needed(), restarted=self.restarted, log_tail=tail,
        )  # fmt: skip

    # ------------------------------------------------------------------ the way

    def work(self) -> None:
        self.call_off()
        self.check_machine()
        if self.action == "recover":
            return self.recover()
        todo = [package for package in self.packages if not self.there(package)]
        if not todo and self.packages:
            return self.end("not_needed", "every package is at its version already", "not_needed")
        self.clear_left()
        if self.action == "stage":  # what makes room for another job does so at once, not when its download has ended
            self.manager.meanwhile = self.call_off
            os.makedirs(self.archives, exist_ok=True)
            self.store.empty(())
            self.store.want_room(self.files_for(todo), self.archives)
        if self.way:
            self.manager.go_through(self.way, self.ledger.folder)
            self.ledger.append("accepted", "downloads " + ways.named(self.way), way=self.way)
        try:
            plan = self.plan_for(todo)
        except Refused as no:
            raise said_with_way(no, self.way) from None
        if self.action == "stage":
            return self.end("staged_only", f"{len(plan.fetched)} files are there and are the signed ones", "staged")
        self.steps.before(self.call_off)
        words = [f"{name} {old or 'none'} -> {new}" for (name, _), (old, new) in sorted(plan.changes.items())]
        words += [f"{name} {version} -> none" for name, version in sorted(plan.removals.items())]
        if not self.ledger.enter_installing(", ".join(words), boot_id=look.boot_id()):
            raise Called()
        automatic = self.automatic(todo)
        status, text = self.manager.install(
            todo, plan, self.archives, self.downgrade, self.log, self.order["timeouts"]["lock"]
        )
        if automatic:
            self.manager.mark_automatic(automatic, self.log)
        self.after_change(status, text)

    def check_machine(self) -> None:
        """The signed machine, nobody else at work on it, nothing unfinished that is not ours to mend."""
        if self.order["machine_id"] and self.order["machine_id"] != look.machine_id():
            raise Refused("wrong_machine", f"machine-id is {look.machine_id()}, not the signed one", True)
        deadline = time.monotonic() + self.order["timeouts"]["lock"]
        holders = self.manager.lock_holders()
        while holders and time.monotonic() < deadline:
            self.call_off()
            time.sleep(1)
            holders = self.manager.lock_holders()
        if holders:
            raise Refused("locked", "the package manager is in use: " + ", ".join(holders), False)
        # An order may mend its own packages, by another version; what else is unfinished apt would configure with it.
        others = set(self.manager.unfinished()) - {package["name"] for package in self.packages}
        if self.action != "recover" and (others or self.manager.torn()):
            what = ", ".join(sorted(others)) or f"{self.manager.name} was interrupted"
            raise Refused("unfinished", "unfinished work on the host, recover first: " + what, False)

    def there(self, package: Mapping[str, str]) -> bool:
        """Whether a package needs nothing: at its version; for an installation also past it."""
        now = self.manager.state(package["name"], package["arch"])
        if not package["to_version"] or not now["version"]:
            return now["version"] == package["to_version"]
        if now["status"] != "installed":
            return False
        past = self.action in ("install", "stage") and self.manager.newer(now["version"], package["to_version"])
        return past or now["version"] == package["to_version"]

    def plan_for(self, todo: Packages) -> Plan:
        """Staged, with fresh lists; where every file was staged ahead, with the lists of then, so that nothing is fetched now. If
        those do not do, everything is fetched as if nothing had been staged."""
        if self.order["refresh"] and not self.laid_ready(todo):
            self.manager.refresh(self.log)
        elif self.order["refresh"]:
            try:
                return self.stage(todo)
            except Refused as no:
                if no.code in ("disk_full", "locked", "slow"):  # nothing that fetching it again would mend
                    raise
                self.ledger.append("accepted", "what was staged ahead does not do, so it is fetched: " + no.reason)
                shutil.rmtree(self.archives, ignore_errors=True)
                self.manager.refresh(self.log)
        return self.stage(todo)

    def laid_ready(self, todo: Packages) -> bool:
        """Whether an earlier staging left a file of the signed size for each package that needs one."""
        if self.action == "stage":
            return False
        needed = [package for package in todo if package["to_version"]]
        files = self.files_for(needed)
        return bool(needed) and len(files) == len(needed) and all(self.store.has(one) for one in files)

    def files_for(self, todo: Packages) -> list[Mapping[str, Any]]:
        """The signed files of these packages, as far as they have one."""
        signed = {(a["package"], a["version"], a["arch"]): a for a in self.order["artifacts"]}
        found = [signed.get((p["name"], p["to_version"], p["arch"])) for p in todo]
        return [one for one in found if one is not None]

    def clear_left(self) -> None:
        """Throws away what was fetched for jobs that were cut off before they installed anything: nobody comes back for it."""
        self.store.clear_half()
        cache = os.path.dirname(self.archives)
        for key in os.listdir(cache) if os.path.isdir(cache) else ():
            if key == self.ledger.key or not os.path.isdir(os.path.join(self.ledger.root, "jobs", key)):
                continue
            other = Ledger(self.ledger.root, key)
            if not other.alive and (other.result is not None or other.stage in BEFORE_INSTALLING):
                shutil.rmtree(os.path.join(cache, key), ignore_errors=True)

    def stage(self, todo: Packages) -> Plan:
        """Dry run, download, compare: nothing on the host has changed when this returns or refuses."""
        os.makedirs(os.path.join(self.archives, "partial"), exist_ok=True)
        plan = self.manager.simulate(todo, self.archives, self.downgrade, self.log)
        contained(plan, self.packages)
        self.call_off()
        ahead = self.store.give(plan.fetched, self.order["artifacts"], self.archives)
        if plan.fetched:
            self.manager.fetch(todo, self.archives, self.downgrade, self.log, self.order["timeouts"]["download"])
        files = compare_files(self.manager, self.archives, plan.fetched, self.order["artifacts"])
        if self.action == "stage":
            self.store.take(files)
        else:
            gone = self.store.make_room(self.order["artifacts"])
            if gone:
                self.ledger.append("accepted", gone)
            self.manager.rehearse(todo, plan, files, self.downgrade, self.log)
        self.call_off()
        came: dict[str, Any] = {"point": self.way["point"]} if self.way else {}
        if ahead:
            came["ahead"] = ahead
        self.ledger.append(
            "staged",
            f"{len(files)} files are there and are the signed ones"
            + (f", {ahead} of them staged ahead" if ahead else ""),
            bytes=sum(a["size"] for a in files.values()),
            **came,
        )
        return plan

    def call_off(self) -> None:
        if self.ledger.cancelled:
            raise Called()

    def automatic(self, todo: Packages) -> list[str]:
        """Packages to be marked as automatic afterwards: those that were, and what an update brings in new."""
        names = {package["name"] for package in todo if package["to_version"]}
        new = {package["name"] for package in todo if not package["from_version"]}
        was = self.manager.automatic()
        return sorted(names & was | (new if names - new else set()))

    def recover(self) -> None:
        if not self.ledger.enter_installing(f"finishing what {self.manager.name} began", boot_id=look.boot_id()):
            raise Called()
        status, text = self.manager.finish(self.interrupted(), self.log)
        self.after_change(status, text)

    def interrupted(self) -> list[str]:
        """The files of this very change that a job left which was stopped while it installed, each compared again with
        what was signed then."""
        wanted, found = {(p["name"], p["to_version"], p["arch"]) for p in self.packages}, []
        for key in sorted(os.listdir(os.path.join(self.ledger.root, "jobs"))):
            other = Ledger(self.ledger.root, key)
            if (
                other.stage != "installing"
                or other.result is not None
                or other.alive
                or not os.path.isdir(other.archives)
            ):
                continue
            signed = {(artifact["sha256"], artifact["size"]) for artifact in other.order["artifacts"]}
            for name in sorted(os.listdir(other.archives)):
                path = os.path.join(other.archives, name)
                if name.endswith(self.manager.suffix) and (sha256(path), os.path.getsize(path)) in signed:
                    found += [path] if self.manager.identity(path) in wanted else []
        return found

    # --------------------------------------------------------------- afterwards

    def to_older(self) -> bool:
        """Whether the signed versions are older than those that they replace."""
        return any(
            package["from_version"] and package["to_version"]
            and self.manager.newer(package["from_version"], package["to_version"])
            for package in self.packages
        )  # fmt: skip

    def after_change(self, status: int, text: str) -> None:
        """The exit status is only quoted: the package database decides (apt's 100 may be for an unrelated failure, dnf's 0
        be silent on a script)."""
        warnings = self.manager.warnings(text)
        if warnings:
            self.ledger.append("installing", "; ".join(warnings), warnings=warnings)
        wrong = self.wrong_packages()
        if wrong:
            said = self.manager.meaning(text, "package_state") if status else None
            code = "disk_full" if said and said.code == "disk_full" else self.code_of_wrong()
            return self.end("failed", "; ".join(wrong) + (": " + said.reason if said and said.reason else ""), code)
        policy = self.order["restart"]
        if policy["mode"] == "always" or (policy["mode"] == "if_needed" and self.manager.restart_needed()):
            self.announce(policy.get("countdown", 0))
            return self.restart(policy["timeout"])
        self.verify()

    def wrong_packages(self) -> list[str]:
        wrong = []
        for package in self.packages:
            now = self.manager.state(package["name"], package["arch"])
            good = self.there(package) and (not package["to_version"] or now["status"] == "installed")
            if not good:
                has = f"{now['version']} {now['status']}" if now["version"] else "not there"
                wrong.append(f"{package['name']} is {has}, wanted {package['to_version'] or 'not there'}")
        unfinished = self.manager.audit()
        return wrong + (["unfinished packages: " + unfinished[-400:]] if unfinished else [])

    def code_of_wrong(self) -> str:
        """Whether packages are left half-installed or are whole, at another version than the signed one: the package database
        says so, whatever was said on the way. On the way back either asks for something else of a person."""
        states = [self.manager.state(package["name"], package["arch"]) for package in self.packages]
        half = any(now["version"] and now["status"] != "installed" for now in states) or bool(self.manager.audit())
        if self.back:
            return "back_half" if half else "no_way_back"
        return "package_state" if half else "package_kept"

    def announce(self, seconds: int) -> None:
        """Tells those who are logged in, and gives them the time that was signed."""
        if not seconds:
            return
        self.ledger.append("installing", f"restarts in {seconds} s; whoever is logged in is told")
        words = RESTARTS_SOON.format(seconds=seconds)
        status, text = run(["wall", words], self.log, seconds=30) if shutil.which("wall") else (1, "there is no wall")
        if status:
            self.ledger.append("installing", "nobody could be told: " + text.strip()[-300:])
        time.sleep(seconds)

    def restart(self, seconds: int) -> None:
        self.ledger.append("restarting", "restarting the host", boot_id=look.boot_id(), timeout=seconds)
        command = ["systemctl", "reboot"] if os.path.isdir("/run/systemd/system") else ["shutdown", "-r", "now"]
        status, text = run(command, self.log, seconds=60)
        if status:
            return self.end("failed", "installed, but the host refuses to restart: " + text.strip()[-300:], "restart")
        time.sleep(seconds)  # the restart ends this process
        self.end("failed", f"installed, but the host did not restart within {seconds} s", "restart")

    def verify(self) -> None:
        self.ledger.append("verifying", "asking packages and services", boot_id=look.boot_id())
        wrong = self.wrong_packages()
        if wrong:
            return self.end("failed", "; ".join(wrong), self.code_of_wrong())
        for check in self.order["health"]:
            words = look.ill(check)
            for _ in range(check["attempts"] - 1):
                if not words:
                    break
                time.sleep(check["interval"])
                words = look.ill(check)
            if words:
                if self.back:
                    said = f"taken back, and {check['name']} is still not healthy: {words}"
                    return self.end("failed", said, "back_unhealthy")
                return self.end("failed", f"installed, but {check['name']} is not healthy: {words}", "unhealthy")
        failed = self.steps.after()
        if failed:
            return self.end("failed", f"installed and verified, but a step after it failed: {failed}", "step_after")
        warnings = [words for event in self.ledger.events() for words in event["data"].get("warnings", ())]
        warnings += self.steps.notes()
        self.end("succeeded", "; ".join(["installed and verified", *(f"but: {words}" for words in warnings)]))


def restarted_since(ledger: Ledger) -> bool:
    """Whether the host has been started anew since the job wanted that."""
    return any(
        event["stage"] == "restarting" and event["data"]["boot_id"] != look.boot_id() for event in ledger.events()
    )
