"""The settings of an ingress: what a route changes in requests and responses, and whom it lets in."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from policies.settings.base import Settings
from policies.tokens import check_token
from policies.units import Duration

_OF_THE_PROXY = frozenset(
    {
        "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip


def _check_field_name(name: str) -> str:
    check_token(name)
    if name.lower() == "host":
        raise ValueError("the field 'Host' is changed by 'rewrite = { host = … }'")
    if name.lower() in _OF_THE_PROXY:
        raise ValueError(f"the proxy itself writes the field {name!r}")
    return name


def _check_field_value(value: str) -> str:
    if not value.isprintable() or not value.isascii() or value != value.strip():
        raise ValueError(f"expected printable ASCII without blanks at the ends, not {value!r}")
    return value


def _check_path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or set("?# ") & set(path):
        raise ValueError(f"expected a path such as '/api', without query or blanks, not {path!r}")
    return path


def _check_prefix(path: str) -> str:
    return _check_path(path) if path else path


def _check_decoded(path: str) -> str:
    if path and not path.startswith("/"):
        raise ValueError(f"expected a path such as '/api', not {path!r}")
    return path


def _check_some_path(path: str) -> str:
    if not path:
        raise ValueError("expected a path such as '/api'")
    return _check_decoded(path)


def _check_origin(origin: str) -> str:
    if origin not in ("*", "null") and _ORIGIN.fullmatch(origin) is None:
        raise ValueError(f"expected an origin such as 'https://shop.test' or '*', not {origin!r}")
    return origin


def _check_host(host: str) -> str:
    name, colon, port = host.partition(":")
    labels = name.split(".")
    if colon and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"expected 'host' or 'host:port', not {host!r}")
    if not all(label and label.isascii() and label.replace("-", "").isalnum() for label in labels):
        raise ValueError(f"expected a host name such as 'api.internal', not {host!r}")
    return host


def _check_hostname(host: str) -> str:
    if ":" in host:
        raise ValueError(f"expected a host name without a port, not {host!r}")
    return _check_host(host)


_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9*._~-]+)(?::[0-9]{1,5})?")
"""A serialized origin, in which the host may have wildcards. RFC 6454, 6.2"""

FieldName = Annotated[str, AfterValidator(_check_field_name)]
FieldValue = Annotated[str, AfterValidator(_check_field_value)]
Path = Annotated[str, AfterValidator(_check_path)]
Prefix = Annotated[str, AfterValidator(_check_prefix)]
DecodedPath = Annotated[str, AfterValidator(_check_some_path)]
"""A path that requests are compared with, after theirs was decoded: it may have blanks and any letters."""
_Stripped = Annotated[str, AfterValidator(_check_decoded)]
_Origin = Annotated[str, AfterValidator(_check_origin)]
_Token = Annotated[str, AfterValidator(check_token)]
"""The name of a method or a field; ``*`` is one."""


class Rewrite(Settings):
    """What the upstream gets in place of the request's own path and host.

    Parameters
    ----------
    strip : str, optional
        A prefix of whole path elements to remove, decoded: ``/api`` turns ``/api/x`` into ``/x``. A path
        that does not begin with it stays.
    prefix : str, optional
        A prefix to put in front, after `strip`.
    path : str, optional
        The whole path, in place of the request's.
    host : str, optional
        The value of Host.
    """

    strip: _Stripped | None = None
    prefix: Prefix | None = None
    path: Path | None = None
    host: Annotated[str, AfterValidator(_check_host)] | None = None

    @model_validator(mode="after")
    def _one_path(self) -> Rewrite:
        if self.path is not None and (self.strip is not None or self.prefix is not None):
            raise ValueError("expected either 'path', or 'strip' and 'prefix'")
        if self == Rewrite.model_construct():
            raise ValueError("expected at least one of strip, prefix, path and host")
        return self


class Redirect(Settings):
    """Send the client elsewhere: the request's own URL with some parts replaced. RFC 9110, 15.4

    Parameters
    ----------
    scheme : str, optional
        ``http`` or ``https``.
    host : str, optional
        Without port.
    port : int, optional
        Without it, the default port of `scheme` if that is given, else the port that this proxy listens on.
    strip, prefix, path : str, optional
        As in `Rewrite`. The query stays.
    status : int
        301, 302, 303, 307 or 308.
    """

    scheme: Literal["http", "https"] | None = None
    host: Annotated[str, AfterValidator(_check_hostname)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    strip: _Stripped | None = None
    prefix: Prefix | None = None
    path: Path | None = None
    status: Literal[301, 302, 303, 307, 308] = 302

    @model_validator(mode="after")
    def _somewhere_else(self) -> Redirect:
        if self.path is not None and (self.strip is not None or self.prefix is not None):
            raise ValueError("expected either 'path', or 'strip' and 'prefix'")
        if self.model_dump(exclude={"status"}, exclude_none=True) == {}:
            raise ValueError(
                "a redirect to the same URL would never end: expected scheme, host, port or path"
            )
        return self


class HeaderChanges(Settings):
    """Changes of field lines, in this order.

    Parameters
    ----------
    set : dict of str to str
        Fields that get this value, and lose any other.
    add : dict of str to str
        Values that are appended to those of the field, after a comma.
    remove : list of str
        Fields to leave out.
    """

    set: dict[FieldName, FieldValue] = Field(default_factory=dict)
    add: dict[FieldName, FieldValue] = Field(default_factory=dict)
    remove: tuple[FieldName, ...] = ()

    @model_validator(mode="after")
    def _one_change_a_field(self) -> HeaderChanges:
        seen: set[str] = set()
        for name in (*self.set, *self.add, *self.remove):
            if name.lower() in seen:
                raise ValueError(f"the field {name!r} is changed twice")
            seen.add(name.lower())
        return self


class RequestChanges(HeaderChanges):
    """Changes of a request's field lines; Via, by which loops are found, must stay. RFC 9110, 7.6.3"""

    @model_validator(mode="after")
    def _via_stays(self) -> RequestChanges:
        if any(name.lower() == "via" for name in (*self.set, *self.add, *self.remove)):
            raise ValueError("the proxy itself writes the field 'Via' of requests, to find loops")
        return self


class Cors(Settings):
    """Which pages of other origins may use the route; the proxy answers preflights itself. WHATWG Fetch, 3.2

    Parameters
    ----------
    origins : list of str
        Such as ``https://shop.test`` or ``https://*.shop.test``; ``*`` for all.
    methods : list of str
        Methods beside GET, HEAD and POST, which are always allowed; ``*`` for all.
    headers : list of str
        Request fields that pages may send; ``*`` for all.
    expose : list of str
        Response fields that pages may read, beside the safe ones.
    credentials : bool
        Whether pages may send cookies and authentication.
    max_age : duration
        How long a browser may remember the answer to a preflight.
    """

    origins: tuple[_Origin, ...] = ()
    methods: tuple[_Token, ...] = ()
    headers: tuple[_Token, ...] = ()
    expose: tuple[_Token, ...] = ()
    credentials: bool = False
    max_age: Duration = 5.0
