"""The layers against torch.nn: outputs, states and every gradient of 500 random configurations."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from holdfast.nn import layers

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass
class Configuration:
    """A random layer, its arguments and its input."""

    seed: int
    name: str = field(init=False)
    arguments: dict[str, Any] = field(init=False)
    form: str = field(init=False)
    dtype: torch.dtype = field(init=False)

    def __post_init__(self) -> None:
        pick = random.Random(self.seed)
        self.name = pick.choice(["RNN", "LSTM", "GRU"])
        self.form = pick.choice(["padded", "strided", "unbatched", "sorted", "unsorted"])
        self.dtype = pick.choice([torch.float32, torch.float64])
        self.with_state = pick.random() < 0.5
        self.steps, self.batch = pick.randint(1, 12), pick.randint(1, 6)
        self.arguments = {
            "input_size": pick.randint(1, 130),
            "hidden_size": pick.randint(1, 130),
            "num_layers": pick.randint(1, 3),
            "bias": pick.random() < 0.7,
            "batch_first": pick.random() < 0.5,
            "bidirectional": pick.random() < 0.5,
        }
        if self.name == "RNN":
            self.arguments["nonlinearity"] = pick.choice(["tanh", "relu"])
        if self.name == "LSTM" and self.arguments["hidden_size"] > 1 and pick.random() < 0.3:
            self.arguments["proj_size"] = pick.randint(1, self.arguments["hidden_size"] - 1)
        self.lengths = [pick.randint(1, self.steps) for _ in range(self.batch)]
        if self.form == "sorted":
            self.lengths.sort(reverse=True)

    def tensors(self) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Return the input and the initial state, in float64 with values exact in float32."""
        generator = torch.Generator().manual_seed(self.seed)
        batch = () if self.form == "unbatched" else (self.batch,)
        shape = (*batch, self.steps) if self.arguments["batch_first"] else (self.steps, *batch)
        x = torch.randn(*shape, self.arguments["input_size"], generator=generator)
        rows = self.arguments["num_layers"] * (2 if self.arguments["bidirectional"] else 1)
        hidden = self.arguments["hidden_size"]
        widths = (self.arguments.get("proj_size") or hidden, hidden)[: 2 if self.name == "LSTM" else 1]
        state = tuple(torch.randn(rows, *batch, width, generator=generator).double() for width in widths)
        return x.double(), state if self.with_state else None

    def arrange(self, x: Tensor) -> Tensor | PackedSequence:
        """Return the input padded, not contiguous, or packed."""
        if self.form == "strided":
            return torch.stack([x, x], -1)[..., 0]
        if self.form in ("sorted", "unsorted"):
            first, sort = self.arguments["batch_first"], self.form == "sorted"
            return pack_padded_sequence(x, self.lengths, batch_first=first, enforce_sorted=sort)
        return x

    def run(self, layer: nn.Module, dtype: torch.dtype) -> list[Tensor]:
        """Return outputs, final state and the gradients of input, state and all parameters."""
        x, state = self.tensors()
        x = x.to(dtype).requires_grad_()
        hx = None if state is None else tuple(s.to(dtype).requires_grad_() for s in state)
        output, final = layer(self.arrange(x), hx if hx is None or self.name == "LSTM" else hx[0])
        y = output.data if isinstance(output, PackedSequence) else output
        results = [y, *(final if isinstance(final, tuple) else (final,))]
        generator = torch.Generator().manual_seed(self.seed)
        weights = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(dtype) for r in results]
        loss = torch.stack([(r * w).sum() for r, w in zip(results, weights, strict=True)]).sum()
        return results + list(torch.autograd.grad(loss, [x, *(hx or ()), *layer.parameters()]))


def difference(got: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest value, or to 0.1 if that is larger."""
    assert got.shape == expected.shape
    scale = expected.detach().abs().max().clamp(min=0.1)
    return float((got.detach().double() - expected.detach()).abs().max() / scale)


@pytest.fixture(scope="module")
def worst(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """Layer and dtype -> the largest difference, printed at the end."""
    found: dict[str, float] = {}
    yield found
    shown = ", ".join(f"{name} {value:.1e}" for name, value in sorted(found.items()))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        sys.stdout.write(f"\nlargest difference from torch.nn in float64: {shown}\n")


# torch.nn itself warns once
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("seed", range(500))
def test_a_random_configuration_agrees_with_torch(seed: int, worst: dict[str, float]) -> None:
    configuration = Configuration(seed)
    torch.manual_seed(seed)
    theirs = getattr(nn, configuration.name)(**configuration.arguments)
    torch.manual_seed(seed)
    ours = getattr(layers, configuration.name)(**configuration.arguments)
    for (name, parameter), (their_name, expected) in zip(
        ours.state_dict().items(), theirs.state_dict().items(), strict=True
    ):
        assert name == their_name and torch.equal(parameter, expected), name
    expected = configuration.run(theirs.double(), torch.float64)
    got = configuration.run(ours.to(configuration.dtype), configuration.dtype)
    differences = [difference(g, e) for g, e in zip(got, expected, strict=True)]
    name = f"{configuration.name} {str(configuration.dtype).removeprefix('torch.')}"
    worst[name] = max(worst.get(name, 0.0), *differences)
    assert max(differences) < TOLERANCE[configuration.dtype], f"{configuration}: {differences}"
