"""Logs whose lines have one fixed form: Apache and nginx, Amazon S3, AWS load balancers, Squid, HAProxy."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address

from scenarios.traces.http_log import Entry, object_name, size_of, split_request
from scenarios.traces.times import check_seconds, clf_time, iso_time

# Possessive quantifiers (``++``) keep a match linear in the length of a line, whatever it holds.
_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*)"'
_COMBINED = re.compile(
    r'((?:\[[0-9A-Fa-f:.]++\](?::\d++)? )?[^\["]*+)\[([^\]]++)\] '
    + _QUOTED
    + r" (\d{3}|-) (\d{1,19}|-)(?=\s|$)"
)
_S3 = re.compile(
    r"\S++ (\S++) \[([^\]]++)\] \S++ \S++ \S++ ([A-Z]++\.[A-Z0-9_.]++) (\S++) (?:" + _QUOTED + r"|-) "
    r"(\d{3}|-) \S++ (\d{1,19}|-) (\d{1,19}|-) \S++ \S++"
    r'(?: (?:"[^"]*+"|-) (?:"[^"]*+"|-) (\S++))?'
)
_LOAD_BALANCER = re.compile(
    r"(?:(?:https?|h2|grpcs|wss?) )?(\d{4}-\d\d-\d\dT[\d:.]++Z?) \S++ \S++ \S++ "
    r"-?[\d.]++ -?[\d.]++ -?[\d.]++ "
    r"(\d{3}|-) (?:\d{3}|-) \d++ (\d{1,19}) " + _QUOTED
)
_SQUID = re.compile(
    r"\s*+(\d{1,11}(?:\.\d++)?)\s++-?\d++\s++\S++ [A-Z_]++/(\d{3}) (\d{1,19}) (\S++) (.+) "
    r"\S++ [A-Z_]++/\S*+ \S++"
)
_HAPROXY = re.compile(
    r"(?<=[\w.\]]):\d{1,5} \[([^\]]{1,40})\] (\S++) [^\s/]++/\S++ [-+\d/]++ (\d{3}|-1) \+?(\d{1,19}) "
    r"\S++ \S++ \S{4} "
    r'[+\d/]++ \d++/\d++ (?:\{([^}]*+)\} )?(?:\{[^}]*+\} )?"(.*)"'
)
_HOST = re.compile(r"(?=[^:]*[A-Za-z])(?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9-]{2,}(?::\d+)?|localhost(?::\d+)?")


def looks_like_host(text: str) -> bool:
    """Whether a text can be the name of a web site, with or without a port."""
    return len(text) < 260 and _HOST.fullmatch(text) is not None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def host_in_front(front: str) -> str:
    """The virtual host before client, identity and user of a line; empty if there is none.

    Raises
    ------
    ValueError
        If it cannot be told which of the fields is what.

    Examples
    --------
    >>> host_in_front("shop.test:443 192.0.2.1 - - "), host_in_front("192.0.2.1 - Ann Lee ")
    ('shop.test:443', '')
    """
    words = front.split()
    if len(words) < 2 or _is_address(words[0]):
        return ""
    if _is_address(words[1]) or (len(words) > 3 and words[2] == "-"):
        return words[0]
    if words[1] == "-" and not (len(words) == 4 and words[2:] == ["-", "-"]):
        return ""
    if len(words) == 4:
        return words[0]
    if len(words) == 3:
        return ""
    raise ValueError("expected client, identity and user before the time, and nothing but a host in front")


@lru_cache(4096)
def _second(text: str) -> float:
    """The time of a line; many lines have the same."""
    return iso_time(text) if text[4:5] == "-" else clf_time(text)


class Combined:
    """The common and the combined format of Apache and nginx, also with the virtual host in front."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}

    def begin(self) -> None:
        """Nothing to do: each line stands for itself."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line; what follows status and bytes is not looked at."""
        found = _COMBINED.match(line)
        if found is None:
            raise ValueError("expected a line of a combined or common access log")
        front, time, request, status, sent = found.groups()
        host = self._hosts.get(front)
        if host is None:
            if len(self._hosts) > 10_000:
                self._hosts.clear()
            host = self._hosts[front] = host_in_front(front)
        method, target = split_request(request)
        return Entry(_second(time), method, object_name(target, host), status, size_of(sent))


class HostLast(Combined):
    """The combined format with the host in the last field, as some configurations of nginx write it."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line."""
        entry = super().entry(line)
        host = line.rsplit(maxsplit=1)[-1].strip('"')
        if entry is None or not host or host == "-":
            raise ValueError("expected the host as the last field")
        return entry._replace(name=object_name(entry.name, host))


class S3:
    """Amazon S3 server access logs: the object is bucket, key and version."""

    def begin(self) -> None:
        """Nothing to do: each line stands for itself."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line; the size is that of the object, even where a part of it was sent."""
        found = _S3.match(line)
        if found is None:
            raise ValueError("expected a line of an Amazon S3 server access log")
        bucket, time, operation, key, _, status, sent, size, version = found.groups()
        parts = operation.split(".")
        method = parts[1] if parts[-1] == "OBJECT" and len(parts) == 3 else operation.replace(".", "")[:20]
        name = f"{bucket}/{key}" + (f"?versionId={version}" if version not in (None, "-") else "")
        return Entry(_second(time), method, name, status, size_of(size) or size_of(sent))


class LoadBalancer:
    """AWS Application Load Balancers and Classic Load Balancers: the object is the whole URL."""

    def begin(self) -> None:
        """Nothing to do: each line stands for itself."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line."""
        found = _LOAD_BALANCER.match(line)
        if found is None:
            raise ValueError("expected a line of an access log of an AWS load balancer")
        time, status, sent, request = found.groups()
        method, target = split_request(request)
        return Entry(_second(time), method, object_name(target), status, size_of(sent))


class Squid:
    """Squid's native format: the object is the whole URL."""

    def begin(self) -> None:
        """Nothing to do: each line stands for itself."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line."""
        found = _SQUID.match(line)
        if found is None:
            raise ValueError("expected a line of Squid's native access log")
        time, status, sent, method, url = found.groups()
        return Entry(check_seconds(float(time)), method, object_name(url), status, size_of(sent))


class HaProxy:
    """HAProxy's HTTP log: the object is host and target.

    The host is in the target (HTTP/2), or else the first captured field of the request if that looks like a
    host. Without a host, the frontend stands for it.
    """

    def begin(self) -> None:
        """Nothing to do: each line stands for itself."""

    def entry(self, line: str) -> Entry | None:
        """Parse a line."""
        found = _HAPROXY.search(line)
        if found is None:
            raise ValueError("expected a line of HAProxy's HTTP log")
        time, frontend, status, sent, captured, request = found.groups()
        method, target = split_request(request)
        first = (captured or "").partition("|")[0]
        secure = "https://" if frontend.endswith("~") else "http://"
        host = secure + first if looks_like_host(first) else frontend + " "
        return Entry(_second(time), method, object_name(target, host), status, size_of(sent))


def hidden_host(line: str) -> str | None:
    """A field of a combined line that looks like a host and would be ignored, if there is one.

    It stands behind the user agent, or where the identity of the client belongs.
    """
    found = _COMBINED.match(line)
    if found is None:
        return None
    front = found[1].split()
    if len(front) > 1 and _is_address(front[0]) and looks_like_host(front[1]):
        return front[1]
    rest = re.sub(r"^\s*" + _QUOTED + r"\s+" + _QUOTED, "", line[found.end() :])
    words = [word.strip('"[]') for word in rest.split()]
    return next((word for word in words if looks_like_host(word)), None)
