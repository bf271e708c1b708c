"""Seconds per epoch of whole training runs, with Holdfast's layers and with torch.nn's.

The models are the forecaster of recipes/beijing-temperature.toml (a whole fit divided by two, with
validation and evaluation), and a character language model of two layers of 256 units on a text.
The two libraries alternate in the same model; every second pair of runs is in reverse order. Prints
one JSON object and, on stderr, a table.

    python bench/training_runs.py --csv pollution.csv --text tinyshakespeare.txt [--pairs 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from unittest import mock

import torch
from torch import Tensor, nn

import holdfast
from holdfast.bench.environment import heading
from holdfast.config import load_config
from holdfast.nn.kernels import KERNELS
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.task import Forecaster

ROOT = Path(__file__).parents[1]
BATCH, STEPS, HIDDEN, UPDATES, EPOCHS = 64, 128, 256, 10, 2


class Characters(nn.Module):
    """Embedding, two recurrent layers, a linear layer."""

    def __init__(self, rnn: nn.Module, symbols: int) -> None:
        super().__init__()
        self.embedding, self.rnn, self.output = nn.Embedding(symbols, HIDDEN), rnn, nn.Linear(HIDDEN, symbols)

    def forward(self, text: Tensor) -> Tensor:
        """Map text [T, B] to logits [T, B, tokens]."""
        scores: Tensor = self.output(self.rnn(self.embedding(text))[0])
        return scores


def language(path: Path, cell: str, kind: str) -> Callable[[], float]:
    """Return the seconds of an epoch, extrapolated from some of its steps."""
    codes = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).long()
    symbols, text = codes.unique(return_inverse=True)
    module = holdfast if kind == "holdfast" else nn
    model = Characters(getattr(module, cell)(HIDDEN, HIDDEN, 2), len(symbols))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    batches = text[: text.numel() // (BATCH * (STEPS + 1)) * BATCH * (STEPS + 1)].view(-1, BATCH, STEPS + 1)

    def run() -> float:
        start = perf_counter()
        for batch in batches[:UPDATES]:
            optimizer.zero_grad()
            scores = model(batch[:, :-1].t())
            nn.functional.cross_entropy(scores.flatten(0, 1), batch[:, 1:].t().flatten()).backward()
            optimizer.step()
        return (perf_counter() - start) / UPDATES * len(batches)

    return run


def forecast(path: Path, cell: str, kind: str) -> Callable[[], float]:
    """Return the seconds of an epoch of the recipe.

    Without the native kernel, Holdfast's layers run torch.nn's.
    """
    recipe = load_config(ROOT / "recipes" / "beijing-temperature.toml", ForecastConfig)
    config = replace(
        recipe,
        network=replace(recipe.network, cell=cell.lower()),
        training=replace(recipe.training, epochs=EPOCHS),
    )
    dataset = Forecaster(config).prepare(path)
    offered = {name: k for name, k in KERNELS.items() if kind == "holdfast" or name != "native"}

    def run() -> float:
        with mock.patch.dict(KERNELS, offered, clear=True):
            start = perf_counter()
            Forecaster(config).fit_dataset(dataset)
            return (perf_counter() - start) / EPOCHS

    return run


def measure(make: Callable[[str], Callable[[], float]], pairs: int) -> dict[str, float]:
    """Return the median seconds of each kind, and how many times faster Holdfast is."""
    runs = {kind: make(kind) for kind in ("holdfast", "torch.nn")}
    seconds: dict[str, list[float]] = {kind: [] for kind in runs}
    for pair in range(pairs + 1):
        for kind in list(runs)[:: 1 if pair % 2 else -1]:
            taken = runs[kind]()
            if pair:  # the first is warm-up
                seconds[kind].append(taken)
    medians = {kind: statistics.median(own) for kind, own in seconds.items()}
    return medians | {"times_faster": medians["torch.nn"] / medians["holdfast"]}


def main() -> None:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = []
    for name, path, make in (("language", given.text, language), ("forecast", given.csv, forecast)):
        for cell in ("GRU", "LSTM") if path else ():
            found = measure(lambda kind, m=make, p=path, c=cell: m(p, c, kind), given.pairs)
            rows.append({"model": name, "cell": cell, "threads": given.threads, **found})
            text = f"{found['holdfast']:8.1f} s {found['torch.nn']:8.1f} s {found['times_faster']:6.2f} x"
            print(f"{name:10}{cell:6}{text}", file=sys.stderr)
    print(json.dumps({**heading(["torch"]), "rows": rows}))


if __name__ == "__main__":
    main()
