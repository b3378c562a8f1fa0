"""Error: an answer with a status of the proxy's own, and nobody is asked."""

from __future__ import annotations

from policies.settings.faults import Error
from realproxy.errors import LocalReply, Termination
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("error")
class InjectedError:
    """Refuses."""

    def __init__(self, settings: Error) -> None:
        self._settings = settings

    def inject(self, target: FaultTarget) -> None:
        """See `realproxy.proxying.faults.base.Injected`."""
        raise LocalReply(self._settings.status, Termination.FAULT, "an injected fault")
