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

    The routes are written in the order of Gateway API's precedence, so that the first match is the most specific
    one. Anything that cannot be obeyed is an error with the file, the key and the reason.
    """
    from twin.httproute import compile_routes, to_toml

    addresses: dict[str, list[str]] = {}
    for text in backend or ():
        name, equals, address = text.partition("=")
        host, colon, port = address.rpartition(":")
        if not (name and equals and host and colon and port.isdigit() and 0 < int(port) < 65536):
            raise BadInput("--backend", text, "expected NAME=HOST:PORT such as web=127.0.0.1:9001")
        addresses.setdefault(name, []).append(address)
    settings = compile_routes(files, addresses, listen)
    text = to_toml(settings)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput("--output", str(output), f"cannot be written: {error.strerror}") from None
