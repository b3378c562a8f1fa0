"""Who sees what: visits by proxy and VPN in a small internet, and what every observer on the way records.

Read in this order:

- `vocabulary`: items, observers, ways, states, and the cells of the table.
- `rules` (what is derivable), `search` (secrets in recordings), `model` (what the topology says), `proof`
  (why "not seen" is no blindness), `verdicts` (does it fail open?): pure, without I/O.
- `dns_messages`, `sealing`: two formats of packets, without I/O.
- `namespaces`, `topology`, `wires`: the small internet, and observers on its wires.
- `serving`, `certificates`, `servers`: the site and the name server.
- `provider`, `provider_process`, `tunnel`, `wireguard`: what the client's traffic goes through.
- `visits`, `control`, `experiment`: what the client does, and the measurement.
- `obstacles`, `exposure`: what can be measured here; the whole table.
- `picture`, `sheets`: the table as a figure and in a terminal.

The measurement needs Linux and root. Where something is missing, the table holds what the model says, and
says so. `docs/exposure.md` has the method and its limits.
"""

from twin.exposure.exposure import Exposure, expose
from twin.exposure.vocabulary import Cell, Item, Observer, State, Way

__all__ = ["Cell", "Exposure", "Item", "Observer", "State", "Way", "expose"]
