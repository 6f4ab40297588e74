"""People, programs and their roles over REST: the same verbs as on their pages. Needs user.edit, for roles grant.edit."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import EmptySerializer, VerbViewSet, parsed
from patchflow.kernel import access, people, service_accounts
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import grantable

KNOWN = (
    "id",
    "username",
    "first_name",
    "last_name",
    "email",
    "is_active",
    "is_service",
    "language",
    "time_zone",
    "date_joined",
    "last_login",
    "roles",
)


class GrantSerializer(serializers.ModelSerializer[RoleGrant]):
    granted_by = serializers.CharField(source="granted_by.username", read_only=True, default=None, allow_null=True)

    class Meta:
        model = RoleGrant
        fields = ("role", "scope", "granted_by", "granted_at")
        read_only_fields = fields


class PersonSerializer(serializers.ModelSerializer[User]):
    roles = GrantSerializer(source="role_grants", many=True, read_only=True)

    class Meta:
        model = User
        fields = KNOWN
        read_only_fields = KNOWN


class WithPasswordSerializer(PersonSerializer):
    password = serializers.CharField(read_only=True, allow_null=True, help_text="For the next log-in; told this once.")

    class Meta:
        model = User
        fields = (*KNOWN, "password")
        read_only_fields = fields


class WritePersonSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    first_name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    last_name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    email = serializers.EmailField(required=False, allow_blank=True)


class RoleSerializer(serializers.Serializer[Any]):
    """`scope`: empty for everywhere, or `group:<id>` for the hosts of a group."""

    role = serializers.CharField(max_length=40, help_text=", ".join(role.name for role in grantable()))
    scope = serializers.CharField(max_length=40, required=False, allow_blank=True)


class AddServiceSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    name = serializers.CharField(max_length=150, required=False, allow_blank=True, help_text="What it is for.")


class ServiceTokenSerializer(serializers.Serializer[Any]):
    """A token as it is listed: how it begins, since when it is, and when it ends."""

    begins = serializers.SerializerMethodField()
    created = serializers.DateTimeField()
    expiry = serializers.DateTimeField()

    def get_begins(self, token: Any) -> str:
        return service_accounts.name_of(token)


class GivenTokenSerializer(ServiceTokenSerializer):
    token = serializers.CharField(help_text="Told this once.")


class GiveTokenSerializer(serializers.Serializer[Any]):
    days = serializers.IntegerField(help_text=f"How long it lives: 1 to {service_accounts.LONGEST}.")


class RevokeTokenSerializer(serializers.Serializer[Any]):
    begins = serializers.CharField(max_length=service_accounts.SHOWN, source="token")


class DeactivateSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class PersonViewSet(VerbViewSet):
    """Who can log in, and which programs can enter; with which roles."""

    serializer_class = PersonSerializer
    filterset_fields = ("username", "is_active", "is_service")

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        return people.visible_to(actor).prefetch_related("role_grants__granted_by")

    @extend_schema(request=WritePersonSerializer, responses={201: WithPasswordSerializer})
    def create(self, request: Request) -> Response:
        """A new person, without a role, with the password for the first log-in, which is told this once."""
        return self._told(*self.act(people.add, request, **parsed(WritePersonSerializer, request)), status=201)

    @extend_schema(request=AddServiceSerializer, responses={201: PersonSerializer})
    @action(detail=False, methods=["post"], url_path="add-service")
    def add_service(self, request: Request) -> Response:
        """A new account for a program, without a role and without a token. It never logs in, and signs nothing."""
        user = self.act(service_accounts.add, request, **parsed(AddServiceSerializer, request))
        return self.answer(user.pk, status=201)

    @extend_schema(responses=ServiceTokenSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def tokens(self, request: Request, pk: str | None = None) -> Response:
        """The tokens with which a program can enter now; a person's are not listed."""
        return Response(
            ServiceTokenSerializer(service_accounts.tokens_of(self.get_object(), at=timezone.now()), many=True).data
        )

    @extend_schema(request=GiveTokenSerializer, responses={201: GivenTokenSerializer})
    @action(detail=True, methods=["post"], url_path="give-token")
    def give_token(self, request: Request, pk: str | None = None) -> Response:
        """A new token for a program, told this once."""
        given = parsed(GiveTokenSerializer, request)
        row, token = self.act(service_accounts.give_token, request, user_id=self.seen_pk(), **given)
        answer = Response({**ServiceTokenSerializer(row).data, "token": token}, status=201)
        answer["Cache-Control"] = "no-store"
        return answer

    @extend_schema(request=RevokeTokenSerializer, responses={204: None})
    @action(detail=True, methods=["post"], url_path="revoke-token")
    def revoke_token(self, request: Request, pk: str | None = None) -> Response:
        """Ends a token of a program at once; `begins` is as listed."""
        given = parsed(RevokeTokenSerializer, request)
        self.act(service_accounts.revoke_token, request, user_id=self.seen_pk(), **given)
        return Response(status=204)

    @extend_schema(request=RoleSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def grant(self, request: Request, pk: str | None = None) -> Response:
        """Gives a role. Nobody gives one to themselves."""
        found = self.seen_pk()
        self.act(access.grant_role, request, user_id=found, **parsed(RoleSerializer, request))
        return self.answer(found)

    @extend_schema(request=RoleSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str | None = None) -> Response:
        """Takes a role away, at once."""
        found = self.seen_pk()
        self.act(access.revoke_role, request, user_id=found, **parsed(RoleSerializer, request))
        return self.answer(found)

    @extend_schema(request=DeactivateSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, pk: str | None = None) -> Response:
        """Shuts a person out: sessions, tokens and the password end at once and for good."""
        found = self.seen_pk()
        self.act(people.deactivate, request, user_id=found, **parsed(DeactivateSerializer, request))
        return self.answer(found)

    @extend_schema(request=EmptySerializer, responses=WithPasswordSerializer)
    @action(detail=True, methods=["post"])
    def reactivate(self, request: Request, pk: str | None = None) -> Response:
        """Lets them in again, with the roles that they have kept; a person with a new password, which is told this once."""
        return self._told(*self.act(people.reactivate, request, user_id=self.seen_pk()))

    def _told(self, user: User, password: str, *, status: int = 200) -> Response:
        answer = Response({**PersonSerializer(user).data, "password": password or None}, status=status)
        answer["Cache-Control"] = "no-store"
        return answer
