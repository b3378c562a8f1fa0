"""The command line: its entry point `main`, its commands, and what a terminal shows.

- `entry_point`: `main`, the exit codes, and one clear line for each mistake.
- `interruption`: Ctrl-C and SIGTERM before, during and after a command.
- `commands`: one module for each kind of argument; `commands.app` lists them all.
- `terminal`: tables and the conclusion; `progress_bars`: what goes on meanwhile.

Importing this package loads little of the standard library and nothing else, so that an interruption
is heard early; commands import what they need when they run. Only the main thread comes here.
"""

from twin.cli.entry_point import main

__all__ = ["main"]
