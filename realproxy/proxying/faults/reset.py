"""Reset: the connection ends with a TCP RST instead of a response."""

from __future__ import annotations

from policies.settings.faults import Reset
from realproxy.errors import Aborted, Termination
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("reset")
class InjectedReset:
    """Resets the client's connection."""

    def __init__(self, _settings: Reset) -> None:
        return

    def inject(self, target: FaultTarget) -> None:
        """Reset the connection."""
        target.client.reset_on_close()
        raise Aborted(Termination.FAULT)
