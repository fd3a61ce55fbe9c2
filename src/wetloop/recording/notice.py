"""What observers of a running session read before its rings: the documents of its recording, and where that is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wetloop.recording.header import documents

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from wetloop.recording.header import Header

NOTICE = "notice"
"""Name of the array of bytes in the session's shared memory."""
FILE = "file"


def notice(header: Header, path: Path) -> bytes:
    """Return the notice of a session that is recorded to ``path``, as JSON."""
    return json.dumps({**documents(header), FILE: str(path.absolute())}).encode()


def read_notice(posted: npt.NDArray[np.uint8]) -> dict[str, str] | None:
    """Return the texts of a notice by name, ``FILE`` among them; None while it has not been posted."""
    if not posted[0]:
        return None
    texts: dict[str, str] = json.loads(posted.tobytes())
    return texts
