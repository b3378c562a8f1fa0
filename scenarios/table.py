"""The base of a scenario's tables: unknown keys are errors, and nothing changes after reading."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """One table of a scenario's file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
