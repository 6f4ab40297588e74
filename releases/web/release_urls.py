"""Addresses of releases, manifests, install profiles, steps on hosts and reviews."""

from django.urls import path

from releases.web import (
    amendments,
    change_rehearsals,
    manifests,
    periodic,
    rehearsals,
    release_acts,
    release_writing,
    releases,
    reviews,
    ring_pages,
    slots,
    steps,
)

BUILDER = {
    "rings": ring_pages.release_rings,
    "hosts": ring_pages.release_hosts,
    "windows": release_writing.release_windows,
    "profile": release_writing.release_profile,
    "way-back": release_writing.release_way_back,
    "drop-host": release_writing.release_drop_host,
    "plan-test": release_writing.release_plan_test,
}

urlpatterns = [
    path("releases/", releases.release_list, name="release-list"),
    path("releases/compose/", release_writing.release_compose, name="release-compose"),
    path("releases/profiles/", release_writing.profile_list, name="profile-list"),
    path("releases/profiles/define/", release_writing.profile_define, name="profile-define"),
    path("releases/steps/", steps.step_list, name="step-list"),
    path("releases/steps/write/", steps.step_write, name="step-write"),
    path("releases/steps/<int:pk>/", steps.step_detail, name="step-detail"),
    *[
        path(f"releases/steps/<int:pk>/{verb}/", steps.step_verb, {"verb": verb}, name=f"step-{verb}")
        for verb in steps.VERBS
    ],
    path("releases/<int:pk>/", releases.release_detail, name="release-detail"),
    path("releases/<int:pk>/amend/", amendments.release_amend, name="release-amend"),
    path("releases/of-rfc/<int:pk>/rehearsal/", change_rehearsals.rfc_rehearse, name="rfc-rehearse"),
    path("releases/<int:pk>/rehearsal/", rehearsals.release_rehearse, name="release-rehearse"),
    path("releases/<int:pk>/tests/", releases.release_tests, name="release-tests"),
    path("releases/<int:pk>/tests/<int:plan>/drop/", release_writing.release_drop_test, name="release-drop-test"),
    path("releases/<int:pk>/runs/<int:run>/judge/", release_acts.run_judge, name="release-judge"),
    path("releases/<int:pk>/manifests/<int:revision>/", manifests.manifest_detail, name="manifest-detail"),
    path("releases/<int:pk>/manifests/<int:revision>/document/", manifests.manifest_json, name="manifest-document"),
    *[path(f"releases/<int:pk>/{name}/", view, name=f"release-{name}") for name, view in BUILDER.items()],
    *[
        path(
            f"releases/<int:pk>/{verb.replace('_', '-')}/",
            view,
            {"verb": verb},
            name=f"release-{verb.replace('_', '-')}",
        )
        for table, view in (
            (release_acts.AT_A_CLICK, release_acts.release_click),
            (release_acts.VERB_PAGES, release_acts.release_verb),
        )
        for verb in table
    ],
    path("reviews/", reviews.review_list, name="review-list"),
    path("reviews/periodic/", periodic.periodic_list, name="periodic-list"),
    path("reviews/periodic/open/", periodic.periodic_open, name="periodic-open"),
    path("reviews/periodic/<int:pk>/", periodic.periodic_detail, name="periodic-detail"),
    path("reviews/periodic/<int:pk>/give/", periodic.periodic_assign, name="periodic-assign"),
    path("reviews/periodic/<int:pk>/act/", periodic.periodic_act, name="periodic-act"),
    path("reviews/periodic/<int:pk>/complete/", periodic.periodic_complete, name="periodic-complete"),
    path("reviews/periodic/<int:pk>/actions/<int:action>/", periodic.periodic_settle, name="periodic-settle"),
    path("reviews/slots/", slots.slot_list, name="slot-show"),
    path("reviews/slots/<slug:slot>/", slots.slot_configure, name="slot-configure"),
    path("reviews/<int:pk>/", reviews.review_detail, name="review-detail"),
    path("reviews/<int:pk>/complete/", reviews.review_complete, name="review-complete"),
]
