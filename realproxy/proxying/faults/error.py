"""Error: an answer with a status of the proxy's own, and nobody is asked."""

from __future__ import annotations

from policies.settings.faults import Error
from realproxy.errors import End, Refusal
from realproxy.proxying.faults.base import Struck, fault


@fault("error")
class InjectedError:
    """Refuses."""

    def __init__(self, settings: Error) -> None:
        self._settings = settings

    def strike(self, struck: Struck) -> None:
        """See `realproxy.proxying.faults.base.Injected`."""
        raise Refusal(self._settings.status, End.FAULT, "an injected fault")
