"""Windows and freezes from a file: looked at first, then those that were ticked; what is refused is told, nothing is lost."""

from __future__ import annotations

from datetime import date, time, timedelta

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from changes.models import FreezeWindow
from cmdb.models import ServiceWindow
from patchflow.kernel.models import User
from tests.cmdb.sources.test_ics import calendar, event
from tests.factories.cmdb import make_group
from tests.factories.people import Cast

FILE = calendar(
    event("RRULE:FREQ=MONTHLY;BYDAY=2TU", name="Web nights"),
    event("RRULE:FREQ=DAILY", name="Daily"),
    event(name="Once"),
    event(name="Web nights"),
)


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def test_windows_are_looked_at_then_those_ticked_are_made(cast: Cast) -> None:
    group, cora, place = make_group("web"), client(cast.cora), reverse("cmdb:window-import")
    file = SimpleUploadedFile("team.ics", FILE)
    said = {"zone": "UTC", "cutoff_minutes": 15, "group_ids": [group.pk]}
    shown = cora.post(place, {**said, "file": file, "preview": "1"})
    assert [(r["number"], bool(r["said"]), bool(r["problem"])) for r in shown.context["rows"]] == [
        (1, True, False), (2, False, True), (3, True, False), (4, False, True),
    ]  # fmt: skip
    assert not ServiceWindow.objects.exists(), "nothing is saved by looking"
    kept = shown.context["kept"]
    answer = cora.post(place, {**said, "kept": kept, "numbers": [1, 3], "save": "1"})
    assert answer.status_code == 302
    first, once = ServiceWindow.objects.order_by("pk")
    assert (first.name, first.recurrence, first.nth, first.weekday, first.starts_local, first.zone) == (
        "Web nights", "monthly", 2, 1, time(2), "Europe/Berlin",
    )  # fmt: skip
    assert (first.length_minutes, first.cutoff_minutes, list(first.groups.all())) == (180, 15, [group])
    assert (once.recurrence, once.from_on, once.until_on) == ("weekly", date(2026, 11, 10), date(2026, 11, 10))
    again = cora.post(place, {**said, "kept": kept, "numbers": [1], "save": "1"})
    assert "Web nights" in again.context["rows"][0]["problem"] or again.context["rows"][0]["problem"]
    assert ServiceWindow.objects.count() == 2


def test_a_file_that_is_none_keeps_the_form(cast: Cast) -> None:
    place, cora = reverse("cmdb:window-import"), client(cast.cora)
    said = {"zone": "UTC", "cutoff_minutes": 0, "preview": "1"}
    for wrong in (
        {**said, "file": SimpleUploadedFile("x.ics", b"hello")},
        said,
        {**said, "kept": "%%%"},
        {**said, "zone": "Moon/Base", "file": SimpleUploadedFile("x.ics", FILE)},
    ):
        assert cora.post(place, wrong).status_code == 400
    for person in (cast.ann, cast.eve, cast.root):
        assert client(person).get(place).status_code == 404


def test_freezes_are_declared_from_a_file(cast: Cast) -> None:
    start = timezone.now() + timedelta(days=20)
    day = f"DTSTART;VALUE=DATE:{start:%Y%m%d}"
    over = event(name="Long ago", start="DTSTART;VALUE=DATE:20200101", end="")
    file = calendar(
        event("DESCRIPTION:Books are closed.", name="Year end", start=day, end="DURATION:P5D"),
        over,
        event("RRULE:FREQ=WEEKLY", name="Every week", start=day, end=""),
    )
    che, place = client(cast.che), reverse("changes:freeze-import")
    assert client(cast.ann).get(place).status_code == 404
    shown = che.post(place, {"zone": "UTC", "file": SimpleUploadedFile("f.ics", file), "preview": "1"})
    assert [bool(row["problem"]) for row in shown.context["rows"]] == [False, True, True]
    said = {"zone": "UTC", "kept": shown.context["kept"], "numbers": [1], "passes": ["emergency"], "save": "1"}
    assert che.post(place, said).status_code == 302
    freeze = FreezeWindow.objects.get()
    assert (freeze.name, freeze.reason, freeze.passes, freeze.ends_at - freeze.starts_at) == (
        "Year end", "Books are closed.", ["emergency"], timedelta(days=5),
    )  # fmt: skip
    twice = che.post(place, said)
    assert twice.context["rows"][0]["problem"] == "It is declared already."
    assert FreezeWindow.objects.count() == 1


def test_rest_takes_the_same_files_with_the_same_refusals(cast: Cast) -> None:
    rest = APIClient()
    rest.force_authenticate(cast.cora)
    url = "/api/v1/service-windows/import-ics/"
    looked = rest.post(url, {"ics": FILE.decode()}, format="json")
    assert [bool(line["problem"]) for line in looked.data] == [False, True, False, True]
    made = rest.post(url, {"ics": FILE.decode(), "preview": False, "numbers": [3]}, format="json").data
    assert [line["made"] for line in made] == [None, None, ServiceWindow.objects.get().pk, None]
    assert rest.post(url, {"ics": "hello"}, format="json").status_code == 400
    rest.force_authenticate(cast.eve)
    assert rest.post(url, {"ics": FILE.decode()}, format="json").status_code == 403
    assert rest.post("/api/v1/freezes/import-ics/", {"ics": FILE.decode()}, format="json").status_code == 403
