"""Host names in rules: in the form that requests write them, and what no request can write."""

from __future__ import annotations

import ipaddress
import re
from encodings import idna

_MARKS = "*?["
_DEVIATIONS = frozenset("ßς\u200c\u200d")
"""Characters that the IDNA of 2003, which Python has, maps away, and that of 2008 keeps. RFC 5894, 7.2"""
_WRITABLE = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+;=?\[\]^]*")  # RFC 3986, 3.2.2, and the marks of a glob
_SIMPLE = re.compile(r"[^|?*+{}()\[\]]*")
_ADDRESS_GLOB = re.compile(r"[0-9A-Fa-f:.*?]*:[0-9A-Fa-f:.*?]*:[0-9A-Fa-f:.*?]*")


def normal_host(host: str) -> str:
    """A host in ASCII and lower case, without a final dot and without brackets: the form that rules use."""
    name = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if not name.isascii():  # only in a user's rule: on the wire, names are in ASCII
        try:
            return ascii_pattern(name)
        except ValueError:
            return name
    return name


def ascii_pattern(text: str) -> str:
    """A pattern for hosts, in the form in which requests write names.

    Labels with other letters than ASCII become A-labels (RFC 5890, 2.3.2.1). The dot of the root and the
    brackets of an IPv6 address are left out.

    Raises
    ------
    ValueError
        If such letters stand in a regular expression, or in a label with a mark of a glob.

    Examples
    --------
    >>> ascii_pattern("*.bücher.test.")
    '*.xn--bcher-kva.test'
    """
    if text.startswith("~"):
        if not text.isascii():
            raise ValueError(f"expected only ASCII in a regular expression for hosts, not {text!r}")
        return text
    if text.startswith("[") and text.endswith("]") and is_ipv6(text[1:-1]):
        return text[1:-1]
    name = text.removesuffix(".") if len(text) > 1 else text
    return name if name.isascii() else ".".join(map(_ascii_label, name.split(".")))


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    if not _DEVIATIONS.isdisjoint(label) or any(mark in label for mark in _MARKS):
        raise ValueError(f"expected {label!r} in the form that requests write, which begins with 'xn--'")
    try:
        return idna.ToASCII(label).decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(f"{label!r} cannot be a part of a host name: {error}") from None


def is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address without brackets."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def host_problem(pattern: str) -> str | None:
    """Why no host of a request can match a pattern, and what to write; None if one can.

    A regular expression is only judged by what every match of it must contain.
    """
    if pattern.startswith("~"):
        return _expression_problem(pattern[1:])
    text = ascii_pattern(pattern)
    if is_ipv6(text) or _ADDRESS_GLOB.fullmatch(text) is not None:
        return None
    alone = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", text).partition("/")[0]
    alone = re.sub(r"^\[(.*)\](?::[0-9*]*)?$|:[0-9*]*$", lambda found: found[1] or "", alone)
    wrong = next((char for char in text if _WRITABLE.fullmatch(char) is None), "")
    tests = (
        ("/" in text, f"a host has no scheme and no path: write {alone!r}"),
        (":" in text, f"a host is compared without its port: write {alone!r}"),
        (wrong in (",", "|", " ") and wrong, f"this is one host: for several write {_any_of(text)!r}"),
        (wrong, f"no host contains {wrong!r}"),
        (text.startswith("."), f"no host begins with a dot: write {'*' + text!r}"),
        (".." in text, "no host has an empty label"),
    )
    return next((problem for is_so, problem in tests if is_so), None)


def _any_of(text: str) -> str:
    hosts = [re.escape(part).replace(r"\*", ".*") for part in re.split(r"[,|\s]+", text) if part]
    return f"~^({'|'.join(hosts)})$"


def _expression_problem(text: str) -> str | None:
    if _SIMPLE.fullmatch(text) is None:
        return None
    needed = re.sub(r"\\(.)", r"\1", text)
    if "/" in needed:
        return "a host has no scheme and no path"
    if re.search(r":[0-9]+\$?$|[g-zG-Z].*:", needed):
        return "a host is compared without its port"
    return None
