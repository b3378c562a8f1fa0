"""The whole exposure table: measured where the machine allows it, modelled where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twin.exposure.model import modelled
from twin.exposure.obstacles import obstacles
from twin.exposure.proof import Proof, proofs
from twin.exposure.verdicts import Change, change
from twin.exposure.vocabulary import Cells, Finding, Item, Observer, State, Visit, Way, states_of, visits_of
from twin.progress import Reporter


@dataclass(frozen=True)
class Exposure:
    """The table.

    Parameters
    ----------
    ways : tuple of Way
        Its columns.
    encrypted : bool
        Whether it shows the visits with encryption.
    findings : dict of Visit to Finding
        All visits, measured or modelled, with and without encryption.
    obstacles : dict of Way to str
        Why a way was not measured.
    control : Finding, optional
        None if nothing was measured.
    """

    ways: tuple[Way, ...]
    encrypted: bool
    findings: dict[Visit, Finding]
    obstacles: dict[Way, str]
    control: Finding | None = field(default=None, repr=False)

    def finding(self, way: Way, state: State = State.CONNECTED) -> Finding:
        """What became of the visit by a way in a state."""
        return self.findings[Visit(way, state, self.encrypted)]

    def cells(self, way: Way, state: State = State.CONNECTED) -> Cells:
        """What every observer learns of every item."""
        return self.finding(way, state).cells

    def measured(self, way: Way) -> bool:
        """Whether the column is measured; else it is modelled."""
        return self.finding(way).measured

    def states(self, way: Way) -> dict[State, Change]:
        """What the other states of a way change; none without encryption."""
        if not self.encrypted:
            return {}
        connected = self.finding(way)
        return {
            state: change(self.finding(way, state), connected)
            for state in states_of(way)
            if state is not State.CONNECTED
        }

    def proofs(self) -> dict[tuple[Visit, Observer, Item], Proof | None]:
        """The proof of each "not seen"; empty if nothing was measured."""
        return {} if self.control is None else proofs(self.findings, self.control)

    def unproven(self) -> list[str]:
        """Each "not seen" behind which may be a blind observer, in words."""
        return [
            f"{visit.way}, {visit.state}: {observer} did not see the {item}, and nothing proves that it could"
            for (visit, observer, item), proof in self.proofs().items()
            if proof is None
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        proven = self.proofs()
        columns = {}
        for way in self.ways:
            columns[str(way)] = {
                "measured": self.measured(way),
                "not_measured_because": self.obstacles.get(way),
                "cells": _by_observer(self.cells(way)),
                "proofs": {
                    f"{observer} / {item}": proof
                    for (visit, observer, item), proof in proven.items()
                    if visit == Visit(way, State.CONNECTED)
                },
                "states": {
                    str(state): {
                        "verdict": str(what.verdict),
                        "answered": self.finding(way, state).answered,
                        "leaks": {str(who): list(map(str, items)) for who, items in what.leaks.items()},
                        "cells": _by_observer(self.cells(way, state)),
                    }
                    for state, what in self.states(way).items()
                },
            }
        return {"encrypted": self.encrypted, "unproven": self.unproven(), "columns": columns}


def _by_observer(cells: Cells) -> dict[str, dict[str, str]]:
    return {str(who): {str(item): str(cells[who, item]) for item in Item} for who in Observer}


def expose(
    ways: Sequence[Way] = tuple(Way), *, encrypted: bool = True, reporter: Reporter | None = None
) -> Exposure:
    """Measure who sees what, and model what cannot be measured here.

    Parameters
    ----------
    ways : sequence of Way
        The columns.
    encrypted : bool
        False shows the visits without encryption, which else only prove that no observer is blind.
    reporter : twin.progress.Reporter, optional
    """
    columns = tuple(way for way in Way if way in ways)
    visits = [*visits_of(columns), *visits_of(columns, encrypted=False)]
    findings = {visit: modelled(visit) for visit in visits}
    hindered = obstacles(columns)
    control = None
    possible = [visit for visit in visits if visit.way not in hindered and (encrypted or not visit.encrypted)]
    if possible:
        from twin.exposure.experiment import measure
        from twin.exposure.namespaces import NamespaceError

        try:
            found, control = measure(possible, reporter)
            findings |= found
        except NamespaceError as error:
            hindered = dict.fromkeys(columns, str(error))
    return Exposure(columns, encrypted, findings, hindered, control)
