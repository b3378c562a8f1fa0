"""Block lists: which hosts clients of the forward side may not reach, and which rule blocks a host.

A rule is a glob (``*.ads.test``), a regular expression (``~^track[0-9]*\\.``) or an exact name, each
for the requested host; or a network (``10.0.0.0/8``) for the address that the host resolves to.
A hosts file blocks the names that it maps to 0.0.0.0, ``::`` or loopback.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence

from policies.addresses import meanings
from policies.host_names import ascii_pattern, normal_host
from policies.patterns import compile_pattern

_NOWHERE = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})
"""The addresses by which a hosts file blocks a name."""
_OF_EVERY_MACHINE = frozenset(
    {
        "0.0.0.0", "broadcasthost", "ip6-allhosts", "ip6-allnodes", "ip6-allrouters", "ip6-localhost",
        "ip6-localnet", "ip6-loopback", "ip6-mcastprefix", "local", "localhost", "localhost.localdomain",
    }
)  # fmt: skip
"""Names that are in every hosts file; they block nothing."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def as_network(rule: str) -> Network | None:
    """The network that a rule names; None if the rule is a pattern for names.

    Raises
    ------
    ValueError
        If the rule contains a slash, which no name does, but is not a network.
    """
    if rule.startswith("~"):
        return None
    try:
        return ipaddress.ip_network(rule.removeprefix("[").removesuffix("]"), strict=False)
    except ValueError:
        if "/" in rule:
            raise ValueError(f"{rule!r} is neither a network nor a pattern for a host") from None
        return None


def check_rule(rule: str) -> str:
    """Return `rule` if it is valid; raise `ValueError` if not (for pydantic)."""
    if not rule:
        raise ValueError("expected a name, a glob, a regular expression after '~' or a network, not ''")
    if as_network(rule) is None:
        compile_pattern(ascii_pattern(rule), ignore_case=True)
    return rule


def read_hosts(text: str) -> Iterator[tuple[int, str]]:
    """The names that a hosts file blocks, each with its line number.

    Parameters
    ----------
    text : str
        Lines of ``0.0.0.0 name name…``, or lines with one name; ``#`` begins a comment. A line with an
        address other than 0.0.0.0, ``::`` or loopback blocks nothing.

    Raises
    ------
    ValueError
        With the number of the line that cannot be read.
    """
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] in _NOWHERE:
            names = words[1:]
        elif _is_address(words[0]):
            continue
        elif len(words) == 1:
            names = words
        else:
            raise ValueError(f"line {number}: expected an address and names, not {line[:60]!r}")
        for name in map(normal_host, names):
            if name not in _OF_EVERY_MACHINE:
                yield number, name


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return True


class Blocklist:
    """Rules compiled for look-up: the cost does not depend on the number of names and suffixes.

    Parameters
    ----------
    rules : sequence of str
        As in the settings.
    hosts : mapping of str to str, optional
        The text of each hosts file, by file name.

    Raises
    ------
    ValueError
        If a rule or a hosts file is invalid, see `check_rule` and `read_hosts`.

    Examples
    --------
    >>> blocked = Blocklist(["*.ads.test", "10.0.0.0/8"], {"hosts.txt": "0.0.0.0 spy.test"})
    >>> blocked.rule_for_name("www.ads.test"), blocked.rule_for_name("spy.test")
    ('forward.block: *.ads.test', 'forward.block_files: hosts.txt line 1')
    >>> blocked.rule_for_address("10.1.2.3")
    'forward.block: 10.0.0.0/8'
    """

    def __init__(self, rules: Sequence[str], hosts: Mapping[str, str] | None = None) -> None:
        self._names: dict[str, str] = {}
        self._suffixes: dict[str, str] = {}
        self._patterns: list[tuple[Callable[[str], bool], str]] = []
        self._networks: list[tuple[Network, str]] = []
        for rule in rules:
            self._add(check_rule(rule), f"forward.block: {rule}")
        for file, text in (hosts or {}).items():
            self.add_hosts(file, text)

    def __len__(self) -> int:
        return len(self._names) + len(self._suffixes) + len(self._patterns) + len(self._networks)

    def add_hosts(self, file: str, text: str) -> None:
        """Block the names of a hosts file; raises `ValueError` as `read_hosts` does."""
        for line, name in read_hosts(text):
            self._names.setdefault(name, f"forward.block_files: {file} line {line}")

    def _add(self, rule: str, named: str) -> None:
        network = as_network(rule)
        if network is not None:
            self._networks.append((network, named))
        elif rule.startswith("~") or any(mark in rule.removeprefix("*.") for mark in "*?["):
            self._patterns.append((compile_pattern(ascii_pattern(rule), ignore_case=True), named))
        elif rule.startswith("*."):
            self._suffixes.setdefault(normal_host(rule[2:]), named)
        else:
            self._names.setdefault(normal_host(rule), named)

    def rule_for_name(self, host: str) -> str | None:
        """The rule that blocks a host by its name, if any."""
        name = normal_host(host)
        found = self._names.get(name)
        if found is None and self._suffixes:
            parent = name.partition(".")[2]
            while parent and found is None:
                found = self._suffixes.get(parent)
                parent = parent.partition(".")[2]
        if found is not None:
            return found
        return next((named for covers, named in self._patterns if covers(name)), None)

    def rule_for_address(self, address: str) -> str | None:
        """The rule that blocks a resolved IP address, if any."""
        if not self._networks:
            return None
        addresses = meanings(address)
        return next(
            (name for network, name in self._networks if any(one in network for one in addresses)), None
        )
