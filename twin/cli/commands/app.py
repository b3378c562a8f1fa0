"""The command line's application: a list of all commands."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import typer

from policies.bad_input import BadInput
from twin.cli.commands.experiments import confirm, loadtest, simulate
from twin.cli.commands.import_httproute import import_httproute
from twin.cli.commands.proxy import check, explain, serve
from twin.cli.commands.tables import curve, sweep

app = typer.Typer(
    help="Predict a proxy's caching and load balancing in simulation, then confirm it on real sockets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (confirm, simulate, loadtest, sweep, curve, serve, check, explain, import_httproute):
    app.command()(command)


@app.command()
def lab() -> None:
    """Open the lessons in JupyterLab."""
    folder = Path(__file__).resolve().parents[3] / "notebooks"
    if not folder.is_dir():
        raise BadInput("lab", str(folder), "the lessons are not there; run it in a clone of the repository")
    if importlib.util.find_spec("jupyterlab") is None:
        raise BadInput("lab", "", "JupyterLab is not installed; install proxytwin with its 'notebooks' extra")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"])
