"""Cross-origin resource sharing: which pages may use a route. WHATWG Fetch, 3.2"""

from __future__ import annotations

import re
from collections.abc import Callable

from policies.settings.ingress import Cors

Field = Callable[[str], str | None]
FIELDS = frozenset(
    {
        b"access-control-allow-credentials", b"access-control-allow-headers", b"access-control-allow-methods",
        b"access-control-allow-origin", b"access-control-expose-headers", b"access-control-max-age",
    }
)  # fmt: skip
"""Response fields in lower case that the route answers for, whatever the upstream sends."""
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


class CorsRules:
    """`Cors` made ready for many requests.

    `field` below gives the value of a request's field by its name in lower case.
    """

    def __init__(self, cors: Cors) -> None:
        self._cors = cors
        self._all = "*" in cors.origins
        self._origins = [_origin_pattern(origin) for origin in cors.origins if origin != "*"]

    def is_preflight(self, method: str, field: Field) -> bool:
        """Whether a browser asks what it may send. WHATWG Fetch, 3.2.2"""
        return (
            method == "OPTIONS"
            and field("origin") is not None
            and field("access-control-request-method") is not None
        )

    def preflight(self, field: Field) -> list[tuple[str, str]]:
        """The fields of the answer to a preflight; none but Vary for an origin that is not allowed."""
        cors, lines = self._cors, self.response(field, exposes=False)
        if not self._allows(field("origin")):
            return lines
        methods = self._listed(cors.methods, field("access-control-request-method"))
        headers = self._listed(cors.headers, field("access-control-request-headers"))
        if methods:
            lines.append(("Access-Control-Allow-Methods", methods))
        if headers:
            lines.append(("Access-Control-Allow-Headers", headers))
        lines.append(("Access-Control-Max-Age", str(int(cors.max_age))))
        return lines

    def response(self, field: Field, *, exposes: bool = True) -> list[tuple[str, str]]:
        """The fields to add to a response."""
        origin, cors = field("origin"), self._cors
        plain = self._all and not cors.credentials
        lines = [] if plain else [("Vary", "Origin")]  # the answer depends on who asks
        if origin is None or not self._allows(origin):
            return lines
        lines.append(("Access-Control-Allow-Origin", "*" if plain else origin))
        if cors.credentials:
            lines.append(("Access-Control-Allow-Credentials", "true"))
        exposed = [name for name in cors.expose if not (cors.credentials and name == "*")]
        if exposes and exposed:  # with credentials, "*" would be taken literally
            lines.append(("Access-Control-Expose-Headers", ", ".join(exposed)))
        return lines

    def _allows(self, origin: str | None) -> bool:
        if origin is None:
            return False
        text = _with_port(origin.lower())
        return self._all or any(pattern.fullmatch(text) for pattern in self._origins)

    def _listed(self, allowed: tuple[str, ...], asked: str | None) -> str | None:
        """The value of a list field; with credentials, ``*`` would be taken literally, so what was asked."""
        if "*" in allowed:
            return asked if self._cors.credentials else "*"
        return ", ".join(allowed) or None


def _with_port(origin: str) -> str:
    scheme, _, rest = origin.partition("://")
    has_port = re.search(r":\d+$", rest) is not None
    return origin if has_port else origin + _DEFAULT_PORT.get(scheme, "")


def _origin_pattern(origin: str) -> re.Pattern[str]:
    text = re.escape(_with_port(origin.lower())).replace(r"\*", "[^/]*")
    return re.compile(text)
