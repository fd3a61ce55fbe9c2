"""Everything Wetloop refuses, one class per refusal, each with the exit code that the command line returns for it."""


class WetloopError(Exception):
    """Root of all errors that carry a message for the user; say what, where, and what to do."""

    exit_code = 2


class ConfigError(WetloopError):
    """A configuration, a command-line value or a file given by the user cannot be used."""


class RigError(WetloopError):
    """A source or stimulator could not be opened, stopped answering or broke its contract."""

    exit_code = 3


class LatePulseError(RigError):
    """A pulse was asked for at a sample that has passed: it is counted, and never delivered."""


class TaskError(WetloopError):
    """A task could not be started, or died again and again."""

    exit_code = 3


class WorkerError(WetloopError):
    """A worker of an experiment died; what was finished is kept."""

    exit_code = 3


class GuardError(WetloopError):
    """A pulse or pattern breaks a stimulation limit and was refused before the run."""

    exit_code = 4


class RecordingError(WetloopError):
    """A recording could not be written or read."""

    exit_code = 5


class ServerError(WetloopError):
    """A server refused what it was asked, or did not answer; ``kind`` tells why, as the protocol does."""

    exit_code = 1

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
