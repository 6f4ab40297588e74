"""What may be asked of this host: start, events, observe, cancel, dry_run."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from . import families, look, ways, work
from .advice import advised
from .ledger import ROOT, Ledger, held, write
from .packaging import Manager, Refused, said_with_way


def answer(request: dict[str, Any], shipped: str) -> dict[str, Any]:
    """One question, one answer, both plain JSON."""
    if os.geteuid() != 0:
        return {"error": "not root on the host"}
    return VERBS[request["verb"]](request, shipped)


def start(request: dict[str, Any], shipped: str) -> dict[str, Any]:
    """Takes an order, once. Nothing is installed by asking twice, by an old claim, or beside another job."""
    order, fence, root = request["order"], request["fence"], request.get("root", ROOT)
    if families.here() is None:
        return {"word": "unsupported", "reason": families.why_not()}
    ledger = Ledger(root, request["key"])
    ledger.make()
    with held(os.path.join(root, "start.lock"), wait=True):
        if not ledger.raise_fence(fence):
            return {"word": "stale", "reason": f"a newer claim of this job was here: {ledger.fence}"}
        if ledger.known:
            if ledger.order != order:
                return {"word": "different", "reason": "this key is known here for another order"}
            if ledger.begun or ledger.result is not None:
                return {"word": "already", "reason": f"at {ledger.stage}"}
        else:
            other = at_work(root, shipped)
            if other and other != ledger.key:
                if order["action"] != "stage" and Ledger(root, other).order["action"] == "stage":
                    Ledger(root, other).cancel()  # what only lays files ready makes way
                return {"word": "busy", "reason": f"job {other} lives on this host"}
            way = request.get(
                "way"
            )  # first, and also where there is none: a start that was cut off may have left another
            write(ledger.path("way.json"), json.dumps(ways.checked(way) if way else None))
            write(ledger.path("order.json"), json.dumps(order))
            write(os.path.join(root, "current"), ledger.key)
            ledger.append("accepted", f"{order['action']} of {len(order['packages'])} packages")
        work.launch(ledger, shipped, "work")
    return {"word": "accepted", "reason": ""}


def at_work(root: str, shipped: str) -> str:
    """The key of the job that may still act on this host, if there is one. One that waits for its end is sent on."""
    path = os.path.join(root, "current")
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        ledger = Ledger(root, file.read().strip())
    return ledger.key if ledger.result is None and (go_on(ledger, shipped) or ledger.stage == "restarting") else ""


def go_on(ledger: Ledger, shipped: str) -> bool:
    """Whether the job's worker runs; after a restart of the host it is started again, to verify."""
    if ledger.alive or ledger.starting:
        return True
    waits = ledger.result is None and ledger.stage == "restarting"
    if waits and ledger.events()[-1]["data"]["boot_id"] != look.boot_id():
        work.launch(ledger, shipped, "resume")
        return True
    return False


def events(request: dict[str, Any], shipped: str) -> dict[str, Any]:
    """What was written down since. A job that waited for its restart goes on from here."""
    ledger = Ledger(request.get("root", ROOT), request["key"])
    if not ledger.known:
        return {"known": False}
    alive = go_on(ledger, shipped)
    # The result is read before the journal: whoever sees it sees the whole journal.
    result = ledger.result
    return {"known": True, "alive": alive, "result": result, "stage": ledger.stage,
            "events": ledger.events(request.get("after", 0))}  # fmt: skip


def observe(request: dict[str, Any], shipped: str) -> dict[str, Any]:
    """What is there. While a lock is held the manager's own account of unfinished work says nothing."""
    manager = families.here()
    if manager is None:
        return {"error": families.why_not()}
    ledger, running = Ledger(request.get("root", ROOT), request["key"]), manager.lock_holders()
    health = [(check["name"], look.ill(check)) for check in request["health"]]
    return {
        "packages": manager.states(request["packages"]),
        "apt_running": running,
        "audit": "" if running else manager.audit(),
        "interrupted": not running and bool(manager.torn() or manager.unfinished()),
        "boot_id": look.boot_id(),
        "machine_id": look.machine_id(),
        "restart_needed": manager.restart_needed(),
        "health": [f"{name}: {words}" for name, words in health if words],
        "stage": ledger.stage,
        "alive": ledger.alive or ledger.starting,
        "result": ledger.result,
    }


def cancel(request: dict[str, Any], shipped: str) -> dict[str, Any]:
    """Also for an order that has not arrived yet: should it still come, it will not run."""
    ledger = Ledger(request.get("root", ROOT), request["key"])
    ledger.make()
    if not ledger.raise_fence(request["fence"]):
        return {"word": "stale", "reason": f"a newer claim of this job was here: {ledger.fence}"}
    if ledger.result is not None:
        return {"word": "ended", "reason": ledger.result["outcome"]}
    if ledger.cancel():
        return {"word": "cancelled", "reason": "" if ledger.known else "it was not here"}
    return {"word": "too_late", "reason": f"at {ledger.stage}; what runs is not stopped"}


def dry_run(request: dict[str, Any], shipped: str) -> dict[str, Any]:
    """What the wanted versions would bring about, with the files, by the signed lists. Changes nothing. The lists come by the
    way that is named, and by no other."""
    manager = families.here()
    if manager is None:
        return {"refused": families.why_not(), "code": "unsupported"}
    way = ways.checked(request["way"]) if request.get("way") else None
    try:
        return planned(manager, request, way)
    except Refused as refused:
        no = said_with_way(refused, way)
        return {"refused": advised(no.code, no.reason), "code": no.code}


def planned(manager: Manager, request: dict[str, Any], way: dict[str, Any] | None) -> dict[str, Any]:
    wanted = [{"name": name, "arch": "", "to_version": version} for name, version in request["wanted"]]
    with tempfile.TemporaryDirectory(prefix="patchflow-") as archives:
        os.makedirs(os.path.join(archives, "partial"))
        if way:
            manager.go_through(way, archives)
        if request["refresh"]:
            manager.refresh()
        plan = manager.simulate(wanted, archives, downgrade=True)
        files = manager.announced(wanted, archives, downgrade=True)
    arches = {name: manager.state(name, "")["arch"] for name in plan.removals}
    return {
        "changes": [
            {"name": n, "arch": a, "from_version": old, "to_version": new} for (n, a), (old, new) in sorted(plan.changes.items())
        ]
        + [
            {"name": n, "arch": arches[n], "from_version": old, "to_version": ""} for n, old in sorted(plan.removals.items())
        ],
        "removals": sorted(plan.removals), "artifacts": files,
    }  # fmt: skip


VERBS = {"start": start, "events": events, "observe": observe, "cancel": cancel, "dry_run": dry_run}
