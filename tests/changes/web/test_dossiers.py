"""The dossier by pages and over REST: the same verbs, and downloads that no browser runs."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from changes.models import RFC
from patchflow.kernel.models import User
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.7\nplan"


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def api(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_comment_attach_refer_and_family_by_forms(world: World) -> None:
    rfc, other, che = made.draft(world), made.draft(world), as_(world.cast.che)

    def post(verb: str, **given: object) -> int:
        return che.post(reverse(f"changes:rfc-{verb}", args=[rfc.pk]), given).status_code

    assert post("comment", text="Which build? @sam") == 302
    assert post("attach", file=SimpleUploadedFile("letter.pdf", PDF, "text/html")) == 302
    assert post("refer", kind="problem", system="desk", name="PRB-1", url="https://desk.example.org/1") == 302
    assert post("parent", number=other.number) == 302
    assert post("parent", number="RFC-1999-00001") == 400
    page = che.get(rfc.get_absolute_url()).text
    for word in ("Which build?", "letter.pdf", "PRB-1", other.number):
        assert word in page
    row = rfc.attachments.get()
    answer = che.get(reverse("changes:rfc-file", args=[rfc.pk, row.pk]))
    assert b"".join(answer.streaming_content) == PDF
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == 'attachment; filename="letter.pdf"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert as_(world.cast.eve).get(reverse("changes:rfc-file", args=[rfc.pk, row.pk])).status_code == 404
    withdraw = reverse("changes:rfc-withdraw-file", args=[rfc.pk, row.pk])
    assert che.post(withdraw, {"reason": "names a customer"}).status_code == 302
    assert che.get(reverse("changes:rfc-file", args=[rfc.pk, row.pk])).status_code == 409
    drop = reverse("changes:rfc-drop-reference", args=[rfc.pk, rfc.references.get().pk])
    assert che.post(drop).status_code == 302
    assert che.post(reverse("changes:rfc-copy", args=[rfc.pk])).status_code == 302
    assert RFC.objects.count() == 3


def test_a_program_is_refused_beside_its_field(world: World) -> None:
    rfc = made.draft(world)
    place = reverse("changes:rfc-attach", args=[rfc.pk])
    answer = as_(world.cast.ann).post(place, {"file": SimpleUploadedFile("tool.pdf", b"\x7fELF")})
    assert (answer.status_code, "Programs are not attached" in answer.text) == (400, True)


def test_the_same_over_rest(world: World) -> None:
    rfc, other = made.draft(world), made.draft(world)
    url, ann = f"/api/v1/rfcs/{rfc.pk}/", api(world.cast.ann)
    assert ann.post(f"{url}comments/", {"text": "hello @che"}, format="json").json()["mentioned"] == ["che"]
    assert ann.get(f"{url}comments/").json()["results"][0]["by"] == "ann"
    sent = ann.post(f"{url}attachments/", {"file": SimpleUploadedFile("plan.html", b"<script>")}, format="multipart")
    assert (sent.status_code, sent.json()["media_type"]) == (201, "text/plain")
    got = ann.get(f"{url}attachments/{sent.json()['id']}/")
    assert (b"".join(got.streaming_content), got["Content-Disposition"]) == (
        b"<script>",
        'attachment; filename="plan.html"',
    )
    noted = {"kind": "incident", "system": "desk", "name": "INC-1"}
    reference = ann.post(f"{url}references/", noted, format="json").json()
    assert len(ann.get(f"{url}references/").json()) == 1
    ann.post(f"{url}drop_reference/", {"reference_id": reference["id"]}, format="json")
    assert ann.get(f"{url}references/").json() == []
    gone = {"attachment_id": sent.json()["id"], "reason": "wrong file"}
    assert ann.post(f"{url}withdraw_attachment/", gone, format="json").status_code == 200
    assert ann.post(f"{url}set_parent/", {"parent_id": other.pk}, format="json").json()["parent"] == other.pk
    assert ann.post(f"{url}copy/").json()["state"] == "draft"
    for what in ("comments", "attachments", "references"):
        assert api(world.cast.eve).get(f"{url}{what}/").status_code == 404
    assert api(world.cast.aud).post(f"{url}comments/", {"text": "x"}, format="json").status_code == 403


def test_evidence_is_added_on_a_page_and_stands_on_the_change(world: World) -> None:
    rfc = made.submitted(world)
    place = reverse("changes:rfc-evidence", args=[rfc.pk])
    form = {"kind": "acceptance", "summary": "8 of 8 hosts answer.", "passed": "yes", "digest": "AB" * 32}
    tia = as_(world.cast.tia)
    assert f'href="{place}"' in tia.get(rfc.get_absolute_url()).text
    assert tia.post(place, form).status_code == 302
    assert tia.post(place, {"kind": "manifest", "summary": "Sealed by hand."}).status_code == 302
    rows = [(row.kind, row.passed, row.digest, row.by) for row in rfc.evidence.order_by("pk")]
    assert rows == [("acceptance", True, "ab" * 32, world.cast.tia), ("manifest", None, "", world.cast.tia)]
    for page in (rfc.get_absolute_url(), place):
        assert "8 of 8 hosts answer." in tia.get(page).text
    for wrong in ({"digest": "abc"}, {"summary": ""}, {"kind": "document"}):
        assert tia.post(place, form | wrong).status_code == 400
    assert rfc.evidence.count() == 2


def test_evidence_is_added_by_who_may_and_seen_by_who_sees_the_change(world: World) -> None:
    rfc, early = made.submitted(world), made.draft(world)
    place, form = reverse("changes:rfc-evidence", args=[rfc.pk]), {"kind": "acceptance", "summary": "Works."}
    reader = as_(world.cast.aud)
    shown = reader.get(place).text
    assert "This needs the role" in shown
    assert "Add this evidence" not in shown
    assert place not in reader.get(rfc.get_absolute_url()).text
    assert reader.post(place, form).status_code == 400
    assert as_(world.cast.eve).get(place).status_code == 404
    drafted = reverse("changes:rfc-evidence", args=[early.pk])
    assert "A draft has no evidence yet." in as_(world.cast.tia).get(drafted).text
    assert as_(world.cast.tia).post(drafted, form).status_code == 400
    assert not rfc.evidence.exists()
    assert not early.evidence.exists()
