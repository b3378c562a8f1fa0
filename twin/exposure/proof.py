"""Why each "not seen" says something of the traffic, and not of an observer that is blind. Pure.

For a cell that is "not seen", one of these must hold:

1. The topology lets the observer see the item as soon as encryption is off, and in the same visit without
   encryption it does see it.
2. The topology hides the item from the observer in this way, encrypted or not. Then it must have seen
   that item by another way without encryption.
3. No way leads that item past this observer. Then it must have seen the control, which is packets with
   all secrets in the clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from twin.exposure.model import modelled
from twin.exposure.vocabulary import Cell, Finding, Item, Observer, State, Visit


class Proof(StrEnum):
    """How a "not seen" is proven."""

    SAME_VISIT = "seen in the same visit without encryption"
    OTHER_WAY = "hidden by the topology; seen on another way without encryption"
    CONTROL = "on no way; seen in the control"


Unseen = tuple[Visit, Observer, Item]


def proofs(findings: Mapping[Visit, Finding], control: Finding) -> dict[Unseen, Proof | None]:
    """The proof of every measured "not seen" with encryption; None where the observer may be blind."""
    plain = {visit: found for visit, found in findings.items() if found.measured and not visit.encrypted}
    somewhere = {
        key for found in plain.values() for key, cell in found.cells.items() if cell is not Cell.UNSEEN
    }
    proven: dict[Unseen, Proof | None] = {}
    for visit, found in findings.items():
        if not visit.encrypted or not found.measured:
            continue
        for (observer, item), cell in found.cells.items():
            if cell is Cell.UNSEEN:
                proven[visit, observer, item] = _proof(visit, (observer, item), plain, somewhere, control)
    return proven


def _proof(
    visit: Visit,
    key: tuple[Observer, Item],
    plain: Mapping[Visit, Finding],
    somewhere: set[tuple[Observer, Item]],
    control: Finding,
) -> Proof | None:
    same = Visit(visit.way, State.CONNECTED, encrypted=False)
    if visit.state is State.CONNECTED and modelled(same).cells[key] is not Cell.UNSEEN:
        seen = same in plain and plain[same].cells[key] is not Cell.UNSEEN
        return Proof.SAME_VISIT if seen else None
    if key in somewhere:
        return Proof.OTHER_WAY
    return Proof.CONTROL if control.cells[key] is not Cell.UNSEEN else None
