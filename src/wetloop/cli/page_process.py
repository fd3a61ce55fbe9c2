"""The page of a served rig, in a process of its own, which ends with the server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wetloop.core.errors import ConfigError

NOTE, ADDRESS = "session.json", "view.url"
"""What the server's session tells of itself, and where the page's address is left for its user, token included."""
PATIENCE_S = 5.0


@contextmanager
def page_of(folder: Path, host: str, port: int) -> Iterator[str]:
    """Serve the page of the rig in this folder; give its address, token included.

    Raises
    ------
    ConfigError
        Where the page cannot be served there.
    """
    command = [sys.executable, "-m", "wetloop", "view", "--no-browser", "--host", host, "--port", str(port)]
    page = subprocess.Popen(  # noqa: S603  (this interpreter, this package)
        [*command, "--note", str(folder / NOTE)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield _leave(folder / ADDRESS, _address(page))
    finally:
        (folder / ADDRESS).unlink(missing_ok=True)
        _end(page)


def _address(page: subprocess.Popen[str]) -> str:
    told = page.stdout.readline().strip() if page.stdout is not None else ""
    if not told:
        raise ConfigError("the page is not served; the line above says why")
    return told


def _leave(path: Path, address: str) -> str:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{address}\n")
    return address


def _end(page: subprocess.Popen[str]) -> None:
    page.terminate()
    try:
        page.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        page.kill()
        page.wait()
    if page.stdout is not None:
        page.stdout.close()
