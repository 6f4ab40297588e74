"""What all shapes of cmdb over REST have in common. Serializers check shapes and resolve ids; they never write."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Plain(serializers.Serializer[Any]):
    """Base of what verbs take and of answers that are no rows."""
