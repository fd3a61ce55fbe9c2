"""The texts that go to the page: facts once, then what is new, now and then the figures."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.kernels.records import DELIVERED
from wetloop.live.board import EDGES_US

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wetloop.core.types import Records
    from wetloop.live.board import Board
    from wetloop.live.facts import Facts
    from wetloop.live.feed import Batch, Health, Shot

STEPS_PER_S = 10_000
"""Times of spikes and pulses are told as whole steps of 0.1 ms before the batch's own."""
EPISODES_TOLD = 400
PATH = 4
"""Moments of the game in one batch: 40 a second."""
JPEG_QUALITY = 80


def text(message: dict[str, Any]) -> str:
    """Return a message as compact JSON."""
    return json.dumps(message, separators=(",", ":"))


def facts_message(facts: Facts) -> dict[str, Any]:
    """Tell what session it is."""
    return {"is": "facts", "edges_us": np.round(EDGES_US, 3).tolist(), **facts.page()}


def news(board: Board, batch: Batch) -> dict[str, Any]:
    """Tell what is new."""
    told = _news(board, [batch], board.score.episodes[-8:], batch.shot) | {"anew": batch.anew}
    return told | {"path": _path(board, batch.decisions)}


def past(board: Board) -> dict[str, Any]:
    """Tell the last seconds and the whole score, to one who has just come."""
    shot = next((batch.shot for batch in reversed(board.recent) if batch.shot is not None), None)
    return _news(board, board.recent, board.score.episodes[-EPISODES_TOLD:], shot) | {"anew": True}


def _news(board: Board, batches: Iterable[Batch], episodes: Iterable[Any], shot: Shot | None) -> dict[str, Any]:
    batches = list(batches)
    spikes, pulses, decisions = (
        np.concatenate([getattr(batch, name) for batch in batches]) for name in ("spikes", "pulses", "decisions")
    )
    message: dict[str, Any] = {
        "is": "news",
        "now_s": round(board.elapsed_s, 4),
        "spikes": _flat(_before(board, spikes["sample_index"]), spikes["channel_index"]),
        "pulses": _pulses(board, pulses[pulses["fate"] == DELIVERED]),
        "events": _events(board, decisions),
        "held": _held(board, decisions),
        "episodes": [[round(end_s, 2), round(value, 3)] for end_s, value in episodes],
        "running": round(board.score.running, 3),
        "counts": board.score.counts.tolist(),
    }
    if board.last is not None:
        message |= {
            "observation": np.round(board.last["observation"].astype(float), 4).tolist(),
            "action": np.round(board.last["action"], 3).tolist(),
            "playing": bool(board.last["playing"]),
        }
    return message if shot is None else message | {"picture": _picture(shot)}


def figures(board: Board, health: Health) -> dict[str, Any]:
    """Tell how the session is doing, in numbers."""
    score, times = board.score, board.times
    late = times.late if health.late_blocks is None else health.late_blocks
    return {
        "is": "figures",
        "elapsed_s": round(board.elapsed_s, 2),
        "spikes_hz": round(board.spikes_hz()),
        "pulses_hz": round(board.pulses_hz(), 1),
        "reward": round(score.reward, 3),
        "decisions": score.decisions,
        "late_decisions": score.late,
        "delivered": board.delivered(),
        "refused": board.refused(),
        "guard_refusals": board.guard_refusals(),
        "dropped_total": sum(health.dropped.values()),
        "seen_from_s": board.seen_from_s,
        "loop": times.counts.tolist(),
        "p50_us": times.quantile_us(0.5),
        "p99_us": times.quantile_us(0.99),
        "longest_us": times.longest_us,
        "alarms": _alarms(board),
        **health._asdict(),
        "late_blocks": late,
    }


def _alarms(board: Board) -> dict[str, Any]:
    """Return what stands of the alarms, with their times since the beginning of the session, s."""
    told = board.alarms.to_dict()
    recent = [alarm | {"at_s": round(board.seconds(alarm["sample_index"]), 2)} for alarm in told["recent"]]
    return told | {"recent": recent}


def _before(board: Board, samples: Any) -> Any:
    return np.rint((board.now_sample - samples) * (STEPS_PER_S / board.facts.sampling_frequency)).astype(np.int64)


def _flat(*columns: Any) -> list[int]:
    """Return rows one after the other."""
    flat: list[int] = np.column_stack(columns).ravel().tolist()
    return flat


def _pulses(board: Board, pulses: Records) -> list[int]:
    """Return (steps before now, channel, kind) for each electrode of each pulse."""
    electrodes = [pattern.channels for pattern in board.facts.patterns.values()]
    before = _before(board, pulses["sample_index"])
    told: list[int] = []
    for steps, pattern, kind in zip(before.tolist(), pulses["pattern"].tolist(), pulses["kind"].tolist(), strict=True):
        for channel in electrodes[pattern]:
            told += (steps, channel, kind)
    return told


def _path(board: Board, decisions: Records) -> list[list[Any]]:
    """Return (time, observation) of a few moments up to the last, which pages interpolate."""
    rows = decisions[::-1][:: max(1, len(decisions) // PATH)][::-1][-PATH:]
    seen = np.round(rows["observation"].astype(float), 4).tolist()
    when = ((rows["stop_sample"] - board.first_sample) / board.facts.sampling_frequency).round(4).tolist()
    return [[s, observation] for s, observation in zip(when, seen, strict=True)]


def _events(board: Board, decisions: Records) -> list[list[float]]:
    """Return (time, number of the event)."""
    when, which = np.nonzero(board.score.happened(decisions))
    return [
        [round(board.seconds(int(decisions["stop_sample"][k])), 3), int(event)]
        for k, event in zip(when, which, strict=True)
    ]


def _held(board: Board, decisions: Records) -> list[list[float]]:
    """Return the spans in which the task was held, s."""
    spans: list[list[float]] = []
    for row in decisions[decisions["playing"] == 0]:
        start_s, stop_s = (round(board.seconds(int(row[name])), 3) for name in ("start_sample", "stop_sample"))
        if spans and start_s <= spans[-1][1]:
            spans[-1][1] = stop_s
        else:
            spans.append([start_s, stop_s])
    return spans


def _picture(shot: Shot) -> dict[str, Any]:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(shot.picture)).save(stream, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(stream.getvalue()).decode()
    return {"url": f"data:image/jpeg;base64,{data}", "proportion": round(shot.proportion, 4)}
