"""Addresses of change models and approval routes."""

from django.urls import path

from changes.web import change_models, routes

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
    path("changes/routes/", routes.route_list, name="route-list"),
    path("changes/routes/write/", routes.route_write, name="route-write"),
    path("changes/routes/<int:pk>/", routes.route_detail, name="route-detail"),
    path("changes/routes/<int:pk>/revise/", routes.route_revise, name="route-revise"),
    path("changes/routes/<int:pk>/retire/", routes.route_retire, name="route-retire"),
]
