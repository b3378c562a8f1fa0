"""The command `exposure`: who sees what of a visit by proxy and by VPN, measured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from policies.bad_input import BadInput
from twin.output.files import check_writable, write_json
from twin.output.sheet import standard_output

if TYPE_CHECKING:
    from twin.exposure.vocabulary import Way


def exposure(
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B",
            help="Only these ways: direct, http-proxy, connect, connect-over-tls, socks5, socks5h, "
            "intercepting, reverse-proxy, vpn, wireguard.",
        ),
    ] = None,
    without_encryption: Annotated[
        bool, typer.Option("--without-encryption", help="Show the visits with TLS and the VPN's cipher off.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Draw the table.")] = None,
) -> None:
    """Measure who sees what of a visit by proxy and by VPN.

    Builds a small internet of network namespaces, makes one visit by each way, and searches what every
    observer recorded. Needs Linux, root and the command ip. What cannot be measured is modelled, and
    marked so. Every "not seen" is proven by a visit in which the same observer does see.

    Exit status 1: a "not seen" could not be proven.
    """
    from twin.cli.progress_bars import Bars
    from twin.exposure import expose
    from twin.exposure.sheets import cell_sheet, leaks, state_sheet
    from twin.output.figures import check_picture, write_picture

    ways = _ways(columns)
    check_writable(json, "--json")
    check_picture(plot, "--plot")
    with Bars() as bars:
        table = expose(ways, encrypted=not without_encryption, reporter=bars)
    if json is not None:
        write_json(json, table.as_dict())
    if plot is not None:
        from twin.exposure.picture import figure_of_exposure

        write_picture(plot, figure_of_exposure(table))
    console = standard_output()
    console.print(cell_sheet(table, sys.stdout.encoding or "ascii"))
    if table.encrypted:
        console.print(state_sheet(table))
        for line in leaks(table):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    _say_modelled(table.obstacles)
    unproven = table.unproven()
    if table.control is not None and table.encrypted and not unproven:
        said = f'{len(table.proofs())} times "not seen", each proven: that observer does see it in the clear'
        console.print(said, soft_wrap=True, markup=False, highlight=False)
    for line in unproven:
        print(f"proxytwin: unproven: {line}", file=sys.stderr)
    if unproven:
        raise typer.Exit(1)


def _ways(columns: list[str] | None) -> Sequence[Way]:
    from policies.suggestion import nearest
    from twin.exposure.vocabulary import Way

    if columns is None:
        return tuple(Way)
    names = [name.strip() for text in columns for name in text.split(",") if name.strip()]
    known = [str(way) for way in Way]
    for name in names:
        if name not in known:
            raise BadInput("--columns", name, f"unknown way{nearest(name, known)}")
    if not names:
        raise BadInput("--columns", "", "expected at least one way")
    return [Way(name) for name in names]


def _say_modelled(obstacles: dict[Way, str]) -> None:
    """One line for each reason why columns are modelled."""
    for reason in dict.fromkeys(obstacles.values()):
        names = ", ".join(way for way, why in obstacles.items() if why == reason)
        print(f"proxytwin: not measured, modelled: {names}: {reason}", file=sys.stderr)
