"""What tests of stimulators on a serial line do over and over."""

from wetloop.core.errors import LatePulseError


def fired(stimulator, pattern):
    """Trigger; return whether the pulse was taken."""
    try:
        stimulator.trigger(pattern, 0)
    except LatePulseError:
        return False
    return True
