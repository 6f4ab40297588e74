"""Post-implementation reviews over REST."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.verbs import VerbViewSet, parsed
from releases.api.serializers import AnswersSerializer, CompleteReviewSerializer, ReviewSerializer
from releases.domain import reviews
from releases.models import PostImplementationReview
from releases.queries.reviews import with_hosts_seen


class ReviewViewSet(VerbViewSet):
    """The reviews of releases, with their figures."""

    serializer_class = ReviewSerializer
    filterset_fields = ("state",)

    def visible(self) -> QuerySet[Any]:
        actor: Any = self.request.user
        rows = PostImplementationReview.objects.visible_to(actor)
        return with_hosts_seen(rows.select_related("release").prefetch_related("answers__answered_by"), actor)

    @extend_schema(request=AnswersSerializer, responses=ReviewSerializer)
    @action(detail=True, methods=["post"], url_path="answer", url_name="answer")
    def reply(self, request: Request, pk: str | None = None) -> Response:
        """Adds answers to the review's questions."""
        review = self.get_object()
        self.act(reviews.answer, request, review_id=review.pk, **parsed(AnswersSerializer, request))
        return self.answer(review.pk)

    @extend_schema(request=CompleteReviewSerializer, responses=ReviewSerializer)
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, pk: str | None = None) -> Response:
        """Completes the review with figures as they stand; not by who started the deployment."""
        review = self.get_object()
        self.act(reviews.complete, request, review_id=review.pk, **parsed(CompleteReviewSerializer, request))
        return self.answer(review.pk)
