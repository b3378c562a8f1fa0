"""The command line: its entry point `main`, its commands, and what a terminal shows.

- `entry_point`: `main`, the exit codes, and a message of one line for each mistake.
- `interruption`: Ctrl-C and SIGTERM before, during and after a command.
- `commands`: one module for each kind of argument; `commands.app` lists all commands.
- `lesson_copies`: the copies of the lessons that a student edits.
- `terminal`: tables and the conclusion; `progress_bars`: the progress of a command.

This package imports only a few modules of the standard library. So the process handles an interruption
early. A command imports its other modules when it runs. Only the main thread runs this code.
"""

from twin.cli.entry_point import main

__all__ = ["main"]
