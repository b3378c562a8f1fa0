"""The command `trace`: one request's way through several proxies, from their access logs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from policies.bad_input import BadInput


def trace(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG", help="JSON access logs, one of each proxy.")],
    request: Annotated[
        str | None, typer.Option(metavar="TRACE_ID", help="This request, by the beginning of its trace-id.")
    ] = None,
    slowest: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only list the N slowest requests.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="F.png", help="Also draw the waterfall.")] = None,
) -> None:
    """Show one request's way through several proxies as a waterfall; by default, the slowest request.

    Each proxy that obeys 'trace' (the default) is a span: it passes on a traceparent with its own
    span id. Programs between two proxies pass on the traceparent that they got, else a new trace begins.

    Example: proxytwin trace front.log cart.log store.log --request 4bf92f --plot waterfall.png
    """
    if request is not None and slowest is not None:
        raise BadInput("--slowest", str(slowest), "expected no --request beside it")
    if slowest is not None and plot is not None:
        raise BadInput("--plot", str(plot), "expected no --slowest beside it: a picture shows one request")
    from twin.output.figures import check_picture, write_picture
    from twin.output.sheet import standard_output
    from twin.tracing.spans import read_logs
    from twin.tracing.tree import request_by_id, requests_in
    from twin.tracing.waterfall import print_list, print_waterfall

    check_picture(plot, "--plot")
    found = read_logs(logs)
    for oddity in found.oddities:
        print(f"proxytwin: warning: {oddity}", file=sys.stderr, flush=True)
    requests = requests_in(found.spans)
    console = standard_output()
    if slowest is not None:
        print_list(requests[:slowest], console)
        return
    chosen = request_by_id(requests, request) if request is not None else requests[0]
    print_waterfall(chosen, console)
    if plot is not None:
        from twin.tracing.picture import waterfall_figure

        write_picture(plot, waterfall_figure(chosen))
