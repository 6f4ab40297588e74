"""Who acts on the hosts, and that everybody who reads of it is told where nobody does."""

from __future__ import annotations

from django.utils.translation import gettext as _

from releases.enums import SIMULATOR


class Acting:
    """Of a row with an `executor`: whether hosts are really acted on. Every page, list, notice and answer asks here."""

    executor: str

    @property
    def is_simulated(self) -> bool:
        """The simulator acts: no host is touched."""
        return self.executor == SIMULATOR

    @property
    def simulated_word(self) -> str:
        """The word beside its name; empty where hosts are really acted on."""
        return _("simulated") if self.is_simulated else ""
