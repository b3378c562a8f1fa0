"""The entry point of the command line: exit codes, and one line for a mistake or an interruption.

This module imports only a few modules of the standard library. So the process handles an interruption
before it loads the commands, which takes half a second.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TextIO

from twin.cli.interruption import arrived, hear_at_end, hear_at_start, hear_in_command, say_interrupted

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Run the command line; exits with status 0, 1, 2, or 130 after an interruption."""
    hear_at_start()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal or a pipe shows "?" for "±"
    try:
        code = _ending_of_command()
        hear_at_end()
    except KeyboardInterrupt:  # the signal came between the two calls
        hear_at_end()
        code = say_interrupted()
    if problem := _flush(sys.stdout):
        code = code if arrived else _say(f"standard output cannot be written: {problem}", 2)
    _flush(sys.stderr)
    sys.exit(code)


def _ending_of_command() -> int:
    """Run the command, print the message for its error if there is one, and return the exit code."""
    from loadtests import LoadTestError
    from policies.bad_input import BadInput
    from twin.cli.commands.app import app

    hear_in_command()
    try:
        app(standalone_mode=True)
        code = 0
    except SystemExit as end:
        # During an interruption, a pool of processes may fail with other errors.
        code = say_interrupted() if arrived else int(end.code or 0)
    except BadInput as mistake:
        code = _say(str(mistake), 2)
    except LoadTestError as failure:
        code = _say(str(failure), 1)
    except BrokenPipeError:
        code = 1
    except (Exception, KeyboardInterrupt) as error:
        unforeseen = _ending_by(error)
        if unforeseen is None:
            raise
        code = unforeseen
    return code


def _ending_by(error: BaseException) -> int | None:
    """The exit code for an unexpected error; None if it is a bug of the program."""
    if arrived or isinstance(error, KeyboardInterrupt):
        return say_interrupted()
    from simulator.spreading import WorkerDied

    if isinstance(error, WorkerDied):
        return _say(str(error), 1)
    if isinstance(error, OSError):
        problem = _trouble_with(sys.stdout) or _trouble_with(sys.stderr)
        _flush(sys.stdout)  # otherwise the same message would come twice
        if problem or error.errno in _NO_SPACE:
            what = "standard output" if problem else error.filename or "a temporary file"
            return _say(f"{what} cannot be written: {problem or error.strerror}", 2)
    return None


def _say(what: str, code: int) -> int:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"proxytwin: {what}", file=sys.stderr, flush=True)
    return code


def _trouble_with(stream: TextIO | None) -> str:
    """Why a stream cannot be written; empty if it can be written."""
    if stream is None:
        return ""
    try:
        stream.flush()
        os.write(stream.fileno(), b"")
    except OSError as error:
        return error.strerror or ""  # a stream without a descriptor has no message
    return ""


def _flush(stream: TextIO | None) -> str:
    """Flush a stream; returns why that failed, or an empty string.

    After a failure the stream writes to /dev/null, because the interpreter flushes it again at exit.
    """
    problem = ""
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        problem = "" if isinstance(error, BrokenPipeError) else error.strerror or str(error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return problem
