"""What an observer can derive from what it has seen: the only rules beyond the search for secrets.

1. **Destination address.** An observer that read the host name can ask the name server for its address. The
   rule holds if that answer really is the address of the destination. It is not behind a reverse proxy.
2. **Volume and times.** An observer that recorded at least as many bytes as the page has while the visit
   lasted knows how much was fetched, and when. Encryption hides neither.

Nothing else counts as derivable, although more can be guessed: `docs/exposure.md` says what.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from twin.exposure.vocabulary import Cell, Item


def derive(seen: AbstractSet[Item], *, enough_bytes: bool, name_leads_there: bool) -> dict[Item, Cell]:
    """The cells of one observer.

    Parameters
    ----------
    seen : set of Item
        What it read in the bytes.
    enough_bytes : bool
        Whether it recorded as many bytes as the page has.
    name_leads_there : bool
        Whether a look-up of the host name answers the address of the destination.
    """
    cells = {item: Cell.SEEN if item in seen else Cell.UNSEEN for item in Item}
    if Item.HOST in seen and Item.DESTINATION not in seen and name_leads_there:
        cells[Item.DESTINATION] = Cell.DERIVABLE
    if enough_bytes:
        cells[Item.VOLUME] = Cell.DERIVABLE
    return cells
