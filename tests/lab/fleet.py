"""A fleet of real hosts for tests: the scripts beside this file, as one object and two fixtures.

    def test_x(lab): lab.ssh("h01", "sudo apt-get update")
    def test_y(fresh_host): fresh_host.endpoint ...

The base is made once by `tests/lab/prepare`, into PATCHFLOW_LAB_BASE or var/lab; tests never use the network.
Where a lab cannot be, tests skip with "no lab: <reason>"; with PATCHFLOW_REQUIRE_LAB=1 they fail instead.
Each test process gets a lab with a tag, net and folder of its own. A lab that a killed run left behind is found
through its folder and removed at the next start.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from cmdb.remote.connection import Endpoint

HERE = Path(__file__).resolve().parent
TOOLS = ("systemd-nspawn", "ip", "ssh", "ssh-keygen", "ssh-keyscan", "unshare", "nsenter", "apt-ftparchive", "gpg")
RPM_TOOLS = ("createrepo_c", "modifyrepo_c")
SLOTS = 24


class NoLab(Exception):
    """Why there can be no lab here."""


def base() -> Path:
    return Path(os.environ.get("PATCHFLOW_LAB_BASE") or HERE.parents[1] / "var" / "lab")


def why_not() -> str:
    """The reason why no lab can run here, or nothing. Starts nothing."""
    if os.geteuid() != 0:
        return "root is needed for namespaces and mounts"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"not installed: {' '.join(missing)}"
    if not (base() / ".lab.seed").exists():
        return f"no base in {base()}: run tests/lab/prepare (needs the network)"
    return _why_no_overlay()


def _why_no_overlay() -> str:
    with tempfile.TemporaryDirectory(prefix="patchflow-lab-try-") as name:
        for part in ("lower", "upper", "work", "root"):
            (Path(name) / part).mkdir()
        where = f"lowerdir={name}/lower,upperdir={name}/upper,workdir={name}/work"
        tried = subprocess.run(["mount", "-t", "overlay", "none", "-o", where, f"{name}/root"], capture_output=True)
        if tried.returncode:
            return f"no overlay mounts: {tried.stderr.decode().strip()}"
        subprocess.run(["umount", f"{name}/root"], check=True)
    return ""


@dataclass
class Lab:
    """One running lab. `names` are h01... (Debian) and r01... (RPM family)."""

    tag: str
    net: str
    folder: Path
    names: list[str] = field(default_factory=list)
    lock: IO[str] | None = None
    init: str = "systemd"  # or "light": sshd is PID 1, there are no services

    # ------------------------------------------------------------- the whole lab

    @classmethod
    def take(cls) -> "Lab":
        """The first free place; what killed runs left in it, or in any other free one, is removed. Raises NoLab."""
        if reason := why_not():
            raise NoLab(reason)
        places = Path(tempfile.gettempdir()) / "patchflow-labs"
        places.mkdir(mode=0o700, exist_ok=True)
        taken: Lab | None = None
        for slot in range(SLOTS):
            if taken is not None and not (places / str(slot)).exists():
                continue
            lock = (places / f"{slot}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            lab = cls(tag=f"pft{slot}", net=f"10.82.{slot}", folder=places / str(slot), lock=lock)
            lab.sweep()
            if taken is None:
                taken = lab
            else:
                lock.close()
        if taken is None:
            raise NoLab(f"all {SLOTS} places for labs are taken")
        return taken

    def up(self, debian: int = 1, rpm: int = 0) -> None:
        """Starts h01..hN and r01..rM and the repository server; all answer on port 22 afterwards."""
        self._copy_repository()
        self.script("debrepo", "publish")
        if rpm:
            if not (base() / ".lab.rpm-seed").exists():
                raise NoLab("no RPM base: run tests/lab/prepare --rpm")
            if missing := [tool for tool in RPM_TOOLS if shutil.which(tool) is None]:
                raise NoLab(f"not installed: {' '.join(missing)}")
            self.script("rpmrepo", "publish")
        self.script("lab", "up", str(debian), str(rpm))
        self.names = sorted(path.name for path in (self.folder / "hosts").iterdir())

    def down(self) -> None:
        """Stops everything, leaves no process, mount, namespace or folder."""
        if self.folder.exists():
            self.script("lab", "down", check=False)
        self.sweep()
        if self.lock is not None:
            self.lock.close()

    def sweep(self) -> None:
        """Removes what is left of a lab in this place, whether or not its folder still tells about it."""
        if (self.folder / "hosts").exists():
            self.script("lab", "down", check=False)
        names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
        for name in [name for name in names if name.startswith(f"{self.tag}-")]:
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
            if pids:
                subprocess.run(["kill", "-KILL", *pids], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "netns", "del", name], check=False)
        links = subprocess.run(["ip", "-br", "link", "show"], capture_output=True, text=True).stdout
        for link in re.findall(rf"^({self.tag}(?:br0|repo|[hr]\d+))\b", links, re.MULTILINE):
            subprocess.run(["ip", "link", "del", link], check=False)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if (place := line.split()[1]).startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", place], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _copy_repository(self) -> None:
        # Tampering edits our own packages in place; Debian's are never written and may be shared.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / ".lab").touch()

        def copy(source: str, target: str) -> None:
            if not Path(source).name.startswith("acme-") and "/pool/" in source:
                with contextlib.suppress(OSError):
                    os.link(source, target)
                    return
            shutil.copy2(source, target)

        shutil.copytree(base() / "www", self.folder / "www", copy_function=copy, dirs_exist_ok=True)
        gnupg = shutil.ignore_patterns("S.*", ".#*", "*.lock")
        shutil.copytree(base() / "gnupg", self.folder / "gnupg", ignore=gnupg, dirs_exist_ok=True)
        (self.folder / "gnupg").chmod(0o700)

    # ------------------------------------------------------------------ one host

    def ssh(self, host: str, command: str, *, check: bool = True, timeout: float = 100) -> str:
        """A shell line as `deploy`; its output, stripped."""
        return self.script("lab", "ssh", host, command, check=check, timeout=timeout)

    def exec(self, host: str, *argv: str, check: bool = True) -> str:
        """A command inside the host without ssh, as root."""
        return self.script("lab", "exec", host, *argv, check=check)

    def reset(self, *hosts: str) -> None:
        """Hosts as new: own layers thrown away, new machine-ids and host keys, same addresses."""
        self.script("lab", "reset", *hosts)

    def crash(self, host: str) -> None:
        """Power cut."""
        self.script("lab", "crash", host)

    def start(self, host: str) -> None:
        self.script("lab", "start", host)

    def stop(self, host: str) -> None:
        self.script("lab", "stop", host)

    def link(self, host: str, state: str) -> None:
        """Pulls (`down`) or replugs (`up`) the network cable."""
        self.script("lab", "link", host, state)

    def repository(self, state: str) -> None:
        """Takes the repository server off the network (`down`) or puts it back (`up`)."""
        subprocess.run(["ip", "link", "set", f"{self.tag}repo", state], check=True)

    def tamper(self, what: str) -> None:
        """Breaks the Debian repository: index, package, key, unsigned, expired."""
        self.script("debrepo", "tamper", what)

    def repair(self) -> None:
        """Undoes `tamper`."""
        pool = Path("www", "debian", "pool")
        for ours in (self.folder / pool).glob("*/acme-*.deb"):
            ours.unlink()
        for deb in (base() / pool).glob("*/acme-*.deb"):
            shutil.copy2(deb, self.folder / pool / deb.parent.name)
        self.script("debrepo", "publish")

    def tamper_rpm(self, what: str) -> None:
        """Breaks the RPM repository: metadata, package, key."""
        self.script("rpmrepo", "tamper", what)

    def repair_rpm(self) -> None:
        """Undoes `tamper_rpm`."""
        for name in ("Packages", "repodata"):
            shutil.copytree(base() / "www" / "rpm" / name, self.folder / "www" / "rpm" / name, dirs_exist_ok=True)
        self.script("rpmrepo", "publish")

    def address(self, host: str) -> str:
        return f"{self.net}.{(10 if host[0] == 'h' else 150) + int(host[1:])}"

    def host_key(self, host: str) -> str:
        """The host's own key, as `type base64`, read from its disk and not over the network."""
        return " ".join((self.folder / "hosts" / host / "known_host").read_text().split()[1:3])

    @property
    def key_path(self) -> str:
        return str(self.folder / "ssh" / "id_ed25519")

    def endpoint(self, host: str) -> Endpoint:
        return Endpoint(
            address=self.address(host),
            user="deploy",
            become=True,
            host_key=self.host_key(host),
            key_path=self.key_path,
        )

    def script(self, name: str, *args: str, check: bool = True, timeout: float = 120) -> str:
        """One of the scripts beside this file, in this lab. Output goes through a file: hosts outlive the script."""
        env = os.environ | {
            "LAB_DIR": str(self.folder),
            "LAB_CACHE": str(base()),
            "LAB_TAG": self.tag,
            "LAB_NET": self.net,
            "LAB_INIT": self.init,
        }
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run(
                [str(HERE / name), *args], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout
            )
            out.seek(0)
            err.seek(0)
            text, words = out.read().decode(errors="replace"), err.read().decode(errors="replace")
        if check and done.returncode:
            raise AssertionError(f"{name} {' '.join(args)}: exit {done.returncode}\n{text}{words}")
        return text.strip()


@dataclass(frozen=True)
class FreshHost:
    """A host that no test has used, with up-to-date package lists."""

    lab: Lab
    name: str

    @property
    def endpoint(self) -> Endpoint:
        return self.lab.endpoint(self.name)

    def ssh(self, command: str, *, check: bool = True, timeout: float = 100) -> str:
        return self.lab.ssh(self.name, command, check=check, timeout=timeout)

    def state(self, package: str) -> str:
        """`version status`, by dpkg's own words."""
        return self.ssh(f"dpkg-query -W -f '${{Version}} ${{db:Status-Status}}' {package}", check=False)

    def dpkg_ran(self, package: str) -> int:
        """How often dpkg began to upgrade, install or downgrade this package."""
        log = self.ssh("cat /var/log/dpkg.log")
        return len(re.findall(rf"^\S+ \S+ (?:upgrade|install) {re.escape(package)}:\S+ \d", log, re.MULTILINE))


@dataclass(frozen=True)
class FreshRpmHost(FreshHost):
    """The same of the RPM family."""

    def state(self, package: str) -> str:
        """`version-release` by rpm's own words; of several versions each, in rpm's order."""
        return self.ssh(f"rpm -q --qf '%{{VERSION}}-%{{RELEASE}} ' {package}", check=False)

    def transactions(self) -> list[str]:
        """The command lines in dnf's history, newest first."""
        text = self.ssh("sudo dnf history list 2>/dev/null", check=False)
        return [line.split("|")[1].strip() for line in text.splitlines() if re.match(r"^ +\d+ \|", line)]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One lab with one Debian host for the whole session of this process."""
    with started(debian=1) as running:
        yield running


@pytest.fixture
def fresh_host(lab: Lab) -> FreshHost:
    """h01 as new, package lists up to date. A test that tampers with the repository repairs it itself."""
    lab.reset("h01")
    host = FreshHost(lab, "h01")
    host.ssh("sudo apt-get -qq update -eany")
    return host


@pytest.fixture(scope="session")
def rpm_lab() -> Iterator[Lab]:
    """One lab with one host of the RPM family."""
    with started(debian=0, rpm=1) as running:
        yield running


@pytest.fixture
def fresh_rpm_host(rpm_lab: Lab) -> FreshRpmHost:
    """r01 as new; the key of its repository is known to it. A test that tampers with the repository repairs it itself."""
    rpm_lab.reset("r01")
    host = FreshRpmHost(rpm_lab, "r01")
    host.ssh("sudo dnf -qy makecache")
    return host


@contextlib.contextmanager
def started(*, debian: int = 1, rpm: int = 0, init: str = "systemd") -> Iterator[Lab]:
    """A lab for as long as the block lasts; skips (or fails, PATCHFLOW_REQUIRE_LAB=1) where there can be none."""
    try:
        running = Lab.take()
    except NoLab as error:
        _give_up(str(error))
    running.init = init
    try:
        try:
            running.up(debian, rpm)
        except NoLab as error:
            _give_up(str(error))
        yield running
    finally:
        running.down()


def _give_up(reason: str) -> None:
    if os.environ.get("PATCHFLOW_REQUIRE_LAB") == "1":
        pytest.fail(f"no lab: {reason}", pytrace=False)
    pytest.skip(f"no lab: {reason}")
