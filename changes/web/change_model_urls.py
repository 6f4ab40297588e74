"""Addresses of change change_models."""

from django.urls import path

from changes.web import change_models

urlpatterns = [
    path("changes/models/", change_models.model_list, name="model-list"),
    path("changes/models/draft/", change_models.model_draft, name="model-draft"),
    path("changes/models/<int:pk>/", change_models.model_detail, name="model-detail"),
    path("changes/models/<int:pk>/revise/", change_models.model_revise, name="model-revise"),
    path("changes/models/<int:pk>/propose/", change_models.model_propose, name="model-propose"),
    *[
        path(
            f"changes/models/<int:pk>/{verb.replace('_', '-')}/",
            change_models.model_verb,
            {"verb": verb},
            name=f"model-{verb.replace('_', '-')}",
        )
        for verb in change_models.WITH_REASON
    ],
]
