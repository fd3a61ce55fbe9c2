"""What must be known before a culture is stimulated, and what is written down about its dose."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from wetloop.core.errors import ConfigError, GuardError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wetloop.config import SessionConfig
    from wetloop.core.types import RigInfo
    from wetloop.recording.dose import Dose

REQUIRED = (
    "culture_id", "species", "cell_line", "passage", "days_in_vitro", "coating", "medium", "approval", "operator",
)  # fmt: skip
"""What must be told of a living culture."""


def admit(config: SessionConfig, info: RigInfo) -> None:
    """Refuse a session on a living culture that nobody described, or that has had its dose.

    A rig counts as living if it keeps its own time and answers stimulation; simulations wait for nobody.

    Raises
    ------
    ConfigError
        Where who is in the dish is not told, or a ledger is to be kept of a culture without a name.
    GuardError
        Where a limit over the culture's life is reached.
    """
    missing = [name for name in REQUIRED if getattr(config.subject, name) is None]
    if info.real_time and info.reacts and missing and config.care.waive_provenance is None:
        raise ConfigError(
            f"{info.name} is no simulation, and subject does not tell {', '.join(missing)}: set them, or, where there "
            "is no living culture, say so in care.waive_provenance, such as 'saline, no cells'"
        )
    limits = config.care.limits
    if config.care.ledger is None:
        if limits.model_dump(exclude_none=True):
            raise ConfigError("care.limits hold over a culture's life: set care.ledger to the folder of its ledger")
        return
    _refuse_overdose(config)


def _refuse_overdose(config: SessionConfig) -> None:
    limits, dose = config.care.limits, _dose(config)
    reached = {
        "max_pulses": (dose.pulses, limits.max_pulses, "pulses"),
        "max_charge_nc": (dose.most_charge_nc, limits.max_charge_nc, "nC through one electrode"),
        "max_hours": (dose.hours, limits.max_hours, "hours"),
    }
    over = [
        f"{given:.6g} {unit} of at most {most:g} (care.limits.{name})"
        for name, (given, most, unit) in reached.items()
        if most is not None and given >= most
    ]
    if over:
        raise GuardError(f"culture {dose.culture_id} has had its dose over its life: {'; '.join(over)}")
    if dose.unaccounted and limits.model_dump(exclude_none=True):
        raise GuardError(
            f"culture {dose.culture_id} has sessions whose dose is unknown, as they were killed: "
            f"{', '.join(dose.unaccounted)}; recover them, then wetloop dose {dose.culture_id} --add FILE"
        )


def _dose(config: SessionConfig) -> Dose:
    from wetloop.recording.dose import Ledger

    return Ledger(*_named(config)).dose()


def _named(config: SessionConfig) -> tuple[Path, str]:
    culture_id = config.subject.culture_id
    if config.care.ledger is None or culture_id is None:
        raise ConfigError("care.ledger keeps account of a culture: name it in subject.culture_id")
    return Path(config.care.ledger).expanduser(), culture_id


def accounted(config: SessionConfig, file: Path) -> AbstractContextManager[None]:
    """Write a session into the culture's ledger, where one is kept."""
    if config.care.ledger is None:
        return nullcontext()
    from wetloop.recording.dose import Ledger

    return Ledger(*_named(config)).session(file)
