"""The command `import-httproute`: Kubernetes' HTTPRoutes as a proxy's settings file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from policies.bad_input import BadInput


def import_httproute(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.yaml…", help="Files with HTTPRoutes.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the proxy listens.")],
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=HOST:PORT",
            help="The address of a backend, by the name of its Kubernetes Service; may be repeated, also for "
            "one name. A backend without an address answers 500 for its share.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PROXY.toml", help="The file to write.")
    ] = None,
) -> None:
    """Compile Kubernetes' HTTPRoutes to a proxy's settings file.

    The routes are written in the order of Gateway API's precedence, so that the first match is the most
    specific one. Anything that cannot be obeyed is an error with the file, the key and the reason.
    """
    from twin.httproute import compile_routes, to_toml

    _check_listen(listen)
    compiled = compile_routes(files, _addresses(backend or []), listen)
    text = to_toml(compiled.settings)
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadInput("--output", str(output), f"cannot be written: {error.strerror}") from None
    for line in compiled.missing:
        print(f"proxytwin: warning: {line}; it answers 500 for its share, or gets no copy", file=sys.stderr)
    for name in compiled.unused:
        print(f"proxytwin: warning: --backend: {name}: no route leads to it", file=sys.stderr)


def _addresses(options: list[str]) -> dict[str, list[str]]:
    """The addresses of each backend, in the order of the options; one that is there twice counts once."""
    from realproxy.net.address import split_address

    found: dict[str, list[str]] = {}
    for text in options:
        name, _, address = text.partition("=")
        try:
            split_address(address)
        except ValueError:
            name = ""
        if not name:
            raise BadInput("--backend", text, "expected NAME=HOST:PORT such as web=127.0.0.1:9001")
        known = found.setdefault(name, [])
        if address not in known:
            known.append(address)
    return found


def _check_listen(text: str) -> None:
    from policies.settings import parse_settings

    try:
        parse_settings({"listen": text, "route": [{"respond": 404}]})
    except BadInput as mistake:
        raise BadInput("--listen", "", mistake.problem) from None
