"""The faults that a route injects.

Each kind is one file with one function, which `base.fault` registers under the kind's name in the settings.
Read `base` first, then any kind. `policies.reverse.faults` decides by chance whether a fault is injected;
this package does what the fault then does to the request. A fault belongs to one request.

To add a kind, add its settings to `policies.settings.faults` and a file here, and import it below.
"""

from realproxy.proxying.faults import bandwidth, error, half, latency, reset
from realproxy.proxying.faults.base import FaultTarget, inject

__all__ = ["FaultTarget", "bandwidth", "error", "half", "inject", "latency", "reset"]
