"""Addresses of cycles, RFCs and the board."""

from django.urls import path

from changes.web import board, cycles, dossiers, meetings, rfc_acts, rfc_writing, rfcs, session, substitutes

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
    path("changes/rfcs/<int:pk>/evidence/", dossiers.rfc_evidence, name="rfc-evidence"),
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
    path("changes/board/<int:pk>/tally/", board.board_tally, name="board-tally"),
    path("changes/meetings/", meetings.meeting_list, name="meeting-list"),
    path("changes/meetings/plan/", meetings.meeting_plan, name="meeting-plan"),
    path("changes/meetings/<int:pk>/", meetings.meeting_detail, name="meeting-detail"),
    path("changes/meetings/<int:pk>/arrange/", meetings.meeting_arrange, name="meeting-arrange"),
    path("changes/meetings/<int:pk>/attendance/", meetings.meeting_attendance, name="meeting-attendance"),
    path("changes/meetings/<int:pk>/session/", session.meeting_session, name="meeting-session"),
    path("changes/meetings/<int:pk>/consent/", session.meeting_consent, name="meeting-consent"),
    path("changes/meetings/<int:pk>/items/<int:item>/", session.meeting_item, name="meeting-item"),
    path("changes/meetings/<int:pk>/items/<int:item>/tally/", session.meeting_tally, name="meeting-tally"),
    path("changes/meetings/<int:pk>/items/<int:item>/pull/", session.meeting_pull, name="meeting-pull"),
    path("changes/meetings/<int:pk>/items/<int:item>/begin/", session.meeting_begin, name="meeting-begin"),
    *[
        path(
            f"changes/meetings/<int:pk>/{verb.replace('_', '-')}/",
            view,
            {"verb": verb},
            name=f"meeting-{verb.replace('_', '-')}",
        )
        for table, view in ((meetings.AT_A_CLICK, meetings.meeting_click), (meetings.VERB_PAGES, meetings.meeting_verb))
        for verb in table
    ],
    *[
        path(
            f"changes/meetings/<int:pk>/items/<int:item>/{verb.replace('_', '-')}/",
            meetings.meeting_item_verb,
            {"verb": verb},
            name=f"meeting-{verb.replace('_', '-')}",
        )
        for verb in meetings.ITEM_PAGES
    ],
    path("changes/substitutes/", substitutes.substitute_list, name="substitute-list"),
    path("changes/substitutes/name/", substitutes.substitute_name, name="substitute-name"),
    path("changes/substitutes/<int:pk>/end/", substitutes.substitute_end, name="substitute-end"),
    path("changes/cycles/", cycles.cycle_list, name="cycle-list"),
    path("changes/cycles/<int:pk>/", cycles.cycle_detail, name="cycle-detail"),
    path("changes/cycles/<int:pk>/steps/<slug:key>/", cycles.cycle_step, name="cycle-step"),
    path("changes/cycles/<int:pk>/close-unneeded/", cycles.cycle_close, name="cycle-close-unneeded"),
]
