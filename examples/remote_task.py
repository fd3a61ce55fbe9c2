"""CartPole as a task on another host: serves it until Ctrl-C, to one session after the other.

python examples/remote_task.py &
wetloop run examples/remote_task.yaml
"""

import argparse

import gymnasium

from wetloop.remote import TaskFacts, serve_task


class Pole(gymnasium.Wrapper):
    """Names what is seen and what happens."""

    observation_names = ("cart position", "cart velocity", "pole angle", "pole velocity")

    def step(self, action):
        """Play one decision of the session."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, info | {"events": ("fall",) if terminated else ()}


parser = argparse.ArgumentParser()
parser.add_argument("--address", default="tcp://127.0.0.1:5570")
parser.add_argument("--keys", help="folder of keys; needed beyond this machine")
options = parser.parse_args()


def tell(address):
    """Say that sessions may connect."""
    print("serving at", address, flush=True)


pole = Pole(gymnasium.make("CartPole-v1", render_mode="rgb_array"))
facts = TaskFacts(events=("fall",), picture=(50, 75))
serve_task(pole, options.address, facts, keys=options.keys, on_ready=tell)
