"""Commands on a proxy's settings file: `serve`, `check`, `explain`."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from policies.bad_input import BadInput
from policies.file_kinds import SCENARIO
from twin.cli.commands.options import check_needs

_UNIX_TIME = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
ProxyFile = Annotated[Path, typer.Argument(metavar="PROXY.toml", help="The proxy's settings file.")]


def _check_file(proxy_file: Path, *others: str) -> None:
    """Raise `BadInput` for a shipped scenario's name, and if the file is another argument."""
    if proxy_file.exists():
        return
    from scenarios import shipped_scenarios

    if str(proxy_file) in shipped_scenarios():
        raise BadInput(str(proxy_file), "", f"is {SCENARIO}; expected a proxy's file")
    if any(Path(other).is_file() for other in others):
        raise BadInput(str(proxy_file), "", "no such file; the proxy's file comes first, then method and URL")


def serve(proxy_file: ProxyFile) -> None:
    """Run the real proxy until Ctrl-C or SIGTERM.

    It finishes the requests under way before it ends. SIGHUP reads the file again without losing a
    request. SIGUSR1 reopens the log.
    """
    _check_file(proxy_file)
    from realproxy import Proxy
    from realproxy.control.signals import Signals, serve_until_stopped

    with Signals() as signals, Proxy.load(proxy_file) as proxy:
        _warn(proxy.warnings())
        admin = f"; live page at {proxy.admin_url}" if proxy.admin_url else ""
        own = proxy.forward_url not in ("", proxy.url)
        forward = f", forward side on {proxy.forward_url}" if own else ""
        print(f"proxytwin serves on {proxy.url}{forward}{admin}", flush=True)
        serve_until_stopped(proxy, proxy_file, signals)


def check(proxy_file: ProxyFile) -> None:
    """Check a proxy's settings file.

    Prints each mistake in one line, and a warning for what has no effect. Exit status 2: there is a
    mistake; 0: there is none, whatever the warnings.
    """
    _check_file(proxy_file)
    from realproxy.control.check import check as findings_of

    mistakes, warnings = findings_of(proxy_file)
    for mistake in mistakes:
        print(f"proxytwin: {mistake}", file=sys.stderr)
    _warn(warnings)
    if mistakes:
        raise typer.Exit(2)
    print(f"{proxy_file}: ok" + (f", with {_counted(len(warnings))}" if warnings else ""))


def _warn(warnings: Iterable[BadInput]) -> None:
    for warning in warnings:
        print(f"proxytwin: warning: {warning}", file=sys.stderr, flush=True)


def _counted(warnings: int) -> str:
    return "1 warning" if warnings == 1 else f"{warnings} warnings"


def explain(
    proxy_file: ProxyFile,
    method: Annotated[str, typer.Argument(help="The method, such as GET.")],
    url: Annotated[str, typer.Argument(help="http://host/path or /path; host:port for CONNECT and SOCKS.")],
    header: Annotated[
        list[str] | None, typer.Option("-H", metavar="'NAME: VALUE'", help="A header field.")
    ] = None,
    client: Annotated[str, typer.Option(metavar="ADDRESS", help="The client's IP address.")] = "127.0.0.1",
    caller: Annotated[
        str, typer.Option(metavar="NAME", help="The name that the client's certificate proves, if any.")
    ] = "",
    answer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A response as 'curl -i' writes it: what does the cache do with it? The last one counts.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --answer: how much later the same request comes again."),
    ] = None,
    received: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --answer: when it came: now, date (as its Date says), or e.g. 2026-11-30T12:00:00Z.",
        ),
    ] = None,
) -> None:
    """Explain what the proxy does with a request.

    Prints which rule takes the request, and why each earlier rule does not. With --answer it also
    prints what the cache stores, and why. If the proxy runs and has an `admin` address, it also prints
    what the watch of a canary has decided, and why.
    """
    _check_file(proxy_file, method, url)
    from policies.settings import load_settings
    from policies.units import parse_duration
    from realproxy.control.explain import explain as explanation_of
    from realproxy.control.running_split import running_split

    check_needs(after is not None, "--after", answer is not None, "--answer")
    check_needs(received is not None, "--received", answer is not None, "--answer")
    settings = load_settings(proxy_file)
    try:
        elapsed = parse_duration("0s" if after is None else after)
    except ValueError as error:
        raise BadInput("--after", str(after), str(error)) from None
    came = _read_time("now" if received is None else received)
    try:
        ipaddress.ip_address(client)
    except ValueError:
        raise BadInput("--client", client, "expected an IP address such as 203.0.113.9") from None
    if caller and not settings.knows_callers:
        raise BadInput("--caller", caller, "no client proves its name: there is no 'identity' for 'listen'")
    fields = _read_fields(header or ())
    explanation = explanation_of(settings, method, url, fields, client, caller)
    lines = [*explanation.lines(), *running_split(settings, explanation.route)]
    if answer is not None:
        from realproxy.control.explain import explain_stored

        try:
            text = answer.read_bytes()
        except OSError as error:
            raise BadInput("--answer", str(answer), f"cannot be read: {error.strerror}") from None
        lines += explain_stored(settings, explanation, text, elapsed, str(answer), came)
    for line in lines:
        print(line)


def _read_time(text: str) -> float | Literal["now", "date"]:
    """Seconds since 1970 in an HTTP date, in ISO 8601 with a zone, or as a number; or the word itself."""
    from policies.http_cache.dates import parse_http_date

    if text == "now":
        return "now"
    if text == "date":
        return "date"
    seconds = float(text) if _UNIX_TIME.fullmatch(text) else parse_http_date(text, time.time())
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text) if seconds is None else None
        # A time without a zone is refused, because its zone is a guess.
        seconds = moment.timestamp() if moment is not None and moment.tzinfo is not None else seconds
    if seconds is None:
        raise BadInput("--received", text, "expected now, date, or a time such as 2026-11-30T12:00:00Z")
    return seconds


def _read_fields(lines: Iterable[str]) -> dict[str, str]:
    """Header fields by name; lines with the same name become one (RFC 9110, 5.3; RFC 6265, 5.4)."""
    fields: dict[str, str] = {}
    written: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not name:
            raise BadInput("-H", line, "expected 'Name: value'")
        name = written.setdefault(name.lower(), name)
        between = "; " if name.lower() == "cookie" else ", "
        fields[name] = f"{fields[name]}{between}{value}" if name in fields else value
    return fields
