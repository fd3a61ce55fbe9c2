"""The simulated culture beside the same network in Brian2 (C++ standalone), one core each, in one run.

    pip install brian2 "numpy<2.4"
    python scripts/bench_brian2.py [--cells 10000] [--seconds 60]

Both get the same cells, wiring, delays, weights and drives, at 1 ms per step. The drift of excitability that all cells
share is off in both: its luck would hide a difference. Brian2 simulates the cells alone; the culture reads electrodes
besides, and is timed with the three-factor rule as well. Goal: 5 times as fast, rates within 3 %.
"""

import argparse
import sys
import tempfile
import time

import numpy as np

from wetloop.culture.config import CultureConfig, NetworkConfig, ProbeConfig
from wetloop.culture.plasticity_config import OffConfig, ThreeFactorConfig

SETTLE_S = 10
LIKE = 5.0
"""Times as fast as Brian2."""
WITHIN = 0.03
COUNTS = ("n_spikes", "n_excitatory_spikes")

EQUATIONS = """
    dv/dt = (ampa + slow - gaba - adaptation + bias - v) / membrane : 1 (unless refractory)
    dampa/dt = -ampa / tau_ampa : 1
    dslow/dt = -slow / tau_slow : 1
    dgaba/dt = -gaba / tau_gaba : 1
    dadaptation/dt = -adaptation / tau_adaptation : 1
    dresource/dt = (1 - resource) / tau_resource : 1
    sent : 1
    step : 1 (constant)
    used : 1 (constant)
    bias : 1 (constant)
    threshold : 1 (constant)
    membrane : second (constant)
    rest : second (constant)
"""


def culture_of(cells, rule):
    side = round(8 * (cells / 1000) ** 0.5) + (cells > 1000)
    return CultureConfig(
        cells=cells, probe=ProbeConfig(columns=side, rows=side), network=NetworkConfig(drift_mv=0.0), plasticity=rule,
        packet_ms=100, settle_s=SETTLE_S,
    ).build(1)  # fmt: skip


def ours(cells, rule, seconds):
    """Return CPU time, s, and the rates of excitatory and inhibitory cells, Hz."""
    culture = culture_of(cells, rule)
    culture.open()
    culture.read()
    core = culture.state.network.core
    before, begun = [int(core[name][0]) for name in COUNTS], time.process_time()
    for _ in range(10 * seconds):
        culture.read()
    cpu_s = time.process_time() - begun
    total, excitatory = (int(core[name][0]) - n for name, n in zip(COUNTS, before, strict=True))
    return cpu_s, *rates(excitatory, total - excitatory, cells, seconds)


def rates(excitatory, inhibitory, cells, seconds):
    n_e = round(0.8 * cells)
    return excitatory / n_e / seconds, inhibitory / (cells - n_e) / seconds


def theirs(cells, seconds):
    """Return the time of Brian2's compiled program, s, and the same rates."""
    import brian2 as b

    culture, c = culture_of(cells, OffConfig()), NetworkConfig()
    network, n_e = culture.state.network, int(culture.state.network.core["n_excitatory"][0])
    b.set_device("cpp_standalone", build_on_run=False, directory=None)
    b.defaultclock.dt = b.ms
    b.prefs.codegen.cpp.extra_compile_args_gcc = ["-O3", "-march=native", "-ffast-math", "-w"]
    n = network.bias_mv.size
    names = {
        "tau_ampa": c.ampa_tau_ms, "tau_slow": c.slow_tau_ms, "tau_gaba": c.gaba_tau_ms,
        "tau_adaptation": c.adaptation_tau_ms, "tau_resource": c.depression_tau_ms,
    }  # fmt: skip
    group = b.NeuronGroup(
        n, EQUATIONS, threshold="v > threshold", refractory="rest", method="exponential_euler",
        reset="v = 0; sent = resource; resource -= used * resource; adaptation += step",
        namespace={name: tau * b.ms for name, tau in names.items()},
    )  # fmt: skip
    excites = np.arange(n) < n_e
    group.v, group.resource = network.state[0].astype(float), 1
    group.bias, group.threshold = network.bias_mv.astype(float), np.minimum(network.threshold_mv, 1e9).astype(float)
    group.step = np.where(excites, c.adaptation_mv, 0.0)
    group.used = np.where(excites, c.depression_share, 0.0)
    group.membrane = np.where(excites, c.membrane_tau_e_ms, c.membrane_tau_i_ms) * b.ms
    group.rest = (1 + np.where(excites, c.refractory_e_ms, c.refractory_i_ms)) * b.ms
    parts = [group]
    for on_pre, source in (
        (f"ampa_post += w * sent_pre; slow_post += {c.slow_share} * w * sent_pre", excites),
        ("gaba_post += w", ~excites),
    ):
        pre, out = np.nonzero((network.weight_mv > 0) & source[:, None])
        landing = network.landing[pre, out]
        synapses = b.Synapses(group, group, "w : 1 (constant)", on_pre=on_pre)
        synapses.connect(i=pre, j=landing % n)
        synapses.w, synapses.delay = network.weight_mv[pre, out].astype(float), (landing // n - 1) * b.ms
        parts.append(synapses)
    parts.append(b.PoissonInput(group, "ampa", 1, c.mini_rate_hz * b.Hz, c.mini_mv))
    whole = b.Network(*parts)
    whole.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]  # a spike is sent as it is reset
    whole.run(SETTLE_S * b.second)
    settled = b.SpikeMonitor(group, record=False)
    whole.add(settled)
    whole.run(seconds * b.second)
    with tempfile.TemporaryDirectory() as folder:
        b.device.build(directory=folder, compile=True, run=True, debug=False)
        counts = np.array(settled.count)
        took_s = b.device._last_run_time  # noqa: SLF001  (of the second run; it is told nowhere else)
    return took_s, *rates(int(counts[excites].sum()), int(counts[~excites].sum()), cells, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    ours(1000, ThreeFactorConfig(), 1)
    rows = {
        "brian2, C++ standalone": theirs(options.cells, options.seconds),
        "wetloop, plasticity off": ours(options.cells, OffConfig(), options.seconds),
        "wetloop, three-factor": ours(options.cells, ThreeFactorConfig(), options.seconds),
    }
    reference = rows["brian2, C++ standalone"]
    for name, (took_s, excitatory_hz, inhibitory_hz) in rows.items():
        print(
            f"{name:24s} {options.seconds / took_s:7.1f} x real time, {reference[0] / took_s:5.1f} x Brian2, "
            f"excitatory {excitatory_hz:.3f} Hz, inhibitory {inhibitory_hz:.3f} Hz"
        )
    off = rows["wetloop, plasticity off"]
    near = all(abs(mine / other - 1) < WITHIN for mine, other in zip(off[1:], reference[1:], strict=True))
    fast = reference[0] / rows["wetloop, three-factor"][0] >= LIKE
    print(f"rates within {100 * WITHIN:g} %: {'ok' if near else 'NO'}")
    print(f"{LIKE:g} x Brian2 with plasticity: {'ok' if fast else 'NO'}")
    sys.exit(not (near and fast))


if __name__ == "__main__":
    main()
