"""The plot of the expected keys of a model of piano rolls."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.cli import main
from holdfast.models.music import OUTPUTS, PianoRollNetwork
from holdfast.models.options import MusicOptions
from holdfast.tasks.music.plots import SAMPLES, expectation
from musical import folder_of, trained

FEW = 5


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_the_probability_of_a_key_is_that_of_all_frames_with_it(output: str) -> None:
    model = PianoRollNetwork(FEW, MusicOptions(output=output, hidden_size=6, chord_size=4)).double().eval()
    for parameter in model.output.parameters():
        parameter.copy_(torch.randn_like(parameter))
    roll = np.random.default_rng(0).random((6, FEW)) < 0.4
    chances, nats = expectation(model, roll)
    frames = torch.from_numpy(roll).double()
    context = model(frames[:-1, None])[0][:, 0]
    every = torch.tensor(list(product([0.0, 1.0], repeat=FEW)), dtype=torch.float64)
    for t in range(5):
        some = context[torch.full((len(every),), t)]
        p = (-model.output.nll(some, every)).exp()
        exact = (p[:, None] * every).sum(0).numpy()
        error = (
            5 * np.sqrt(exact * (1 - exact) / SAMPLES) + 2 / SAMPLES if output == "autoregressive" else 1e-12
        )
        assert (np.abs(chances[t] - exact) <= error).all()
        place = int((every == frames[t + 1]).all(1).nonzero())
        assert nats[t] == pytest.approx(-float(p[place].log()))


def test_inspect_plots_the_expected_keys_next_to_the_report(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "midi")
    run = trained(folder, tmp_path / "roll")
    assert main(["inspect", str(run), str(folder), "--steps", "20"]) == 0
    assert (run / "inspect" / "expected.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "inspect" / "report.html").exists()
