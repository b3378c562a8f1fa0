"""What the topology says, the proof of "not seen", and a table where nothing can be measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from twin.exposure import Cell, Item, Observer, State, Way, expose, exposure
from twin.exposure.model import modelled
from twin.exposure.proof import Proof, proofs
from twin.exposure.sheets import cell_sheet, leaks, state_sheet
from twin.exposure.verdicts import Verdict
from twin.exposure.vocabulary import Finding, Visit, states_of, visits_of
from twin.output.sheet import Sheet

EVERYTHING = Finding(True, {(who, item): Cell.SEEN for who in Observer for item in Item}, measured=True)


def as_if_measured() -> dict[Visit, Finding]:
    visits = visits_of(tuple(Way)) + visits_of(tuple(Way), encrypted=False)
    return {visit: replace(modelled(visit), measured=True) for visit in visits}


@pytest.mark.parametrize("way", Way)
def test_encryption_hides_and_never_shows(way: Way) -> None:
    rank = [Cell.UNSEEN, Cell.DERIVABLE, Cell.SEEN].index
    with_it, without = (modelled(Visit(way, encrypted=encrypted)).cells for encrypted in (True, False))
    assert all(rank(with_it[key]) <= rank(without[key]) for key in with_it)


@pytest.mark.parametrize("way", Way)
def test_those_on_the_way_always_know_volume_and_times(way: Way) -> None:
    cells = modelled(Visit(way)).cells
    assert cells[Observer.LOCAL, Item.VOLUME] is Cell.DERIVABLE
    assert cells[Observer.NETWORK, Item.VOLUME] is Cell.DERIVABLE


def test_only_ways_that_carry_packets_have_a_kill_switch() -> None:
    assert [way for way in Way if State.DEAD_SWITCH in states_of(way)] == [Way.VPN, Way.WIREGUARD]


def test_every_not_seen_of_sound_observers_is_proven_in_one_of_three_ways() -> None:
    found = proofs(as_if_measured(), EVERYTHING)
    assert None not in found.values() and set(found.values()) == set(Proof)


@pytest.mark.parametrize("blind", Observer)
def test_a_blind_observer_proves_nothing(blind: Observer) -> None:
    def blinded(found: Finding) -> Finding:
        cells = {key: Cell.UNSEEN if key[0] is blind else cell for key, cell in found.cells.items()}
        return replace(found, cells=cells)

    seen = {visit: blinded(found) for visit, found in as_if_measured().items()}
    unproven = {key[1] for key, proof in proofs(seen, blinded(EVERYTHING)).items() if proof is None}
    assert unproven == {blind}


def test_an_observer_that_is_blind_for_one_item_only_is_found_out_by_the_same_visit() -> None:
    key = (Observer.ENTRY, Item.PATH)
    seen = {
        visit: replace(found, cells=dict(found.cells) | {key: Cell.UNSEEN})
        if visit == Visit(Way.VPN, encrypted=False) else found
        for visit, found in as_if_measured().items()
    }  # fmt: skip
    unproven = [unseen for unseen, proof in proofs(seen, EVERYTHING).items() if proof is None]
    assert unproven == [(Visit(Way.VPN), *key)]


def test_where_nothing_can_be_measured_the_table_is_modelled_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exposure, "obstacles", lambda ways: dict.fromkeys(ways, "not root"))
    table = expose((Way.VPN, Way.SOCKS5))
    assert table.ways == (Way.SOCKS5, Way.VPN), "in the order of the table"
    assert not any(map(table.measured, table.ways)) and table.unproven() == [] == list(table.proofs())
    assert table.states(Way.VPN)[State.DEAD].verdict is Verdict.OPEN
    plain = table.as_dict()
    assert plain["columns"]["vpn"]["not_measured_because"] == "not root"
    assert plain["columns"]["vpn"]["cells"]["local network"]["path"] == "not seen"
    for sheet in (cell_sheet(table), state_sheet(table)):
        assert isinstance(sheet, Sheet)
        heads = [*sheet.figures, *(str(row.names[0]) for row in sheet._rows)]
        assert any("MODELLED" in head for head in heads) and not any("measured" in head for head in heads)
    assert len(leaks(table)) == 3


def test_an_ascii_terminal_gets_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "obstacles", lambda ways: dict.fromkeys(ways, "not root"))
    table = expose((Way.DIRECT,))
    marks = {figure.plain for row in cell_sheet(table, "ascii")._rows for figure in row.figures}
    assert marks == {"S", "d", "."}
