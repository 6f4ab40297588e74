"""What the roof shows on pages of the apps below."""

from patchflow.reports.web.cockpit import cockpit_of_cycle
from patchflow.web import panels

panels.register("changes.cycle.cockpit", cockpit_of_cycle, order=10)
