"""The scenarios that are part of the package."""

from __future__ import annotations

from pathlib import Path

_SHIPPED = Path(__file__).parent


def shipped_scenarios() -> dict[str, Path]:
    """Paths of the shipped scenarios, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}
