"""Manifest and change documents for tests of pure rules."""

from __future__ import annotations

from typing import Any

from patchflow.kernel.integrity import digest

UPDATES = [("openssl", "3.0.15-1~deb12u1"), ("curl", "7.88.1-10+deb12u8"), ("bind9", "1:9.18.28-1~deb12u2")]


def update(name: str, version: str) -> dict[str, str]:
    return {"distribution": "debian", "release": "12", "name": name, "fixed_version": version}


def change_document(
    *, rfc: str = "RFC-2026-00001", updates: list[tuple[str, str]] | None = None, hosts: tuple[int, ...] = (1, 2, 3),
    windows: tuple[int, ...] = (1, 2), earliest: str | None = "2026-11-18T00:00:00Z", latest: str | None = "2026-12-18T00:00:00Z",
    way_back: str = "reinstall_previous",
) -> dict[str, Any]:  # fmt: skip
    """What an RFC's approval signs."""
    chosen = UPDATES[:2] if updates is None else updates
    return {
        "schema": 1, "rfc": rfc, "kind": "normal", "updates": [update(n, v) for n, v in chosen], "other_reason": "",
        "targets": [{"host": h, "name": f"h{h:02d}"} for h in hosts], "dates": {"earliest": earliest, "latest": latest},
        "windows": [{"window": w, "name": f"window {w}"} for w in windows], "way_back": way_back,
        "plans": {"implementation": "x", "test": "x", "back_out": "x", "communication": ""}, "risk": {"level": "low", "score": 3, "factors": []},
    }  # fmt: skip


def file_of(name: str, version: str, arch: str = "amd64") -> dict[str, Any]:
    return {
        "package": name, "version": version, "arch": arch, "filename": f"{name}_{version}_{arch}.deb",
        "sha256": digest([name, version, arch]), "size": 1000 + len(name), "origin": "http://repo.test lab",
    }  # fmt: skip


def manifest_document(
    changes: list[dict[str, Any]], *, hosts: tuple[int, ...] | None = None, windows: tuple[int, ...] = (1,),
    earliest: str | None = "2026-11-19T00:00:00Z", latest: str | None = "2026-12-01T00:00:00Z", dependency: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """A manifest within the given changes: every host gets the updates that the changes have for it."""
    chosen = sorted({t["host"] for c in changes for t in c["targets"]}) if hosts is None else list(hosts)
    updates = sorted({(u["name"], u["fixed_version"]) for c in changes for u in c["updates"]})
    classes: dict[str, list[dict[str, Any]]] = {}
    rows = []
    for host in chosen:
        mine = sorted(
            {
                (u["name"], u["fixed_version"])
                for c in changes
                for u in c["updates"]
                if host in {t["host"] for t in c["targets"]}
            }
        )
        label = "debian-12-amd64" + "".join(f"+{n}" for n, _v in mine)
        packages = [
            {"name": n, "arch": "amd64", "to": v, "source": n, "source_version": v, "dependency": False}
            for n, v in mine
        ]
        if dependency:
            packages.append(
                {
                    "name": "libextra",
                    "arch": "amd64",
                    "to": "2.0",
                    "source": "extra",
                    "source_version": "2.0",
                    "dependency": True,
                }
            )
        classes[label] = sorted(packages, key=lambda p: p["name"])
        rows.append({
            "host": host, "name": f"h{host:02d}", "fingerprint": f"{host:032x}/SHA256:abc", "class": label, "ring": host % 2,
            "packages": [{"name": p["name"], "arch": "amd64", "from": "0.9", "to": p["to"]} for p in classes[label]],
        })  # fmt: skip
    wanted = sorted({(p["name"], p["to"]) for ps in classes.values() for p in ps})
    previous = sorted({p["name"] for ps in classes.values() for p in ps})
    return {
        "schema": 1, "release": "REL-2026-00001", "revision": 1,
        "rfcs": [{"rfc": c["rfc"], "digest": digest(c)} for c in changes],
        "updates": [update(n, v) for n, v in updates],
        "classes": [
            {"class": label, "distribution": "debian", "release": "12", "packages": classes[label]} for label in sorted(classes)
        ],
        "artifacts": [file_of(n, v) for n, v in wanted],
        "hosts": rows,
        "rings": [
            {"ring": n, "name": f"ring {n}", "concurrency": 1, "failure_limit": 1, "success_percent": 95, "soak_seconds": 3600}
            for n in (0, 1)
        ],
        "windows": [{"window": w, "revision": 1, "name": f"window {w}"} for w in windows],
        "start": {"earliest": earliest, "latest": latest},
        "profile": {"name": "Servers", "revision": 1, "restart": "if_needed"},
        "way_back": {
            "kind": "reinstall_previous",
            "hosts": [
                {"host": h["host"], "packages": [{"name": p["name"], "arch": "amd64", "to": "0.9"} for p in h["packages"]]}
                for h in rows
            ],
            "artifacts": [file_of(n, "0.9") for n in previous],
        },
    }  # fmt: skip
