"""Addresses of change tasks."""

from django.urls import path

from changes.web import change_task_acts, change_tasks

urlpatterns = [
    path("changes/tasks/", change_tasks.changetask_list, name="changetask-list"),
    path("changes/tasks/<int:pk>/", change_tasks.changetask_detail, name="changetask-detail"),
    path("changes/tasks/<int:pk>/begin/", change_task_acts.changetask_begin, name="changetask-begin"),
    *[
        path(
            f"changes/tasks/<int:pk>/{verb}/",
            change_task_acts.changetask_verb,
            {"verb": verb},
            name=f"changetask-{verb}",
        )
        for verb in change_task_acts.VERB_PAGES
    ],
    path("changes/rfcs/<int:pk>/tasks/add/", change_task_acts.rfc_add_task, name="rfc-add-task"),
]
