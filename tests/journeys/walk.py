"""The way from an empty installation to a deployment, step by step, each by the person whose step it is, over REST.

A test takes the steps that it is about by itself and the others from here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.journeys import advisories
from tests.journeys.estate import Estate
from tests.journeys.person import Body, Person
from tests.journeys.stack import Stack

PLANS = {
    "implementation_plan": "The pilot first, then the others, inside their windows.",
    "test_plan": "On the test host: install, check, go back, install again.",
    "back_out_plan": "Reinstall the previous version from the signed repository.",
    "communication_plan": "The owners are told a day before.",
}


class Walk:
    """One walk: the running Patchflow, the hosts, and the people; `hosts` is name → id once they are added."""

    def __init__(self, stack: Stack, estate: Estate) -> None:
        self.stack, self.estate = stack, estate
        self.hosts: dict[str, int] = {}
        self.windows: list[int] = []
        self._people: dict[str, Person] = {}

    def __getattr__(self, name: str) -> Person:
        """`walk.ann` is the person ann."""
        if name.startswith("_") or name not in self.stack.passwords:
            raise AttributeError(name)
        return self.person(name)

    def person(self, name: str) -> Person:
        """A person by name, logged in on first use."""
        if name not in self._people:
            person = Person(self.stack.url, name, self.stack.passwords[name])
            person.login()
            self._people[name] = person
        return self._people[name]

    def begin(self) -> None:
        """Everything up to a catalogue that says which hosts miss what."""
        self.add_hosts()
        self.open_windows()
        self.read_advisories()

    # ------------------------------------------------------------- assess: what do we have
    def add_hosts(self) -> None:
        """Cora adds the hosts: how they are reached, which key is theirs, whether it works, what runs there."""
        for name in self.estate.hosts:
            self.accept_key(self.describe_host(name))
        self.scan(list(self.hosts.values()))

    def describe_host(self, name: str) -> int:
        """Cora says how a host is reached; nothing is trusted by it. Its id."""
        lab = self.estate.lab
        given: Body = {
            "name": name,
            "address": lab.address(name),
            "user": "deploy",
            "become": True,
            "key_kind": "file",
            "key_reference": lab.key_path,
            "environment": "test" if name == self.estate.test else "production",
        }
        self.hosts[name] = self.cora.post("hosts/", given)["id"]
        return self.hosts[name]

    def accept_key(self, host_id: int) -> None:
        """Cora has the host's key shown, accepts it, and tries the connection."""
        shown = self.cora.post(f"hosts/{host_id}/show-key/")
        self.cora.post(f"hosts/{host_id}/accept-key/", {"fingerprint": shown["shown_fingerprint"]})
        tested = self.cora.post(f"hosts/{host_id}/test-connection/")
        assert tested["usable"], tested

    def scan(self, host_ids: list[int]) -> None:
        """Every host read completely. Patchflow asks new hosts by itself as soon as they answer; Cora asks for the rest."""
        self.cora.attempt("scan-runs/", {"host_ids": host_ids, "refresh": True}, but="scan.under_way")
        for pk in host_ids:
            self.cora.until(f"hosts/{pk}/", lambda h: h["audited_at"] and h["state"] == "in_service", seconds=180)

    def open_windows(self) -> None:
        """Cora groups the production hosts and opens a window of a week for each group, from today on."""
        today = datetime.now(UTC).date()
        pilot, *others = (self.hosts[host] for host in self.estate.production)
        groups = {"Pilot hosts": [pilot], "Other hosts": others}
        for name, members in groups.items():
            group = self.cora.post("host-groups/", {"name": name, "kind": "static", "host_ids": members})
            window: Body = {
                "name": f"Week of {name.lower()}",
                "recurrence": "weekly",
                "weekday": today.weekday(),
                "starts_local": "00:00",
                "zone": "UTC",
                "length_minutes": 7 * 24 * 60,
                "from_on": today.isoformat(),
                "group_ids": [group["id"]],
            }
            self.windows.append(self.cora.post("service-windows/", window)["id"])

    # ------------------------------------------------------------- identify: which updates matter here
    def read_advisories(self) -> Any:
        """Sam adds the feed; its first poll is waited for."""
        folder = advisories.publish(self.stack.folder / "advisories")
        feed = self.sam.post(
            "feeds/", {"name": "vendor", "kind": "osv", "location_kind": "folder", "location": str(folder)}
        )
        return self.sam.until(
            f"feeds/{feed['id']}/", lambda f: f["last_good_at"], seconds=60, bad=lambda f: bool(f["problem"])
        )

    def update(self, package: str) -> Any:
        """The update of this package as the catalogue has it."""
        return self.ann.only(f"updates/?name={package}")

    def missing(self, update_id: int) -> dict[str, Any]:
        """Host name → what the update is to it."""
        return {row["host_name"]: row for row in self.ann.get(f"updates/{update_id}/hosts/")}

    # ------------------------------------------------------------- evaluate: shall it be done
    def raise_rfc(self, package: str, *, hosts: tuple[str, ...] = ()) -> Any:
        """Ann raises for these hosts (all of production) and submits, che evaluates."""
        update = self.update(package)
        hosts = hosts or self.estate.production
        body: Body = {"update_ids": [update["id"]], "host_ids": [self.hosts[h] for h in hosts], **PLANS}
        rfc = self.ann.post("rfcs/", body)
        self.ann.post(f"rfcs/{rfc['id']}/submit/")
        return self.che.post(f"rfcs/{rfc['id']}/evaluate/")

    def revise(self, rfc_id: int, changes: Body) -> None:
        """Ann changes the RFC, che has its risk assessed again."""
        self.ann.post(f"rfcs/{rfc_id}/revise/", changes)
        self.che.post(f"rfcs/{rfc_id}/score/")

    def ask(self, rfc_id: int) -> Any:
        """Che asks for approval; the round that this opens."""
        self.che.post(f"rfcs/{rfc_id}/request_approval/")
        return self.che.only(f"rounds/?subject_type=changes.rfc&subject_id={rfc_id}&state=open")

    def decide(self, who: str, round_: Any, verdict: str = "approve", comment: str = "Agreed.") -> Any:
        """One person signs exactly what the round shows; the round afterwards."""
        body = {"verdict": verdict, "comment": comment, "digest_seen": round_["digest"]}
        return self.person(who).post(f"rounds/{round_['id']}/decide/", body)

    def approve(self, round_: Any) -> None:
        """Sam for security, then cal and mia for the board."""
        for who in ("sam", "cal", "mia"):
            self.decide(who, round_)

    def authorized_rfc(self, package: str) -> Any:
        rfc = self.raise_rfc(package)
        self.approve(self.ask(rfc["id"]))
        rfc = self.ann.get(f"rfcs/{rfc['id']}/")
        assert rfc["state"] == "authorized", rfc
        return rfc

    def cycle(self) -> Any:
        """The one open cycle."""
        (found,) = [cycle for cycle in self.che.all("cycles/") if cycle["state"] != "completed"]
        return found

    # ------------------------------------------------------------- plan: how
    def compose(self, rfc_ids: list[int], *, checks: list[Body] | None = None, **numbers: int) -> Any:
        """Rex composes a release of two rings, in the windows, with a profile; `numbers` of the rings beside the usual."""
        release = self.rex.post("releases/", {"rfc_ids": rfc_ids, "title": "From the journey"})
        pk = release["id"]
        rings = [
            {"name": "Pilot", "host_ids": [self.hosts[self.estate.pilot]], "soak_seconds": 1, **numbers},
            {"name": "Others", "percent": 100, "concurrency": 2, "soak_seconds": 1, **numbers},
        ]
        self.rex.post(f"releases/{pk}/rings/", {"rings": rings})
        self.rex.post(f"releases/{pk}/windows/", {"window_ids": self.windows})
        minutes = {"max_minutes_each": 10, "max_minutes_total": 10}
        profile = self.rex.post("install-profiles/", {"name": "Servers", **minutes, "checks": checks or []})
        return self.rex.post(f"releases/{pk}/profile/", {"profile_id": profile["id"]})

    def build(self, release_id: int, *, ends: str = "testing") -> Any:
        """Rex asks for a build; the release once it is built, or back in planning where that is expected."""
        self.rex.post(f"releases/{release_id}/build/")
        other = "planning" if ends == "testing" else "testing"
        return self.rex.until_state(f"releases/{release_id}/", ends, seconds=180, bad=(other,))

    def test(self, release_id: int, package: str, *, checks: list[Body] | None = None) -> Any:
        """Tia tests the update on the test host: install, check, go back, install again."""
        plan = {
            "update_id": self.update(package)["id"],
            "host_id": self.hosts[self.estate.test],
            "checks": checks or [],
        }
        self.tia.post(f"releases/{release_id}/plan_test/", plan)
        self.tia.post(f"releases/{release_id}/test/")
        return self.tia.until_state(f"releases/{release_id}/", "scheduling", seconds=240, bad=("planning",))

    def seal(self, release_id: int) -> Any:
        """Rex seals; the manifest."""
        self.rex.post(f"releases/{release_id}/seal/")
        return self.rex.get(f"releases/{release_id}/manifests/")[0]

    def sign(self, release_id: int) -> Any:
        """Gus reads the manifest and signs it: go."""
        manifest = self.gus.get(f"releases/{release_id}/manifests/")[0]
        body = {"verdict": "approve", "comment": "Go.", "digest_seen": manifest["digest"]}
        release = self.gus.post(f"releases/{release_id}/sign/", body)
        assert release["state"] == "ready", release
        return release

    def ready_release(self, package: str, **numbers: int) -> Any:
        """From the RFC to a release that may start."""
        rfc = self.authorized_rfc(package)
        release = self.compose([rfc["id"]], **numbers)
        self.build(release["id"])
        self.test(release["id"], package)
        self.seal(release["id"])
        return self.sign(release["id"])

    # ------------------------------------------------------------- deploy
    def deploy(self, release_id: int) -> Any:
        """Rex starts it; the rollout."""
        self.rex.post(f"releases/{release_id}/deploy/")
        return self.rollout(release_id)

    def rollout(self, release_id: int) -> Any:
        """The newest rollout of a release, with its rings."""
        newest = next(self.otto.all(f"rollouts/?release={release_id}"))
        return self.otto.get(f"rollouts/{newest['id']}/")

    def jobs(self, rollout_id: int) -> dict[str, Any]:
        """Host name → its job."""
        return {job["host_name"]: job for job in self.otto.all(f"jobs/?rollout={rollout_id}")}

    def until_deployed(self, release_id: int, rollout_id: int) -> Any:
        """The release once all of it is deployed; a rollout that halts fails at once, with each job's own words."""
        path = f"rollouts/{rollout_id}/"
        try:
            self.otto.until_state(path, "completed", seconds=300, bad=("halted", "stopped"))
        except AssertionError as error:
            jobs = self.jobs(rollout_id).values()
            told = [f"{job['host_name']}: {job['state']} {job['code']} {job['statement']}" for job in jobs]
            raise AssertionError("\n".join([str(error), *told])) from error
        release = self.rex.until_state(f"releases/{release_id}/", "deployed")
        assert release["outcome"] == "full"
        return release

    def until_job(self, rollout_id: int, host: str, good: Callable[[Any], bool], *, seconds: float = 90) -> Any:
        """The host's job once `good` holds of it."""
        path = f"jobs/?rollout={rollout_id}&host={self.hosts[host]}"
        return self.otto.until(path, lambda page: good(page["results"][0]), seconds=seconds)["results"][0]

    # ------------------------------------------------------------- what an auditor sees
    def states_in_trail(self, kind: str, pk: int) -> list[tuple[str, str]]:
        """(state, who) of every change of state of an object, oldest first."""
        entries = list(self.aud.all(f"audit/?object_type={kind}&object_id={pk}&outcome=done&page_size=500"))
        return [(e["after_state"], e["actor_name"]) for e in reversed(entries) if e["after_state"]]
