"""Changes of header fields that a route asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policies.settings.ingress import HeaderChanges

Line = tuple[bytes, bytes]
"""Name and value of a field line."""

_ALONE = frozenset({b"set-cookie"})
"""Fields whose values cannot be joined by commas. RFC 9110, 5.3"""


class FieldChanger:
    """`HeaderChanges` made ready for many messages."""

    def __init__(self, changes: HeaderChanges) -> None:
        self._set = [(name.encode(), value.encode()) for name, value in changes.set.items()]
        self._add = [(name.encode(), value.encode()) for name, value in changes.add.items()]
        self._drops = {name.lower().encode() for name in (*changes.set, *changes.remove)}

    def apply(self, lines: Sequence[Line]) -> list[Line]:
        """The lines after the changes; the order of the others stays."""
        changed = [line for line in lines if line[0].lower() not in self._drops]
        changed += self._set
        for name, value in self._add:
            _append(changed, name, value)
        return changed


def _append(lines: list[Line], name: bytes, value: bytes) -> None:
    """Append a value to the last line of this name, or add a line."""
    key = name.lower()
    places: Iterable[int] = () if key in _ALONE else range(len(lines) - 1, -1, -1)
    for place in places:
        if lines[place][0].lower() == key:
            written, before = lines[place]
            comma = b"; " if key == b"cookie" else b","  # RFC 6265, 4.2.1
            lines[place] = (written, before + comma + value if before else value)
            return
    lines.append((name, value))
