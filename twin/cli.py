"""The command line: one command per job, one clear line for a mistake."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import typer

from policies.problems import BadInput
from twin.commands.experiments import confirm, loadtest, simulate
from twin.commands.proxy import check, explain, serve
from twin.commands.tables import curve, sweep

app = typer.Typer(
    help="Predict a proxy's caching and load balancing in simulation, then confirm it on real sockets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (confirm, simulate, loadtest, sweep, curve, serve, check, explain):
    app.command()(command)


@app.command()
def lab() -> None:
    """Open JupyterLab on the lessons."""
    import importlib.util
    import os

    folder = Path(__file__).resolve().parent.parent / "notebooks"
    if not folder.is_dir():
        raise BadInput("lab", str(folder), "no lessons here; run it from a clone of the repository")
    if importlib.util.find_spec("jupyterlab") is None:
        raise BadInput("lab", "", "JupyterLab is not installed; install proxytwin with its 'notebooks' extra")
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"])


_interrupted = threading.Event()


def _interrupt(_number: int, _frame: object) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; ends the process with 0, 1, 2, or 130 after an interruption."""
    from loadtests import LoadTestError

    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app(standalone_mode=True)
    except BadInput as mistake:
        print(f"proxytwin: {mistake}", file=sys.stderr)
        sys.exit(2)
    except LoadTestError as failure:
        print(f"proxytwin: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("proxytwin: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except (Exception, SystemExit):
        # While it is being interrupted, a pool of processes may fail in ways of its own.
        if not _interrupted.is_set():
            raise
        sys.exit(130)


if __name__ == "__main__":
    main()
