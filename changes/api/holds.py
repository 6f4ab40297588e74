"""What stands still, as REST shows it beside an RFC or a release."""

from __future__ import annotations

from typing import Any

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from changes.models import Hold
from changes.queries.holds import holds_of


class HoldSerializer(serializers.ModelSerializer[Hold]):
    placed_by = serializers.CharField(source="placed_by.username", read_only=True)

    class Meta:
        model = Hold
        fields = ("placed_by", "placed_at", "cause", "reason")
        read_only_fields = fields


@extend_schema_field(HoldSerializer(allow_null=True))
class HoldField(serializers.Field[Any, Any, Any, Any]):
    """The open hold of the row; null while there is none. All rows of a page are asked about by one query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    def to_representation(self, subject: models.Model) -> Any:
        hold = self._of_page(subject).get(subject.pk)
        return HoldSerializer(hold).data if hold else None

    def _of_page(self, subject: models.Model) -> dict[int, Hold]:
        row: Any = self.parent
        page = row.parent.instance if isinstance(row.parent, serializers.ListSerializer) else None
        if page is None:
            return holds_of(type(subject), [subject.pk])
        if not hasattr(self, "_found"):
            self._found = holds_of(type(subject), [one.pk for one in page])
        return self._found
