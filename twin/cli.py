"""The command line's way in: one clear line for a mistake, and none but one for an interruption.

At its top it loads little of the standard library and nothing else, so that an interruption is heard
before the commands are loaded, which takes half a second.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from typing import TextIO

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the wish that this process ends, and the end of its terminal."""
_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)

_interruptions: list[int] = []
"""Numbers of the signals that have come."""


def main() -> None:
    """Run the command line; ends the process with 0, 1, 2, or 130 after an interruption."""
    for number in INTERRUPTIONS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wishes
            signal.signal(number, _leave)
    code = _ending_of_command()
    if problem := _flush(sys.stdout):
        code = code if _interruptions else _say(f"standard output cannot be written: {problem}", 2)
    _flush(sys.stderr)
    sys.exit(code)


def _leave(_number: int, _frame: object) -> None:
    """End at once: nothing was begun yet, and an exception might be lost amid an import."""
    _say("interrupted")
    os._exit(130)


def _interrupt(number: int, _frame: object) -> None:
    _interruptions.append(number)
    raise KeyboardInterrupt


def _ending_of_command() -> int:
    """The exit code of the command, after what is to be said of its end."""
    from loadtests import LoadTestError
    from policies.problems import BadInput
    from twin.commands.app import app

    for number in INTERRUPTIONS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, _interrupt)
    try:
        app(standalone_mode=True)
        code = 0
    except SystemExit as end:
        # While it is being interrupted, a pool of processes may fail in ways of its own.
        code = _say("interrupted", 130) if _interruptions else int(end.code or 0)
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
    """The exit code after what no command foresees; None for a fault of the program."""
    if _interruptions or isinstance(error, KeyboardInterrupt):
        return _say("interrupted", 130)
    if isinstance(error, OSError) and error.errno in _CANNOT_BE_WRITTEN:
        return _say(f"standard output or a temporary file cannot be written: {error.strerror}", 2)
    return None


def _say(what: str, code: int = 0) -> int:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"proxytwin: {what}", file=sys.stderr, flush=True)
    return code


def _flush(stream: TextIO | None) -> str:
    """Why what is left cannot be written; the interpreter, which would try it again, is spared that."""
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


if __name__ == "__main__":
    main()
