"""What a culture is owed: a ledger of what it was given, limits over its life, and people who say who it is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DoseLimits(_Section):
    """Over the whole life of a culture; a session is refused once one of them is reached."""

    max_pulses: int | None = Field(None, ge=0)
    """Most pulses that were delivered to it."""
    max_charge_nc: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Most charge through any one electrode, nC: the larger phase of each pulse, added up."""
    max_hours: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Most hours of sessions."""


class CareConfig(_Section):
    """Care for the culture beyond this session."""

    ledger: str | None = None
    """Folder of dose ledgers, one file for each culture, to which every session adds what it delivered."""
    limits: DoseLimits = DoseLimits()
    """Limits over the culture's life; they need a ledger."""
    waive_provenance: str | None = Field(None, min_length=3)
    """Why a rig that is not simulated runs without a full ``subject``, such as "saline, no cells"; it is recorded."""
