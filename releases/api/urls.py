"""REST routes of this app."""

from patchflow.api import routes
from releases.api.periodic import PeriodicReviewViewSet
from releases.api.rehearsals import RehearsalViewSet
from releases.api.releases import ProfileViewSet, ReleaseViewSet
from releases.api.reviews import ReviewViewSet
from releases.api.rollouts import JobViewSet, KillSwitchViewSet, RolloutViewSet
from releases.api.slots import SlotViewSet
from releases.api.steps import HostStepViewSet
from releases.api.tasks import HandTaskViewSet
from releases.api.telling import DelayRequestViewSet, RepresentativeViewSet

routes.register("releases", ReleaseViewSet, basename="release")
routes.register("rehearsals", RehearsalViewSet, basename="rehearsal")
routes.register("install-profiles", ProfileViewSet, basename="install-profile")
routes.register("steps", HostStepViewSet, basename="step")
routes.register("reviews", ReviewViewSet, basename="review")
routes.register("periodic-reviews", PeriodicReviewViewSet, basename="periodic-review")
routes.register("review-slots", SlotViewSet, basename="review-slot")
routes.register("rollouts", RolloutViewSet, basename="rollout")
routes.register("jobs", JobViewSet, basename="job")
routes.register("tasks", HandTaskViewSet, basename="task")
routes.register("kill-switch", KillSwitchViewSet, basename="kill-switch")
routes.register("representatives", RepresentativeViewSet, basename="representative")
routes.register("delay-requests", DelayRequestViewSet, basename="delay-request")
