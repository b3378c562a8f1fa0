"""The scenarios that come with proxytwin."""

from __future__ import annotations

from pathlib import Path

_SHIPPED = Path(__file__).parent


def shipped_scenarios() -> dict[str, Path]:
    """The scenarios that come with proxytwin, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}
