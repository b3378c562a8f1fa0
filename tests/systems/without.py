"""Run a program as on a system that lacks what only Linux, or only Unix, has.

``python without.py SYSTEM PROGRAM.py ARGUMENT…`` runs a program whose modules of this project do not see
the names below: a module is not found, an attribute is missing, and no file of /proc exists. The standard
library and other packages keep them, because their own versions for that system do not use them.

With the system ``crude`` a few names are taken away from every package of the process.
"""

from __future__ import annotations

import builtins
import os
import re
import runpy
import select
import signal
import sys
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OURS = {
    "policies",
    "scenarios",
    "simulator",
    "realproxy",
    "loadtests",
    "twin",
    "lessons",
    "__main__",
    "lesson",
}

ONLY_LINUX = {
    "os": r"eventfd.*|EFD_.*|pidfd_open|sched_.*|timerfd_.*|TFD_.*|memfd_create|MFD_.*|posix_fadvise"
    r"|POSIX_FADV_.*|O_DIRECT|O_TMPFILE|O_PATH|splice|copy_file_range|setns|unshare|getrandom|pipe2"
    r"|process_cpu_count",
    "select": r"epoll|EPOLL.*",
    "signal": r"sigtimedwait|sigwaitinfo|SIGRTMIN|SIGRTMAX|SIGPWR|SIGSTKFLT|SIGPOLL|pidfd_send_signal",
    "socket": r"SO_PEERCRED|SO_BINDTODEVICE|SO_INCOMING_CPU|SO_MARK|SO_DOMAIN|TCP_(QUICKACK|CORK|USER_TIMEOUT"
    r"|DEFER_ACCEPT|INFO|CONGESTION|KEEPIDLE)|AF_(ALG|NETLINK|PACKET|VSOCK|CAN)|IP_RECVTOS|SOCK_(CLOEXEC"
    r"|NONBLOCK)|MSG_(CMSG_CLOEXEC|NOSIGNAL|MORE|ERRQUEUE)",
}
ONLY_UNIX = {
    "os": r"fork|forkpty|register_at_fork|get(e|res)?[ug]id|set(e|re|res)?[ug]id|[gs]etpgid|[gs]etpgrp"
    r"|[gs]etsid|[gs]etpriority|getgroups|killpg|uname|getloadavg|sysconf.*|confstr.*|pathconf.*"
    r"|fpathconf|nice|mkfifo|mknod|chown|lchown|fchown|chroot|chflags|f?statvfs|sendfile|p?readv|pread|p?writev|pwrite"
    r"|lockf|F_(LOCK|TLOCK|ULOCK|TEST)"
    r"|O_(CLOEXEC|NOFOLLOW|DIRECTORY|NONBLOCK|SYNC|DSYNC|NOCTTY|ASYNC|NDELAY)|wait[34]?|waitid|W[A-Z]+"
    r"|posix_.*|openpty|ttyname|ctermid|fchdir|initgroups|EX_[A-Z]+|sync|fdatasync|[gs]etxattr|environb"
    r"|getenvb|supports_bytes_environ|spawn[lv]p.*|tcgetpgrp|tcsetpgrp|login_tty",
    "select": r"poll|POLL.*|kqueue|kevent|KQ_.*",
    "signal": r"SIG(HUP|QUIT|TRAP|KILL|USR1|USR2|PIPE|ALRM|CHLD|CLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ"
    r"|VTALRM|PROF|WINCH|IO|SYS|BUS|IOT)|SIG_(BLOCK|UNBLOCK|SETMASK)|pthread_.*|sigwait|sigpending|siginterrupt|alarm"
    r"|pause|[gs]etitimer|ITIMER_.*|ItimerError|Sigmasks",
    "socket": r"AF_UNIX|MSG_(DONTWAIT|EOR)|SO_REUSEPORT|SCM_.*|send_fds|recv_fds|CMSG_.*|sethostname",
    "time": r"clock_gettime.*|clock_settime.*|clock_getres|CLOCK_.*|pthread_getcpuclockid|tzset",
    "ctypes.util": r"dlllist",
}
UNIX_MODULES = {
    "fcntl", "resource", "termios", "pwd", "grp", "tty", "pty", "syslog", "readline", "posix", "curses",
    "nis", "spwd", "crypt", "_posixsubprocess", "_posixshmem",
}  # fmt: skip
SYSTEMS: dict[str, tuple[str, str, list[dict[str, str]], set[str]]] = {
    "macos": ("darwin", "posix", [ONLY_LINUX], set()),
    "windows": ("win32", "nt", [ONLY_LINUX, ONLY_UNIX], UNIX_MODULES),
}
"""By system: ``sys.platform``, ``os.name``, the names that are missing, and the modules that are missing."""


class Without(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, real: types.ModuleType, missing: re.Pattern[str], changed: dict[str, Any]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _missing=missing, **changed)
        for name in vars(self).keys() & {"__doc__", "__spec__", "__loader__", "__package__"}:
            del self.__dict__[name]

    def __getattr__(self, name: str) -> Any:
        if self._missing.fullmatch(name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on this system")
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)


def take_away(system: str) -> None:
    """From now on, modules of this project are imported as on another system."""
    platform, system_name, lists, modules = SYSTEMS[system]
    names = lists[0].keys() | lists[-1].keys()
    missing = {
        module: re.compile("|".join(one[module] for one in lists if module in one)) for module in names
    }
    missing.setdefault("sys", re.compile("(?!)"))
    changed = {"sys": {"platform": platform}, "os": {"name": system_name}}
    really = builtins.__import__
    masks: dict[str, Without] = {}

    def mask(module: types.ModuleType) -> types.ModuleType:
        known = module.__name__
        if known not in missing:
            return module
        if known not in masks:
            masks[known] = Without(module, missing[known], changed.get(known, {}))
        return masks[known]

    def importing(name: str, scope: Any, local: Any, fromlist: Any, level: int) -> types.ModuleType:
        importer = ((scope or {}).get("__name__") or "").partition(".")[0]
        if importer not in OURS:
            return really(name, scope, local, fromlist, level)
        if level == 0 and name.partition(".")[0] in modules:
            raise ModuleNotFoundError(f"No module named {name!r} on this system", name=name)
        return mask(really(name, scope, local, fromlist, level))

    def import_by_keywords(name: str, *arguments: Any, **keywords: Any) -> types.ModuleType:
        given = dict(zip(("globals", "locals", "fromlist", "level"), arguments, strict=False), **keywords)
        scope, local = given.get("globals"), given.get("locals")
        return importing(name, scope, local, given.get("fromlist", ()), given.get("level", 0))

    builtins.__import__ = import_by_keywords
    sys.addaudithook(_no_proc)


def _no_proc(event: str, arguments: tuple[Any, ...]) -> None:
    """No module of this project finds a file of /proc."""
    if event not in ("open", "os.listdir", "os.scandir") or not str(arguments[0]).startswith("/proc"):
        return
    frame = sys._getframe(1)
    while frame is not None and _package_of(frame) in ("pathlib", "glob", "io"):
        frame = frame.f_back
    if frame is not None and _package_of(frame) in OURS:
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))


def _package_of(frame: types.FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def take_away_crudely() -> None:
    """The names that a first try would take away, from the whole process."""
    for name in [name for name in vars(select) if name.lower().startswith("epoll")]:
        delattr(select, name)
    for name in [name for name in vars(os) if name.startswith(("eventfd", "EFD_"))]:
        delattr(os, name)
    del os.fork
    del signal.SIGHUP
    sys.modules["fcntl"] = sys.modules["resource"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    system, program = sys.argv[1:3]
    sys.argv = sys.argv[2:]
    sys.path[0] = str(ROOT)
    if system == "crude":
        take_away_crudely()
    else:
        take_away(system)
    runpy.run_path(program, run_name="__main__")
