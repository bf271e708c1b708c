"""Peak memory of one training step: Holdfast's layers compared with torch.nn's.

Each step runs in its own process. Prints one JSON object and, on stderr, a table. The value is the
growth of the process's peak after the modules are loaded and the input is made: outputs, everything
kept for the backward pass, gradients and buffers.

    python bench/memory.py
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

from holdfast.bench.environment import heading

CASES = {
    "large": {"cell": "LSTM", "batch": 64, "inputs": 256, "hidden": 512, "steps": 64},
    "large gru": {"cell": "GRU", "batch": 64, "inputs": 256, "hidden": 512, "steps": 64},
    "long": {"cell": "LSTM", "batch": 16, "inputs": 32, "hidden": 128, "steps": 2000},
    "long gru": {"cell": "GRU", "batch": 16, "inputs": 32, "hidden": 128, "steps": 2000},
    "very long": {"cell": "LSTM", "batch": 1, "inputs": 8, "hidden": 128, "steps": 100_000},
    "very long gru": {"cell": "GRU", "batch": 1, "inputs": 8, "hidden": 128, "steps": 100_000},
}
KINDS = ("torch.nn", "holdfast", "holdfast recompute")


def peak() -> float:
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def step(kind: str, case: dict[str, object]) -> float:
    """Return the MiB that a training step adds to this process, with a loss on the last output."""
    import torch

    import holdfast

    module, options = (torch.nn, {}) if kind == "torch.nn" else (holdfast, {"recompute": "recompute" in kind})
    batch, inputs, hidden, steps = (int(str(case[n])) for n in ("batch", "inputs", "hidden", "steps"))
    layer = getattr(module, str(case["cell"]))(inputs, hidden, **options)
    x = torch.randn(steps, batch, inputs)
    layer(x[:3])[0].sum().backward()
    before = peak()
    layer(x)[0][-1].sum().backward()
    return peak() - before


def main() -> None:
    """Measure every case and kind."""
    if len(sys.argv) == 3:
        print(step(sys.argv[1], json.loads(sys.argv[2])))
        return
    rows = []
    for name, case in CASES.items():
        for kind in KINDS:
            command = [sys.executable, __file__, kind, json.dumps(case)]
            mib = float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
            rows.append({"case": name, **case, "kind": kind, "mib": round(mib, 1)})
            print(f"{name:15}{kind:20}{mib:10.1f} MiB", file=sys.stderr)
    print(json.dumps({**heading(["torch"]), "rows": rows}))


if __name__ == "__main__":
    main()
