"""Drives a rig's server: starts a session, follows it for a while, and stops it.

wetloop serve configs/pong.yaml --arm &
python examples/drive_server.py --seconds 20 --set seed=3
"""

import argparse
from collections import Counter

from wetloop import Client

parser = argparse.ArgumentParser()
parser.add_argument("--server", default="tcp://127.0.0.1:5601", help="control address")
parser.add_argument("--keys", help="folder of keys, where the server has some")
parser.add_argument("--config", help="configuration on the server's machine; by default the rig's own")
parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value; repeatable")
parser.add_argument("--seconds", type=float, default=10.0, help="rig time after which the session is stopped")
options = parser.parse_args()


def state(client, *wanted):
    """Wait until the rig is in one of these states or phases."""
    for _, content in client.listen("state"):
        if {content["state"], content["phase"]} & set(wanted):
            return content["state"]
    return ""


def follow(client, seconds, sampling_frequency):
    """Print once a second how the session is doing, until so much rig time has passed; return what happened."""
    counts, spoken_s = Counter(), 0.0
    for topic, content in client.listen("spikes", "decisions", "state"):
        if topic == "state":
            if content["phase"] == "free":
                break
            continue
        counts[f"lost {topic}"] += content["lost"]
        counts[topic] += len(next(column for column in content.values() if isinstance(column, list)))
        if topic == "decisions":
            at_s = content["stop_sample"][-1] / sampling_frequency
            if at_s >= spoken_s + 1:
                spoken_s = at_s
                print(f"{at_s:6.1f} s: {counts['decisions']} decisions, {counts['spikes']} spikes", flush=True)
            if at_s >= seconds:
                break
    return counts


with Client(options.server, keys=options.keys, timeout_s=30) as client:
    client.start(options.config, options.set, why="examples/drive_server.py")
    if state(client, "running", "disarmed", "tripped") != "running":
        raise SystemExit(f"the session did not start: {client.status()['last']}")
    follow(client, options.seconds, client.info()["sampling_frequency"])
    if client.status()["phase"] != "free":
        client.stop("followed long enough")
    state(client, "free")
    print("recording:", client.status()["last"].get("file"))
