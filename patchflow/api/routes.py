"""Where apps put their viewsets: `routes.register("rfcs", RFCViewSet)` in `<app>/api/urls.py`, imported by the roof."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter()
register = router.register
