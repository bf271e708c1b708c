"""Holdfast's layers against torch.nn's, side by side in one run: how many times faster, in training and inference.

Each repetition times both one after the other, so that both see the same machine; the ratio is that of the medians.
Prints one JSON object and, on stderr, a table.

    python bench/layers.py [--threads 2] [--repetitions 15]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

import torch
from torch import nn

import holdfast
from holdfast.kernels import native

SHAPES = ((1, 64, 128, 200), (32, 128, 128, 100), (256, 1, 64, 168), (128, 28, 128, 28), (20, 650, 650, 35))
"""B, I, H, T."""

CELLS = {"GRU": (holdfast.GRU, nn.GRU), "LSTM": (holdfast.LSTM, nn.LSTM), "RNN": (holdfast.RNN, nn.RNN)}


def training(layer: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Forward and backward, the input's gradient included."""

    def run() -> None:
        layer(x)[0].sum().backward()

    return run


def inference(layer: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Forward without gradients."""

    def run() -> None:
        with torch.no_grad():
            layer(x)

    return run


MODES = {"training": training, "inference": inference}


def ratio(ours: Callable[[], None], theirs: Callable[[], None], repetitions: int) -> tuple[float, float]:
    """Median milliseconds of ours, and how many times faster it is."""
    times: dict[Callable[[], None], list[float]] = {ours: [], theirs: []}
    for repetition in range(repetitions + 1):
        for run, own in times.items():
            start = perf_counter()
            run()
            if repetition:  # the first is warm-up
                own.append(perf_counter() - start)
    mine, other = (statistics.median(own) for own in times.values())
    return 1e3 * mine, other / mine


def measure(repetitions: int) -> list[dict[str, object]]:
    """A row for each cell, shape and mode."""
    rows: list[dict[str, object]] = []
    for cell, (ours, theirs) in CELLS.items():
        for shape in SHAPES:
            batch, inputs, hidden, steps = shape
            x = torch.randn(steps, batch, inputs, requires_grad=True)
            pair = ours(inputs, hidden), theirs(inputs, hidden)
            for mode, make in MODES.items():
                ms, times = ratio(make(pair[0], x), make(pair[1], x), repetitions)
                rows.append({"cell": cell, "shape": shape, "mode": mode, "ms": ms, "times_faster": times})
                print(f"{cell:5}{shape!s:24}{mode:10}{ms:9.2f} ms {times:6.2f} x", file=sys.stderr)
    return rows


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    machine = {"processor": platform.processor() or platform.machine(), "threads": given.threads}
    versions = {"torch": torch.__version__, "isa": native.isa()}
    print(json.dumps(machine | versions | {"rows": measure(given.repetitions)}))


if __name__ == "__main__":
    main()
