"""Addresses of releases, manifests, install profiles and reviews."""

from django.urls import path

from releases.web import manifests, release_acts, release_writing, releases, reviews, ring_pages

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
    path("releases/<int:pk>/", releases.release_detail, name="release-detail"),
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
    path("reviews/<int:pk>/", reviews.review_detail, name="review-detail"),
    path("reviews/<int:pk>/complete/", reviews.review_complete, name="review-complete"),
]
