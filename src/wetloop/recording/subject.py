"""Who was in the dish, as NWB wants it told: from what the configuration says of the culture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynwb.file import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIDENTIFIED = "http://purl.obolibrary.org/obo/NCBITaxon_32644"
"""The species that the NCBI taxonomy has for what is not known, or not alive."""
DESCRIBED = {
    "cell_line": "Cell line",
    "passage": "Passage",
    "coating": "Coating",
    "medium": "Medium",
    "chip_id": "Electrode array",
    "notes": "Notes",
}


def subject_of(told: Mapping[str, str | int]) -> Subject:
    """Return the subject; ``told`` has the names of the configuration's section ``subject``, as many as are known."""
    more = [f"{title}: {told[name]}." for name, title in DESCRIBED.items() if name in told]
    return Subject(
        subject_id=str(told.get("culture_id", "culture")).replace("/", "-"),
        species=str(told.get("species", UNIDENTIFIED)),
        age=f"P{told['days_in_vitro']}D" if "days_in_vitro" in told else "P0D/",
        sex="U",
        description=" ".join(["Culture in vitro on a microelectrode array, or its simulation.", *more]),
    )


def lab_of(told: Mapping[str, str | int]) -> dict[str, Any]:
    """Return who ran the session, where, and under which approval, as keywords of ``NWBFile``."""
    named = {"operator": "experimenter", "institution": "institution", "approval": "protocol"}
    return {keyword: str(told[name]) for name, keyword in named.items() if name in told}
