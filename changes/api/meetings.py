"""Meetings over REST: plan, arrange, publish, hold, consent, minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from changes.domain import agendas, consent, meetings
from changes.enums_meeting import MeetingKind, Presence
from changes.models import AgendaItem, Attendee, Meeting, Minutes
from changes.queries.board import rounds_visible_to
from patchflow.api.verbs import BlockerSerializer, EmptySerializer, ReasonSerializer, VerbViewSet, parsed, proven
from patchflow.kernel.models import User

HIDDEN = "An item outside your scope"


class AgendaItemSerializer(serializers.ModelSerializer[AgendaItem]):
    title = serializers.SerializerMethodField()
    digest = serializers.CharField(source="round.digest", read_only=True, default=None)
    pulled_by = serializers.CharField(source="pulled_by.username", read_only=True, default=None)

    class Meta:
        model = AgendaItem
        fields = ("id", "position", "title", "round", "digest", "minutes", "consent", "pulled_by", "state", "begun_at",
                  "settled_at", "outcome")  # fmt: skip
        read_only_fields = fields

    def get_title(self, item: AgendaItem) -> str:
        """What it is about; not for who may not see its round."""
        seen = self.context.get("rounds")
        return item.title if seen is None or item.round_id is None or item.round_id in seen else HIDDEN


class AttendeeSerializer(serializers.ModelSerializer[Attendee]):
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Attendee
        fields = ("user", "presence")
        read_only_fields = fields


class MinutesSerializer(serializers.ModelSerializer[Minutes]):
    sealed_by = serializers.CharField(source="sealed_by.username", read_only=True)

    class Meta:
        model = Minutes
        fields = ("document", "digest", "notes", "sealed_by", "sealed_at")
        read_only_fields = fields


class MeetingSerializer(serializers.ModelSerializer[Meeting]):
    items = AgendaItemSerializer(many=True, read_only=True)
    attendees = AttendeeSerializer(many=True, read_only=True)
    chair = serializers.CharField(source="chair.username", read_only=True)

    class Meta:
        model = Meeting
        fields = ("id", "number", "kind", "state", "state_at", "starts_at", "minutes", "place", "chair", "follows", "current",
                  "planned_at", "opened_at", "closed_at", "reason", "attendees", "items")  # fmt: skip
        read_only_fields = fields


class PlanMeetingSerializer(serializers.Serializer[Any]):
    """`members`: who sits on the board, if nothing is said."""

    kind = serializers.ChoiceField(MeetingKind.choices)
    starts_at = serializers.DateTimeField()
    minutes = serializers.IntegerField(min_value=5, max_value=600, required=False)
    place = serializers.CharField(max_length=200, required=False, allow_blank=True)
    chair: Any = serializers.SlugRelatedField("username", queryset=User.objects.all(), required=False)
    members: Any = serializers.SlugRelatedField("username", queryset=User.objects.all(), required=False, many=True)


class TopicSerializer(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=200)
    text = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    minutes = serializers.IntegerField(min_value=1, max_value=240, required=False)


class ArrangedItemSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    minutes = serializers.IntegerField(min_value=1, max_value=240, required=False)
    consent = serializers.BooleanField(required=False)


class ArrangeSerializer(serializers.Serializer[Any]):
    items = ArrangedItemSerializer(many=True)


class OfItemSerializer(serializers.Serializer[Any]):
    item_id = serializers.IntegerField()


class OfItemBecauseSerializer(OfItemSerializer):
    reason = serializers.CharField(max_length=2000)


class PullSerializer(OfItemSerializer):
    reason = serializers.CharField(max_length=2000, required=False, allow_blank=True)


class ConcludeSerializer(OfItemSerializer):
    outcome = serializers.CharField(max_length=2000)


class PresenceSerializer(serializers.Serializer[Any]):
    user: Any = serializers.SlugRelatedField("username", queryset=User.objects.all())
    presence = serializers.ChoiceField(Presence.choices)


class AttendanceSerializer(serializers.Serializer[Any]):
    attendance = PresenceSerializer(many=True)


class PostponeSerializer(ReasonSerializer):
    starts_at = serializers.DateTimeField()


class NotesSerializer(serializers.Serializer[Any]):
    notes = serializers.CharField(max_length=20000, required=False, allow_blank=True)


class SeenSerializer(serializers.Serializer[Any]):
    item_id = serializers.IntegerField()
    digest = serializers.CharField(min_length=64, max_length=64)


class ConsentSerializer(serializers.Serializer[Any]):
    """Each item with the digest that was read."""

    items = SeenSerializer(many=True)
    comment = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    password = serializers.CharField(required=False, max_length=500, trim_whitespace=False, write_only=True)


class ConsentRefusalSerializer(serializers.Serializer[Any]):
    item_id = serializers.IntegerField()
    blockers = BlockerSerializer(many=True)


class ConsentResultSerializer(serializers.Serializer[Any]):
    signed = serializers.ListField(child=serializers.IntegerField(), help_text="The rounds that were signed.")
    refused = ConsentRefusalSerializer(many=True)


def _verb(name: str, function: Callable[..., Any], shape: type[serializers.Serializer[Any]], says: str) -> Any:
    def run(self: MeetingViewSet, request: Request, pk: str | None = None) -> Response:
        found = self.seen_pk()
        self.act(function, request, meeting_id=found, **parsed(shape, request))
        return self.answer(found)

    run.__name__, run.__doc__ = name, says
    return extend_schema(request=shape, responses=MeetingSerializer)(action(detail=True, methods=["post"])(run))


class MeetingViewSet(VerbViewSet):
    """Meetings of the CAB and the emergency CAB. Members see theirs; who sees every change sees all."""

    serializer_class = MeetingSerializer
    filterset_fields = ("state", "kind")

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        items = AgendaItem.objects.select_related("pulled_by", "round").defer("round__document")
        rows = Meeting.objects.all().visible_to(actor).select_related("chair")
        return rows.prefetch_related("attendees__user", Prefetch("items", items.order_by("position", "pk")))

    def get_serializer_context(self) -> dict[str, Any]:
        actor: Any = self.request.user
        if actor.is_anonymous or actor.scopes_for("rfc.view") is None:
            return dict(super().get_serializer_context())
        seen = rounds_visible_to(actor, at=timezone.now()).filter(agenda_items__isnull=False)
        return {**super().get_serializer_context(), "rounds": set(seen.values_list("pk", flat=True))}

    @extend_schema(request=PlanMeetingSerializer, responses={201: MeetingSerializer})
    def create(self, request: Request) -> Response:
        """Plans a meeting; its agenda fills itself."""
        given = parsed(PlanMeetingSerializer, request)
        if "chair" in given:
            given["chair_id"] = given.pop("chair").pk
        if "members" in given:
            given["member_ids"] = [person.pk for person in given.pop("members")]
        meeting = self.act(meetings.plan, request, **given)
        return self.answer(meeting.pk, status=201)

    publish = _verb("publish", meetings.publish, EmptySerializer, "Sends the agenda to the members.")
    open = _verb("open", meetings.open_session, EmptySerializer, "Opens the session.")
    fill = _verb("fill", agendas.fill, EmptySerializer, "Adds the open rounds that stand on no agenda.")
    add_topic = _verb("add_topic", agendas.add_topic, TopicSerializer, "Adds a point about which nobody signs.")
    arrange = _verb("arrange", agendas.arrange, ArrangeSerializer, "Sets order, minutes and consent block.")
    begin = _verb("begin", agendas.begin, OfItemSerializer, "Puts an item before the board.")
    begin_next = _verb("begin_next", agendas.begin_next, EmptySerializer, "Puts the next open item before the board.")
    pull = _verb("pull", agendas.pull, PullSerializer, "Takes an item out of the consent block.")
    carry_over = _verb(
        "carry_over", agendas.carry_over, OfItemBecauseSerializer, "Leaves an item for the next meeting."
    )
    withdraw = _verb("withdraw", agendas.withdraw, OfItemBecauseSerializer, "Takes an item off the agenda.")
    conclude = _verb("conclude", agendas.conclude, ConcludeSerializer, "Writes down how a topic ended.")
    cancel = _verb("cancel", meetings.cancel, ReasonSerializer, "Cancels the meeting.")

    @extend_schema(request=AttendanceSerializer, responses=MeetingSerializer)
    @action(detail=True, methods=["post"])
    def attend(self, request: Request, pk: str | None = None) -> Response:
        """Records who is there."""
        found = self.seen_pk()
        rows = parsed(AttendanceSerializer, request)["attendance"]
        self.act(agendas.attend, request, meeting_id=found, presence={r["user"].pk: r["presence"] for r in rows})
        return self.answer(found)

    @extend_schema(request=PostponeSerializer, responses={201: MeetingSerializer})
    @action(detail=True, methods=["post"])
    def postpone(self, request: Request, pk: str | None = None) -> Response:
        """Moves it: answers with the new meeting."""
        new = self.act(meetings.postpone, request, meeting_id=self.seen_pk(), **parsed(PostponeSerializer, request))
        return self.answer(new.pk, status=201)

    @extend_schema(request=ConsentSerializer, responses=ConsentResultSerializer)
    @action(detail=True, methods=["post"])
    def consent(self, request: Request, pk: str | None = None) -> Response:
        """Signs, as the caller, for each item named; each that cannot be signed is answered with its reasons."""
        given = proven(request, parsed(ConsentSerializer, request))
        seen = {row["item_id"]: row["digest"] for row in given.pop("items")}
        done = self.act(consent.consent, request, meeting_id=self.seen_pk(), seen=seen, **given)
        refused = [{"item_id": pk, "blockers": blockers} for pk, blockers in done.refused.items()]
        signed = [one.round_id for one in done.signed]
        return Response(ConsentResultSerializer({"signed": signed, "refused": refused}).data)

    @extend_schema(request=NotesSerializer, responses={201: MinutesSerializer})
    @action(detail=True, methods=["post"])
    def minute(self, request: Request, pk: str | None = None) -> Response:
        """Closes the session and seals the minutes."""
        sealed = self.act(meetings.minute, request, meeting_id=self.seen_pk(), **parsed(NotesSerializer, request))
        return Response(MinutesSerializer(sealed).data, status=201)

    @extend_schema(responses=MinutesSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def minutes(self, request: Request, pk: str | None = None) -> Response:
        """The sealed minutes."""
        actor: Any = request.user
        rows = Minutes.objects.select_related("sealed_by").filter(meeting=self.seen_pk())
        if actor.scopes_for("rfc.view") is not None:
            rows = rows.filter(meeting__attendees__user=actor)
        found = rows.first()
        return Response(MinutesSerializer(found).data) if found else Response(status=404)
