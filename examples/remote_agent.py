"""An agent on another host: reads the culture's spike counts and asks for pulses that the session has prepared.

python examples/remote_agent.py &
wetloop run examples/remote_agent.yaml

It keeps the left and the right half of the dish equally active, by stimulating whichever has fallen silent.
"""

import argparse

from wetloop.remote import serve_agent

SHARE = 0.02  # of the newest decision in the running rates: half a second at 10 ms


class Balancer:
    """Follows both halves' activity; asks for up to 20 Hz where there is less of it."""

    def __init__(self):
        self.left = self.right = 0.0

    def __call__(self, counts):
        """Return the rate of each pulse from the counts of the last decision, shape (channels,)."""
        half = len(counts) // 2
        self.left += SHARE * (counts[:half].sum() - self.left)
        self.right += SHARE * (counts[half:].sum() - self.right)
        lack = (self.right - self.left) / (self.right + self.left + 0.1)
        return {"left": min(20.0, max(0.0, 100 * lack)), "right": min(20.0, max(0.0, -100 * lack))}


parser = argparse.ArgumentParser()
parser.add_argument("--address", default="tcp://127.0.0.1:5570")
parser.add_argument("--keys", help="folder of keys; needed beyond this machine")
parser.add_argument("--channels", type=int, default=64)
options = parser.parse_args()


def tell(address):
    """Say that sessions may connect."""
    print("serving at", address, flush=True)


serve_agent(Balancer(), options.channels, ["left", "right"], options.address, keys=options.keys, on_ready=tell)
