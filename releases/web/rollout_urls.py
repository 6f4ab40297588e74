"""Addresses of rollouts."""

from django.urls import URLPattern, path

from releases.web import ring_acceptance, rollout_progress, rollout_verbs, rollouts, tasks, telling, window_changes

urlpatterns: list[URLPattern] = [
    path("rollouts/", rollouts.rollout_list, name="rollout-list"),
    path("rollouts/kill-switch/", rollout_verbs.kill_switch_now, name="rollout-kill-switch"),
    path("rollouts/kill-switch/on/", rollout_verbs.kill_switch, {"on": True}, name="rollout-kill-switch-on"),
    path("rollouts/kill-switch/off/", rollout_verbs.kill_switch, {"on": False}, name="rollout-kill-switch-off"),
    path("rollouts/<int:pk>/", rollouts.rollout_detail, name="rollout-detail"),
    path("rollouts/<int:pk>/hosts/", rollout_progress.rollout_hosts, name="rollout-hosts"),
    path("rollouts/<int:pk>/windows/", window_changes.rollout_windows, name="rollout-windows"),
    path("rollouts/<int:pk>/log/", rollout_progress.rollout_log, name="rollout-log"),
    path("rollouts/<int:pk>/pause/", rollout_verbs.rollout_pause, name="rollout-pause"),
    path("rollouts/<int:pk>/resume/", rollout_verbs.rollout_resume, name="rollout-resume"),
    path("rollouts/<int:pk>/halt/", rollout_verbs.rollout_halt, name="rollout-halt"),
    path("rollouts/<int:pk>/stop/", rollout_verbs.rollout_stop, name="rollout-stop"),
    path("rollouts/<int:pk>/cancel/", rollout_verbs.rollout_cancel, name="rollout-cancel"),
    path("rollouts/<int:pk>/roll-back/", rollout_verbs.rollout_roll_back, name="rollout-roll-back"),
    path("rings/<int:pk>/people/", telling.ring_people, name="ring-people"),
    path("rings/<int:pk>/acknowledge/", telling.ring_acknowledge, name="ring-acknowledge"),
    path("rings/<int:pk>/ask-delay/", telling.ring_ask_delay, name="ring-ask-delay"),
    *[
        path(f"delays/<int:pk>/{verb}/", telling.delay_decide, {"verb": verb}, name=f"delay-{verb}")
        for verb in ("grant", "refuse", "withdraw")
    ],
    path("releases/<int:pk>/notices/", telling.release_notices, name="release-notices"),
    path("releases/of-change/<int:pk>/notices/", telling.rfc_notices, name="rfc-notices"),
    path("rings/<int:pk>/retry/", rollout_verbs.ring_retry, name="ring-retry"),
    path("rings/<int:pk>/accept-partial/", ring_acceptance.ring_accept_partial, name="ring-accept-partial"),
    path("rings/<int:pk>/skip/", rollout_verbs.ring_skip, name="ring-skip"),
    path("tasks/", tasks.task_list, name="task-list"),
    path("tasks/<int:pk>/", tasks.task_detail, name="task-detail"),
    path("tasks/<int:pk>/instruction/", tasks.task_instruction, name="task-instruction"),
    *[
        path(
            f"tasks/<int:pk>/{verb.replace('_', '-')}/",
            tasks.task_verb,
            {"verb": verb},
            name=f"task-{verb.replace('_', '-')}",
        )
        for verb in tasks.VERBS
    ],
    path("jobs/<int:pk>/cancel/", rollout_verbs.job_cancel, name="job-cancel"),
    path("jobs/<int:pk>/look/", rollout_verbs.job_look, name="job-look"),
]
