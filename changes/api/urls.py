"""REST routes of this app."""

from changes.api.calendar import CalendarViewSet, SlotViewSet
from changes.api.change_models import ChangeModelViewSet
from changes.api.change_tasks import ChangeTaskViewSet
from changes.api.cycles import CycleViewSet
from changes.api.feeds import FeedRunViewSet, FeedViewSet
from changes.api.freezes import FreezeViewSet
from changes.api.meetings import MeetingViewSet
from changes.api.rfcs import RFCViewSet
from changes.api.rounds import RoundViewSet
from changes.api.routes import RouteViewSet
from changes.api.substitutes import SubstitutionViewSet
from changes.api.updates import UpdateViewSet
from patchflow.api import routes

routes.register("rfcs", RFCViewSet, basename="rfc")
routes.register("change-tasks", ChangeTaskViewSet, basename="changetask")
routes.register("rounds", RoundViewSet, basename="round")
routes.register("change-models", ChangeModelViewSet, basename="changemodel")
routes.register("approval-routes", RouteViewSet, basename="route")
routes.register("meetings", MeetingViewSet, basename="meeting")
routes.register("substitutes", SubstitutionViewSet, basename="substitute")
routes.register("cycles", CycleViewSet, basename="cycle")
routes.register("calendar", CalendarViewSet, basename="calendar")
routes.register("slots", SlotViewSet, basename="slot")
routes.register("freezes", FreezeViewSet, basename="freeze")
routes.register("updates", UpdateViewSet, basename="update")
routes.register("feeds", FeedViewSet, basename="feed")
routes.register("feed-runs", FeedRunViewSet, basename="feedrun")
