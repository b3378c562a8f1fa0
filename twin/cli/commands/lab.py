"""The command `lab`: JupyterLab on the student's own copies of the lessons."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from policies.bad_input import BadInput

_SHIPPED = Path(__file__).resolve().parents[3] / "notebooks"
_FOLDER = "proxytwin-lessons"


def lab(
    folder_and_options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER",
            help=f"Where your copies of the lessons are (default: {_FOLDER} in your home folder); "
            "after --, more options of JupyterLab.",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port that JupyterLab listens on.")] = None,
    ip: Annotated[
        str | None, typer.Option(help="The address that it listens on, such as 0.0.0.0 in a container.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser; print the URL.")] = False,
    allow_root: Annotated[bool, typer.Option("--allow-root", help="Run although you are root.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin the lessons anew; edited ones are kept under another name.")
    ] = False,
) -> None:
    """Open your own copies of the lessons in JupyterLab.

    Lessons that you have edited are never overwritten. A new edition of such a lesson is put beside it.
    """
    if not _SHIPPED.is_dir():
        raise BadInput("lab", str(_SHIPPED), "the lessons are not there; run it in a clone of the repository")
    if importlib.util.find_spec("jupyterlab") is None:
        raise BadInput("lab", "", "JupyterLab is not installed; install proxytwin with its 'notebooks' extra")
    folder, further = _split(folder_and_options or [])
    options = [f"--port={port}"] * (port is not None) + [f"--ip={ip}"] * (ip is not None)
    options += ["--no-browser"] * no_browser + ["--allow-root"] * allow_root + further
    _check_root(options)
    _copy(folder, fresh)
    _run([sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", *options])


def _split(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder, and the options of JupyterLab."""
    if not arguments or arguments[0].startswith("-"):
        return Path.home() / _FOLDER, list(arguments)
    return Path(arguments[0]).absolute(), list(arguments[1:])


def _check_root(options: Sequence[str]) -> None:
    """JupyterLab refuses to run as root, in many lines."""
    allowed = any(option.replace("-", "_").lstrip("_").endswith("allow_root") for option in options)
    allowed = allowed or any("allow_root=true" in option.lower() for option in options)
    if getattr(os, "geteuid", lambda: -1)() == 0 and not allowed:
        hint = "add --allow-root; in a container also --ip=0.0.0.0 --no-browser, and publish the port"
        raise BadInput("lab", "", f"JupyterLab does not run as root unless you allow it: {hint}")


def _copy(folder: Path, fresh: bool) -> None:
    from twin.cli.lesson_copies import update_copies

    if folder.resolve() == _SHIPPED:  # whoever works on the lessons themselves
        return
    changes = update_copies(sorted(_SHIPPED.glob("*.ipynb")), folder, fresh)
    for line in (f"your lessons are in {folder}", *changes.lines()):
        print(f"proxytwin: {line}", file=sys.stderr, flush=True)


def _run(command: list[str]) -> None:
    """Become JupyterLab; on Windows, where the shell would not wait for it then, run it and wait."""
    if os.name == "nt":
        raise typer.Exit(subprocess.call(command))
    os.execv(command[0], command)
