"""Text lookups give the same answer on SQLite and PostgreSQL: the case of letters counts exactly where the lookup says so."""

from __future__ import annotations

import pytest
from django.db.models import F

from patchflow.kernel.models import User

pytestmark = pytest.mark.django_db
NAMES = ("web-1", "Web-2", "WEB-3", "Ärger", "ärmel", "a[b]*c?", "aXbYc", "straße", "STRASSE", "100%_x")


@pytest.mark.parametrize(
    ("lookup", "text", "found"),
    [
        ("startswith", "web", {"web-1"}),
        ("startswith", "Ä", {"Ärger"}),
        ("startswith", "a[b]*", {"a[b]*c?"}),
        ("endswith", "x", {"100%_x"}),
        ("endswith", "X", set()),
        ("endswith", "?", {"a[b]*c?"}),
        ("contains", "eb-", {"web-1", "Web-2"}),
        ("contains", "%_", {"100%_x"}),
        ("contains", "[b]*", {"a[b]*c?"}),
        ("istartswith", "WEB", {"web-1", "Web-2", "WEB-3"}),
        ("istartswith", "ä", {"Ärger", "ärmel"}),
        ("icontains", "Ä", {"Ärger", "ärmel"}),
        ("icontains", "[B]*", {"a[b]*c?"}),
        ("icontains", "STRASS", {"STRASSE"}),
        ("icontains", "RAß", {"straße"}),
        ("iendswith", "ERGER", set()),
        ("iendswith", "äRMEL", {"ärmel"}),
        ("iexact", "ÄRGER", {"Ärger"}),
        ("iexact", "web-2", {"Web-2"}),
        ("iexact", "straSSe", {"STRASSE"}),
    ],
)
def test_the_case_of_letters_counts_where_the_lookup_says_so(lookup: str, text: str, found: set[str]) -> None:
    User.objects.bulk_create([User(username=name) for name in NAMES])
    assert set(User.objects.filter(**{f"username__{lookup}": text}).values_list("username", flat=True)) == found


def test_what_another_column_says_is_no_pattern_of_ours(db: None) -> None:
    User.objects.create(username="web", first_name="w")
    assert User.objects.filter(username__startswith=F("first_name")).get().username == "web"
    assert not User.objects.filter(username__iexact=None).exists()
