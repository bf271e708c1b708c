"""The picture of what a model of rolls expects."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.cli import main
from holdfast.models.music import OUTPUTS, RollModel, RollOptions
from holdfast.tasks.music.inspecting import DRAWS, expected
from musical import folder_of, trained
from refusals import refused

FEW = 5


@pytest.mark.parametrize("output", OUTPUTS)
@torch.no_grad()
def test_the_probability_of_a_key_is_that_of_all_frames_with_it(output: str) -> None:
    model = RollModel(FEW, RollOptions(output=output, hidden_size=6, chord_size=4)).double().eval()
    for parameter in model.output.parameters():
        parameter.copy_(torch.randn_like(parameter))
    roll = np.random.default_rng(0).random((6, FEW)) < 0.4
    chances, nats = expected(model, roll)
    frames = torch.from_numpy(roll).double()
    context = model(frames[:-1, None])[0][:, 0]
    every = torch.tensor(list(product([0.0, 1.0], repeat=FEW)), dtype=torch.float64)
    for t in range(5):
        some = context[torch.full((len(every),), t)]
        p = (-model.output.nats(some, every)).exp()
        exact = (p[:, None] * every).sum(0).numpy()
        error = 5 * np.sqrt(exact * (1 - exact) / DRAWS) + 2 / DRAWS if output == "autoregressive" else 1e-12
        assert (np.abs(chances[t] - exact) <= error).all()
        place = int((every == frames[t + 1]).all(1).nonzero())
        assert nats[t] == pytest.approx(-float(p[place].log()))


def test_inspect_draws_rolls_and_refuses_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "midi")
    run, out = trained(folder, tmp_path / "roll"), tmp_path / "a.png"
    assert main(["inspect", str(run), str(folder), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    events, other = trained(folder, tmp_path / "events", model="events"), tmp_path / "b.png"
    expected_words = ("a model of rolls", "model of events", "--model roll")
    refused(capsys, ["inspect", events, folder, "--out", other], expected_words)
    assert not other.exists()
