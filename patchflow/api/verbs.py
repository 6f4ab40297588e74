"""Viewset parts: a verb is one POST, parsed by its serializer, answered with the object as it is afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.exact import shape_errors
from patchflow.api.idempotency import key_of, once
from patchflow.api.views import ReadViewSet
from patchflow.kernel import fsm, workflow
from patchflow.kernel.away import is_away
from patchflow.kernel.errors import NotAllowed


class BlockerSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    sentence = serializers.CharField()
    where = serializers.CharField()
    tone = serializers.ChoiceField(["wait", "bad", "unknown"])


class AvailableSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF's own attribute of that name is not used here
    allowed = serializers.BooleanField()
    blockers = BlockerSerializer(many=True)


class EmptySerializer(serializers.Serializer[Any]):
    """A verb that takes nothing."""


class ReasonSerializer(serializers.Serializer[Any]):
    """A verb that needs a reason."""

    reason = serializers.CharField(max_length=2000)


class VerbViewSet(ReadViewSet):
    """Reads of what the actor may see; writes only by verbs. `visible(actor)` gives the rows (deny by default)."""

    def visible(self) -> QuerySet[Any]:
        """The rows the caller may see."""
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            model: type[Model] = self.serializer_class.Meta.model  # type: ignore[union-attr]
            return model._default_manager.none()
        return self.visible()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        key = key_of(request)  # before a throttle reads the body
        super().initial(request, *args, **kwargs)
        if key:
            self.post = self._once(key, self.post)  # type: ignore[has-type]  # what the router put there

    def _once(self, key: str, verb: Callable[..., Response]) -> Callable[..., Response]:
        """The verb, done once under this key. Its refusals become answers inside, so that their entries are kept."""

        def run(request: Request, *args: Any, **kwargs: Any) -> Response:
            def act() -> Response:
                try:
                    return verb(request, *args, **kwargs)
                except Exception as error:
                    if is_away(error):
                        raise  # nothing can be kept
                    return self.handle_exception(error)  # raises again what is no answer

            return once(key, request, act)

        return run

    def act(self, function: Callable[..., Any], request: Request, **arguments: Any) -> Any:
        """Calls a domain verb as the caller, now: no route lets a caller choose the time of an act."""
        return function(actor=request.user, at=timezone.now(), **arguments)

    def seen_pk(self) -> Any:
        """The id in the address, if the caller may see that object; 404 otherwise. Cheaper than `get_object`."""
        try:
            found = list(self.get_queryset().filter(pk=self.kwargs["pk"]).order_by().values_list("pk", flat=True)[:1])
        except (TypeError, ValueError, ValidationError):
            found = []
        if not found:
            raise Http404
        return found[0]

    def answer(self, pk: Any, *, status: int = 200) -> Response:
        """The object as it is now; nothing where the caller asked for nothing (RFC 7240: `Prefer: return=minimal`)."""
        if status == 200 and "return=minimal" in self.request.headers.get("Prefer", "").replace(" ", ""):
            return Response(status=204, headers={"Preference-Applied": "return=minimal"})
        return Response(self.get_serializer(self.visible().get(pk=pk)).data, status=status)

    @extend_schema(responses=AvailableSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def available(self, request: Request, pk: str | None = None) -> Response:
        """The verbs that leave the object's state, with every reason against each."""
        if not fsm.machine_of(self.get_queryset().model):
            raise Http404
        offered = workflow.available(self.get_object(), actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        return Response(AvailableSerializer(offered, many=True).data)


def proven(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    """`given` with `authenticated_at` in place of `password`: now if it is the caller's, else nothing (the verb says no).

    A wrong password counts as a failed log-in; attempts are limited as log-ins are.
    """
    password = given.pop("password", None)
    if password is None:
        return given
    if authenticate(request._request, username=request.user.get_username(), password=password) is None:
        raise NotAllowed("The password is wrong. Nothing was decided.", code="signoff.password")
    return {**given, "authenticated_at": timezone.now()}


def parsed(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, checked for shape; raises ValidationError, for a field that the shape does not know too."""
    checked = serializer(data=request.data)
    strange = shape_errors(checked, request.data)
    if not checked.is_valid() or strange:
        raise serializers.ValidationError({**checked.errors, **strange})
    return dict(checked.validated_data)
