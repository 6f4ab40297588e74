"""Addresses of cycles, RFCs and the board."""

from django.urls import path

from changes.web import board, cycles, dossiers, rfc_acts, rfc_writing, rfcs, substitutes

urlpatterns = [
    path("changes/", rfcs.rfc_list, name="rfc-list"),
    path("changes/rfcs/raise/", rfc_writing.rfc_raise, name="rfc-raise"),
    path("changes/rfcs/<int:pk>/", rfcs.rfc_detail, name="rfc-detail"),
    path("changes/rfcs/<int:pk>/targets/", rfcs.rfc_targets, name="rfc-targets"),
    path("changes/rfcs/<int:pk>/comment/", dossiers.rfc_comment, name="rfc-comment"),
    path("changes/rfcs/<int:pk>/attach/", dossiers.rfc_attach, name="rfc-attach"),
    path("changes/rfcs/<int:pk>/files/<int:attachment>/", dossiers.rfc_file, name="rfc-file"),
    path(
        "changes/rfcs/<int:pk>/files/<int:attachment>/withdraw/", dossiers.rfc_withdraw_file, name="rfc-withdraw-file"
    ),
    path("changes/rfcs/<int:pk>/refer/", dossiers.rfc_refer, name="rfc-refer"),
    path(
        "changes/rfcs/<int:pk>/references/<int:reference>/drop/",
        dossiers.rfc_drop_reference,
        name="rfc-drop-reference",
    ),
    path("changes/rfcs/<int:pk>/parent/", dossiers.rfc_parent, name="rfc-parent"),
    path("changes/rfcs/<int:pk>/copy/", dossiers.rfc_copy, name="rfc-copy"),
    path("changes/rfcs/<int:pk>/revise/", rfc_writing.rfc_revise, name="rfc-revise"),
    *[
        path(
            f"changes/rfcs/<int:pk>/{verb.replace('_', '-')}/",
            view,
            {"verb": verb},
            name=f"rfc-{verb.replace('_', '-')}",
        )
        for table, view in ((rfc_acts.AT_A_CLICK, rfc_acts.rfc_click), (rfc_acts.VERB_PAGES, rfc_acts.rfc_verb))
        for verb in table
    ],
    path("changes/board/", board.board_list, name="board-list"),
    path("changes/board/<int:pk>/", board.board_item, name="board-item"),
    path("changes/substitutes/", substitutes.substitute_list, name="substitute-list"),
    path("changes/substitutes/name/", substitutes.substitute_name, name="substitute-name"),
    path("changes/substitutes/<int:pk>/end/", substitutes.substitute_end, name="substitute-end"),
    path("changes/cycles/", cycles.cycle_list, name="cycle-list"),
    path("changes/cycles/<int:pk>/", cycles.cycle_detail, name="cycle-detail"),
    path("changes/cycles/<int:pk>/steps/<slug:key>/", cycles.cycle_step, name="cycle-step"),
    path("changes/cycles/<int:pk>/close-unneeded/", cycles.cycle_close, name="cycle-close-unneeded"),
]
