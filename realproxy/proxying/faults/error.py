"""Error: the proxy replies with a given status, and sends nothing upstream."""

from __future__ import annotations

from policies.settings.faults import Error
from realproxy.errors import LocalReply, Termination
from realproxy.proxying.faults.base import FaultTarget, fault


@fault("error")
def inject_error(settings: Error, _: FaultTarget) -> None:
    """Raise the reply."""
    raise LocalReply(settings.status, Termination.FAULT, "an injected fault")
