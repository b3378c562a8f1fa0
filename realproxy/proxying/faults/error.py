"""Error: the proxy replies with a given status, and sends nothing upstream."""

from __future__ import annotations

from policies.settings.faults import Error
from realproxy.errors import LocalReply, Termination
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("error")
class InjectedError:
    """Replies with an error status."""

    def __init__(self, settings: Error) -> None:
        self._settings = settings

    def inject(self, target: FaultTarget) -> None:
        """Raise the reply."""
        raise LocalReply(self._settings.status, Termination.FAULT, "an injected fault")
