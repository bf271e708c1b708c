"""Overhead of the training loop per step, compared with a plain PyTorch loop of the same work.

The network is a small torch.nn.GRU (batch 32, hidden 64, 50 steps), where overhead shows most.
``fit`` runs with its progress bar, TensorBoard and history on. Every few steps it pauses for as
many steps of the plain loop on a second network, so that both run under the same conditions. Prints
one JSON object.

    python bench/training_overhead.py [--chunks 40] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from holdfast.config import Training
from holdfast.training import fit

BATCH, HIDDEN, TIME, INPUT, CHUNK = 32, 64, 50, 8, 20


class Net(nn.Module):
    """A GRU and a linear layer on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(INPUT, HIDDEN)
        self.output = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [T, B, I] to [B, 1]."""
        out: Tensor = self.output(self.rnn(x)[0][-1])
        return out


class Bare:
    """The loop that one would write without Holdfast."""

    def __init__(self, total: int) -> None:
        self.module = Net()
        self.optimizer = torch.optim.AdamW(self.module.parameters(), 1e-3, fused=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, total)

    def run(self, batches: list[Tensor]) -> None:
        """Run some steps."""
        for batch in batches:
            self.optimizer.zero_grad()
            loss = nn.functional.mse_loss(self.module(batch), batch.sum((0, 2))[:, None])
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()


class Interleaved:
    """A trainable that times its batches and runs the plain loop between them."""

    monitor = "mse"

    def __init__(self, chunks: int) -> None:
        self.module = Net()
        self.steps_per_epoch = chunks * CHUNK
        self.bare = Bare(2 * chunks * CHUNK)
        self.data = [torch.randn(TIME, BATCH, INPUT) for _ in range(CHUNK)]
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def batches(self, epoch: int) -> Iterator[Tensor]:
        """Yield batches; time each chunk from its first batch to the request for the next chunk."""
        for _ in range(self.steps_per_epoch // CHUNK):
            start = perf_counter()
            yield from self.data
            middle = perf_counter()
            self.bare.run(self.data)
            self.ours.append(middle - start)
            self.theirs.append(perf_counter() - middle)

    def loss(self, batch: Tensor) -> Tensor:
        """Return the same loss as the plain loop."""
        return nn.functional.mse_loss(self.module(batch), batch.sum((0, 2))[:, None])

    def validate(self) -> dict[str, float]:
        """Return a constant."""
        return {"mse": 1.0}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=40, help="timed chunks of 20 steps in each of 2 epochs")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    trainable = Interleaved(arguments.chunks)
    with tempfile.TemporaryDirectory() as folder:
        fit(trainable, Training(epochs=2, device="cpu"), folder=Path(folder))
    ours, theirs = trainable.ours[2:], trainable.theirs[2:]  # the first are warm-up
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    quarter = statistics.quantiles(ratios, n=4)
    print(
        json.dumps(
            {
                "ratio": round(statistics.median(ratios), 4),
                "ratio_quartiles": [round(quarter[0], 4), round(quarter[2], 4)],
                "ratio_of_totals": round(sum(ours) / sum(theirs), 4),
                "fit_ms_per_step": round(1e3 * statistics.median(ours) / CHUNK, 4),
                "bare_ms_per_step": round(1e3 * statistics.median(theirs) / CHUNK, 4),
                "chunks": len(ratios),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "machine": platform.machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
