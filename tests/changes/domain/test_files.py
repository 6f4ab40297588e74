"""Files of signed repositories: registered only if the chain holds; every check is kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from changes.domain import files
from changes.models import Artifact, RepositoryIndex, Verification
from changes.queries.files import find, verified
from changes.sources.fetchers import CallableFetcher
from patchflow.kernel.errors import Blocked, NotAllowed
from tests.changes.sources.building import DEB, RELEASE, Built, spec
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


def fetcher(published: dict[str, bytes]) -> CallableFetcher:
    return CallableFetcher(published.get)


@pytest.fixture
def built() -> Built:
    return Built()


def test_register_keeps_what_the_signed_index_names(built: Built, cast: Cast, now: datetime) -> None:
    found = files.register(spec=spec(), fetcher=fetcher(built.publish()), actor=cast.rex, at=now)

    assert sorted(place[0] for place in found.artifacts) == ["acme-doc", "libacme1"]
    artifact = found.artifacts["libacme1", "1:2.4-1+deb12u3+b1", "amd64"]
    assert (artifact.source_name, artifact.source_version, artifact.size) == ("acme", "1:2.4-1+deb12u3", len(DEB))
    assert find(artifact.package, artifact.version, artifact.arch) == [artifact]
    assert verified([artifact.pk, artifact.pk + 100], at=now) == {artifact.pk: True, artifact.pk + 100: False}
    assert verified([artifact.pk], at=now - timedelta(seconds=1)) == {artifact.pk: False}


def test_register_again_changes_no_artifact(built: Built, cast: Cast, now: datetime) -> None:
    published = built.publish()
    files.register(spec=spec(), fetcher=fetcher(published), actor=cast.rex, at=now)
    before = list(Artifact.objects.values())

    files.register(spec=spec(), fetcher=fetcher(published), actor=cast.rex, at=now)

    assert list(Artifact.objects.values()) == before
    assert (RepositoryIndex.objects.count(), Verification.objects.count()) == (1, 2)


def test_register_only_what_is_wanted(built: Built, cast: Cast, now: datetime) -> None:
    found = files.register(spec=spec(), fetcher=fetcher(built.publish()), actor=cast.rex, at=now, names={"libacme1"})

    assert [place[0] for place in found.artifacts] == ["libacme1"]


def test_register_tampered_repository_is_refused_and_kept(built: Built, cast: Cast, now: datetime) -> None:
    published = built.publish()
    published[RELEASE] = published[RELEASE].replace(b"Acme", b"Evil", 1)

    with pytest.raises(Blocked) as refused:
        files.register(spec=spec(), fetcher=fetcher(published), actor=cast.rex, at=now)

    assert refused.value.blockers[0].code.startswith("files.release.")
    assert Artifact.objects.count() == 0
    row = Verification.objects.get()
    assert (row.outcome, bool(row.reason)) == ("refused", True)


def test_register_needs_the_role(built: Built, cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        files.register(spec=spec(), fetcher=fetcher(built.publish()), actor=cast.ann, at=now)

    assert Verification.objects.count() == 0


def test_verify_changed_file_takes_the_artifact_out(built: Built, cast: Cast, now: datetime) -> None:
    found = files.register(spec=spec(), fetcher=fetcher(built.publish()), actor=cast.rex, at=now, names={"libacme1"})
    [artifact] = found.artifacts.values()
    good = files.verify(artifact_id=artifact.pk, source=DEB, actor=cast.rex, at=now)
    assert (good.outcome, verified([artifact.pk], at=now)) == ("passed", {artifact.pk: True})

    bad = files.verify(artifact_id=artifact.pk, source=b"x" * len(DEB), actor=cast.rex, at=now)

    assert bad.outcome == "refused"
    assert verified([artifact.pk], at=now) == {artifact.pk: False}
