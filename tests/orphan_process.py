"""A session that is killed before its part has looked at it for the first time; the part says whether it knows."""

import multiprocessing
import os
import select
import signal
import sys
from contextlib import suppress

from wetloop.engine.crew import orphaned


def tell():
    """Wait until the session is gone, and only then ask."""
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(multiprocessing.parent_process().pid)], [], [])
    sys.stdout.write(str(orphaned()))


if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=tell).start()
    os.kill(os.getpid(), signal.SIGKILL)
