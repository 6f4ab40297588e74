"""The files of a build: each found in an index whose signature holds, before anything refers to it.

What the host says about its repositories names *where* to look; whom to trust is decided here alone, by the public keys
in the keyring folder (`PATCHFLOW["KEYRINGS"]`). A repository inside the own network is asked only if its host name is
in `PATCHFLOW["OUTBOUND_ALLOW"]`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from changes.domain.files import AnySpec, Place, register
from changes.models import Artifact
from changes.sources.apt_release import RepositorySpec
from changes.sources.base import Fetcher
from changes.sources.fetchers import HttpFetcher
from changes.sources.rpm import RpmRepositorySpec
from cmdb.models import Fact, Host, PackageVersion
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Blocked
from patchflow.kernel.models import User
from releases.executors import simulator_repository
from releases.executors.base import ArtifactSpec

SYSTEM_KEYRINGS = Path("/usr/share/keyrings")


class Untrusted(Exception):
    """A file could not be proven to come from a signed repository; the text says which and why."""


def registered(specs: Iterable[ArtifactSpec], *, host_id: int, actor: User, at: datetime) -> list[Artifact]:
    """The artifacts of these files, each with the size and hash that a verified index of the host's sources names.

    Works over the network, outside any transaction. Raises Untrusted: no source, no key here, a signature or an index
    that does not hold, or a file whose hash is another.
    """
    wanted = {(s.package, s.version, s.arch): s for s in specs}
    host = Host.objects.select_related("platform").get(pk=host_id)
    found: dict[Place, Artifact] = {}
    reasons: list[str] = []
    for uri, sources in _by_repository(host, wanted.values()).items():
        for source in sources:
            missing = set(wanted) - set(found)
            if not missing:
                break
            for spec in _suites(host, uri, source):
                try:
                    answer = register(spec=spec, fetcher=fetcher_for(uri), actor=actor, at=at, wanted=missing)
                except Blocked as blocked:
                    raise Untrusted(
                        english(
                            "%(uri)s %(suite)s is not to be trusted: %(why)s",
                            uri=spec.uri,
                            suite=spec.suite,
                            why=blocked,
                        )
                    ) from blocked
                found |= {p: a for p, a in answer.artifacts.items() if _same(wanted[p], a)}
                reasons += [
                    english(
                        "%(artifact)s has SHA-256 %(signed)s… in the signed index, the host was offered %(offered)s….",
                        artifact=a,
                        signed=a.sha256[:12],
                        offered=wanted[p].sha256[:12],
                    )
                    for p, a in answer.artifacts.items()
                    if not _same(wanted[p], a)
                ]
    absent = sorted(set(wanted) - set(found))
    if absent:
        names = ", ".join(f"{name} {version} ({arch})" for name, version, arch in absent)
        raise Untrusted(" ".join([english("No signed repository known here lists %(names)s.", names=names), *reasons]))
    return [found[place] for place in wanted]


def registered_simulated(
    specs: Iterable[ArtifactSpec],
    *,
    platform_id: int,
    actor: User,
    at: datetime,
    sources: simulator_repository.Sources = {},  # noqa: B006  never written to
) -> list[Artifact]:
    """As `registered`, of the invented files of simulated hosts: the simulator's own repository lists and signs them.

    The same checks are made; what they prove is kept under the repository's own address, `simulated://repository`.
    `sources` of new versions; those of versions that hosts have are known from their inventory. Raises Untrusted.
    """
    wanted = {(s.package, s.version, s.arch): s for s in specs}
    names = {name for name, _version, _arch in wanted}
    rows = PackageVersion.objects.filter(platform_id=platform_id, name__in=names)
    known = {(n, v): (s, sv) for n, v, s, sv in rows.values_list("name", "version", "source_name", "source_version")}
    spec, shelf = simulator_repository.publish(wanted.values(), sources={**known, **sources}, at=at)
    try:
        answer = register(spec=spec, fetcher=shelf, actor=actor, at=at, wanted=set(wanted))
    except Blocked as blocked:
        raise Untrusted(english("%(uri)s is not to be trusted: %(why)s", uri=spec.uri, why=blocked)) from blocked
    if absent := sorted(set(wanted) - set(answer.artifacts)):
        raise Untrusted(
            english(
                "The simulated repository does not list %(names)s.", names=", ".join(" ".join(one) for one in absent)
            )
        )
    return [answer.artifacts[place] for place in wanted]


def _same(spec: ArtifactSpec, artifact: Artifact) -> bool:
    return (spec.sha256, spec.size) == (artifact.sha256, artifact.size)


def _by_repository(host: Host, specs: Iterable[ArtifactSpec]) -> dict[str, list[Mapping[str, Any]]]:
    """Repository address → the host's sources there; those that the files' own addresses lie under come first."""
    fact = Fact.objects.filter(host=host, key="sources").order_by("-seen_at").first()
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for source in fact.value if fact else []:
        if source.get("enabled", True):
            for uri in source.get("uris", []):
                found[uri.rstrip("/")].append(source)
    uris = [s.uri for s in specs]
    near = sorted(found, key=lambda root: -sum(uri.startswith(root + "/") for uri in uris))
    if not found:
        raise Untrusted(english("%(host)s has told no package source: scan it first.", host=host))
    return {root: found[root] for root in near}


def _suites(host: Host, uri: str, source: Mapping[str, Any]) -> list[AnySpec]:
    platform = host.platform
    assert platform is not None  # noqa: S101  a class has a platform
    keyring = keyring_for(str(source.get("signed_by", "")))
    try:
        if platform.ecosystem == "rpm":
            return [
                RpmRepositorySpec(uri=uri, suite=suite, architectures=(platform.arch,), keyring=keyring)
                for suite in source.get("suites", [])
            ]
        return [
            RepositorySpec(
                uri=uri, suite=suite, components=tuple(source.get("components") or ("main",)),
                architectures=(platform.arch,), keyring=keyring,
            )
            for suite in source.get("suites", [])
        ]  # fmt: skip
    except ValueError as error:
        raise Untrusted(
            english("%(host)s names a source that cannot be used: %(why)s.", host=host, why=error)
        ) from error


def keyring_for(signed_by: str) -> bytes:
    """The public keys held here for a source: the file of the same name as the host's, else all in the keyring folder.

    Raises Untrusted where there is none: a key that only the host has proves nothing.
    """
    folder = Path(settings.PATCHFLOW.get("KEYRINGS", settings.VAR / "keyrings"))
    for name in [Path(word).name for word in signed_by.split()]:  # dnf lists several; the first that is held here
        for place in (folder, SYSTEM_KEYRINGS):
            if name and signed_by != "inline key" and (place / name).is_file():
                return (place / name).read_bytes()
    keys = [path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()] if folder.is_dir() else []
    if not keys:
        raise Untrusted(
            english(
                "No public key is held here for a source signed by %(signed_by)s: put it into %(folder)s.",
                signed_by=signed_by or "nobody",
                folder=folder,
            )
        )
    return b"".join(keys)


def fetcher_for(uri: str) -> Fetcher:
    """How a repository is read: over HTTP, inside the own network only where the settings allow that name."""
    return HttpFetcher(allow_private=urlsplit(uri).hostname in settings.PATCHFLOW["OUTBOUND_ALLOW"])
