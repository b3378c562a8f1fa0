"""The command `certificates`: a folder of certificates for proxies that prove their names to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from policies.bad_input import BadInput


def certificates(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where they are written.")],
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of proxies, such as front.")],
    days: Annotated[float, typer.Option(help="How long they are valid.")] = 365.0,
) -> None:
    """Write a certificate for each name, signed by the authority of the folder, for tests and examples.

    The first call makes the authority: ca.pem, and its key ca.key. Proxies read the folder with
    identity = { folder = "FOLDER", name = "NAME" }.

    Example: proxytwin certificates certs front cart catalogue
    """
    if not 0 < days <= 36500:
        raise BadInput("--days", f"{days:g}", "expected a number of days above 0, at most 36500")
    from twin.certificates import write_certificates

    for file in write_certificates(folder, names, days):
        print(file)
