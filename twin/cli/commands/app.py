"""The command line's application: a list of all commands."""

from __future__ import annotations

import typer

from twin.cli.commands.backends import backends
from twin.cli.commands.certificates import certificates
from twin.cli.commands.experiments import confirm, loadtest, simulate
from twin.cli.commands.exposure import exposure
from twin.cli.commands.import_httproute import import_httproute
from twin.cli.commands.lab import lab
from twin.cli.commands.proxy import check, explain, serve
from twin.cli.commands.tables import curve, sweep
from twin.cli.commands.trace import trace

app = typer.Typer(
    help="Predict a proxy's caching and load balancing in simulation, then confirm it on real sockets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    confirm,
    simulate,
    loadtest,
    backends,
    sweep,
    curve,
    serve,
    check,
    explain,
    certificates,
    trace,
    import_httproute,
    exposure,
    lab,
):
    app.command()(command)
