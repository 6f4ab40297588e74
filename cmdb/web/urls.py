"""Pages of cmdb."""

from django.urls import path

from cmdb.web import baselines, groups, host_verbs, hosts, scans, windows

app_name = "cmdb"
urlpatterns = [
    path("estate/", hosts.host_list, name="host-list"),
    path("estate/add/", host_verbs.host_add, name="host-add"),
    path("estate/<int:pk>/", hosts.host_detail, name="host-detail"),
    path("estate/<int:pk>/packages/", hosts.host_packages, name="host-packages"),
    path("estate/<int:pk>/updates/", hosts.host_pending, name="host-pending"),
    path("estate/<int:pk>/connect/", host_verbs.host_connect, name="host-connect"),
    path("estate/<int:pk>/connect/show-key/", host_verbs.host_show_key, name="host-show-key"),
    path("estate/<int:pk>/connect/accept-key/", host_verbs.host_accept_key, name="host-accept-key"),
    path("estate/<int:pk>/connect/test/", host_verbs.host_test, name="host-test"),
    path("estate/<int:pk>/connect/change/", host_verbs.host_reach, name="host-reach"),
    path("estate/<int:pk>/scan/", host_verbs.host_scan, name="host-scan"),
    path("estate/<int:pk>/edit/", host_verbs.host_revise, name="host-revise"),
    path("estate/<int:pk>/exempt/", host_verbs.host_exempt, name="host-exempt"),
    path("estate/<int:pk>/retire/", host_verbs.host_retire, name="host-retire"),
    path("groups/", groups.group_list, name="group-list"),
    path("groups/add/", groups.group_add, name="group-add"),
    path("groups/<int:pk>/", groups.group_detail, name="group-detail"),
    path("groups/<int:pk>/edit/", groups.group_revise, name="group-revise"),
    path("groups/<int:pk>/retire/", groups.group_retire, name="group-retire"),
    path("windows/", windows.window_list, name="window-list"),
    path("windows/add/", windows.window_add, name="window-add"),
    path("windows/<int:pk>/", windows.window_detail, name="window-detail"),
    path("windows/<int:pk>/edit/", windows.window_revise, name="window-revise"),
    path("windows/<int:pk>/retire/", windows.window_retire, name="window-retire"),
    path("baselines/", baselines.baseline_list, name="baseline-list"),
    path("baselines/propose/", baselines.baseline_propose, name="baseline-propose"),
    path("baselines/<int:pk>/", baselines.baseline_detail, name="baseline-detail"),
    path("baselines/<int:pk>/adopt/", baselines.baseline_act, {"verb": "adopt"}, name="baseline-adopt"),
    path("baselines/<int:pk>/ask/", baselines.baseline_act, {"verb": "ask"}, name="baseline-ask"),
    path("baselines/<int:pk>/decide/", baselines.baseline_act, {"verb": "decide"}, name="baseline-decide"),
    path("baselines/<int:pk>/retire/", baselines.baseline_retire, name="baseline-retire"),
    path("scans/", scans.scan_list, name="scan-list"),
    path("scans/<int:pk>/", scans.scan_detail, name="scan-detail"),
    path("scans/<int:pk>/cancel/", scans.scan_cancel, name="scan-cancel"),
    path("discrepancies/", baselines.discrepancy_list, name="discrepancy-list"),
    path("discrepancies/<int:pk>/", baselines.discrepancy_detail, name="discrepancy-detail"),
]
