"""Reset: the connection ends with a TCP RST instead of a response."""

from __future__ import annotations

from policies.settings.faults import Reset
from realproxy.errors import Aborted, Termination
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("reset")
def inject_reset(_: Reset, target: FaultTarget) -> None:
    """Reset the client's connection."""
    target.client.reset_on_close()
    raise Aborted(Termination.FAULT)
