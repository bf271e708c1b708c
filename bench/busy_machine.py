"""A training step of small layers with all threads, on an idle and on a busy machine.

Busy means next to one other program. That program is a Python loop in a session of its own, like a
program in another terminal. Each setting has its own process, since libgomp reads its environment
once. The processes take turns, layer after layer, so that interference from elsewhere hits all of
them. The table shows milliseconds per step: the fastest block of steps and, in brackets, the median
block. "holdfast" is the setting that ``import holdfast`` makes, "libgomp" leaves libgomp's own.
Run it on a machine where nothing else runs.

    python bench/busy_machine.py [--rounds 7] [--spin 1000 --spin 10000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter

BATCH, TIME, INPUT, HIDDEN = 32, 20, 32, 64
LAYERS = ("hf.GRU", "hf.LSTM", "torch.nn.GRU", "torch.nn.LSTM", "torch.nn.Linear")
WARMUP_SECONDS, BLOCK_SECONDS, LEAST_STEPS = 0.5, 0.25, 3
"""The warm-up lets the layers notice that the machine has become idle or busy."""

Times = dict[tuple[str, str, bool], list[float]]
"""(setting, layer, busy) -> milliseconds per step of each block."""


def serve(setting: str) -> None:
    """Answer each layer's name on stdin with the milliseconds per step of one block."""
    if setting == "libgomp":
        import torch

        import holdfast
    else:
        import holdfast  # noqa: I001 - the order is what is measured
        import torch

    makers = {"hf.GRU": holdfast.GRU, "hf.LSTM": holdfast.LSTM}
    makers |= {f"torch.nn.{name}": getattr(torch.nn, name) for name in ("GRU", "LSTM", "Linear")}
    layers = {name: maker(INPUT, HIDDEN) for name, maker in makers.items()}
    x = torch.randn(TIME, BATCH, INPUT)

    def step(name: str) -> None:
        layer = layers[name]
        layer.zero_grad()
        found = layer(x)
        (found[0] if isinstance(found, tuple) else found).sum().backward()

    def block(name: str, seconds: float) -> float:
        steps, start = 0, perf_counter()
        while steps < LEAST_STEPS or perf_counter() - start < seconds:
            step(name)
            steps += 1
        return 1e3 * (perf_counter() - start) / steps

    for name in layers:
        block(name, 0.0)
    print("ready", flush=True)
    for line in sys.stdin:
        block(line.strip(), WARMUP_SECONDS)
        print(block(line.strip(), BLOCK_SECONDS), flush=True)


@contextmanager
def busy_program(wanted: bool) -> Iterator[None]:
    """Run a Python loop in its own session, if wanted."""
    if not wanted:
        yield
        return
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def start(setting: str, threads: int) -> subprocess.Popen[str]:
    """Start a process that measures under one setting."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    kept["OMP_NUM_THREADS"] = str(threads)
    if setting.isdigit():
        kept["GOMP_SPINCOUNT"] = setting
    command = [sys.executable, __file__, "--serve", setting]
    return subprocess.Popen(command, env=kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: subprocess.Popen[str], layer: str) -> float:
    """Return the milliseconds per step of one block."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{layer}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def measure(settings: list[str], rounds: int, threads: int) -> Times:
    """Measure all blocks of all rounds."""
    processes = {setting: start(setting, threads) for setting in settings}
    times: Times = {}
    try:
        for process in processes.values():
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                sys.exit("error: a measuring process did not start")
        for _ in range(rounds):
            for busy in (False, True):
                with busy_program(busy):
                    for layer in LAYERS:
                        for setting, process in processes.items():
                            times.setdefault((setting, layer, busy), []).append(ask(process, layer))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return times


def table(times: Times, settings: list[str]) -> str:
    """Return a Markdown table: a row for each layer; idle, busy and ratio for each setting."""
    lines = [
        "| ms per step | " + " | ".join(f"{setting}: idle | busy | ratio" for setting in settings) + " |"
    ]
    lines.append("|---" * (1 + 3 * len(settings)) + "|")
    for layer in LAYERS:
        cells = [layer]
        for setting in settings:
            idle, busy = times[setting, layer, False], times[setting, layer, True]
            cells += [f"{min(idle):.2f} ({median(idle):.2f})", f"{min(busy):.2f} ({median(busy):.2f})"]
            cells += [f"{median(busy) / min(idle):.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--spin", action="append", default=[], help="another GOMP_SPINCOUNT to measure")
    parser.add_argument("--json", action="store_true", help="print every block's time too")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.serve)
    settings = ["holdfast", "libgomp", *given.spin]
    print(f"load average before: {', '.join(f'{load:.2f}' for load in os.getloadavg())}", file=sys.stderr)
    times = measure(settings, given.rounds, given.threads)
    print(table(times, settings))
    if given.json:
        print(json.dumps({" ".join(map(str, key)): value for key, value in times.items()}))
    return None


if __name__ == "__main__":
    main()
