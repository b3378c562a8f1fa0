"""The base class of all tables of a settings file, and the types of text that several tables use."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from policies.host_names import ascii_pattern
from policies.patterns import check_pattern, compile_pattern


def _check_host_pattern(text: str) -> str:
    compile_pattern(ascii_pattern(text), ignore_case=True)
    return text


Pattern = Annotated[str, AfterValidator(check_pattern)]
HostPattern = Annotated[str, AfterValidator(_check_host_pattern)]


class Settings(BaseModel):
    """A table of a settings file; unknown keys are errors, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_NAME = re.compile(r"[^\s/?#@\[\]:*]*")  # also an IPv4 address, and nothing


def _check_listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        hint = f" or ':{text}' for all addresses" if text.isdigit() else ""
        raise ValueError(f"expected 'host:port' such as '127.0.0.1:8080'{hint}, not {text!r}")
    bracketed = host.startswith("[") and host.endswith("]") and ":" in host
    if host != "*" and not bracketed and _NAME.fullmatch(host) is None:
        if re.fullmatch(r"[\[\]0-9A-Fa-f:.]*:[\[\]0-9A-Fa-f:.]*", host):
            raise ValueError(f"expected an IPv6 address in brackets such as '[::1]:8080', not {text!r}")
        raise ValueError(f"expected a host alone before the port such as '*:8080', not {text!r}")
    return text


def _check_network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


Listen = Annotated[str, AfterValidator(_check_listen)]
Network = Annotated[str, AfterValidator(_check_network)]
