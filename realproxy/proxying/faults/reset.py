"""Reset: the connection ends with RST instead of an answer."""

from __future__ import annotations

from policies.settings.faults import Reset
from realproxy.errors import Aborted, Termination
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("reset")
class InjectedReset:
    """Cuts the client off."""

    def __init__(self, _settings: Reset) -> None:
        return

    def inject(self, target: FaultTarget) -> None:
        """See `realproxy.proxying.faults.base.Injected`."""
        target.client.reset_on_close()
        raise Aborted(Termination.FAULT)
