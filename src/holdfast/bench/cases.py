"""Cases: a mode, a cell and a shape, with the layer, input and lengths that all peers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.nn.layers import GRU, LSTM, RNN
from holdfast.nn.recurrent import Recurrent


class Shape(NamedTuple):
    """Sizes of a case: B, I, H, T. ``str()`` gives the form that ``--shapes`` accepts."""

    batch: int
    inputs: int
    hidden: int
    steps: int

    def __str__(self) -> str:
        return "x".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Parse ``"32x128x128x100"``."""
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){3}", text):
            raise UserError(
                "A shape must be BATCHxINPUTxHIDDENxSTEPS, four whole numbers.",
                f"It was {text!r}.",
                f"Give one of {', '.join(map(str, SHAPES + STEPS))}, or any other of this form.",
            )
        return cls(*map(int, text.split("x")))


SHAPES = (
    Shape(1, 64, 128, 200),
    Shape(32, 128, 128, 100),
    Shape(64, 256, 512, 64),
    Shape(20, 650, 650, 35),
    Shape(64, 1024, 1024, 32),
    Shape(256, 1, 64, 168),
    Shape(128, 28, 128, 28),
    Shape(16, 80, 320, 400),
)
"""From one sequence to large batches, from I = 1 to a language model's H = 650."""

STEPS = tuple(Shape(1, size, size, 1) for size in (64, 128, 256, 512, 1024))
"""One step of one sequence."""


class _CellKind(NamedTuple):
    """A cell as Holdfast's layer, torch.nn's layer and torch.nn's cell."""

    layer: Callable[..., Recurrent]
    torch: Callable[..., nn.RNNBase]
    step: Callable[..., nn.RNNCellBase]


CELLS = {
    "gru": _CellKind(GRU, nn.GRU, nn.GRUCell),
    "lstm": _CellKind(LSTM, nn.LSTM, nn.LSTMCell),
    "rnn": _CellKind(RNN, nn.RNN, nn.RNNCell),
}


class Refused(Exception):  # noqa: N818 - a reason, not a failure
    """Why a peer does not support a case; printed after "skipped: "."""


@dataclass(frozen=True)
class Case:
    """One comparison. All random numbers have fixed seeds, so that every peer gets the same ones.

    Attributes:
        mode: a name in :data:`holdfast.bench.modes.MODES`.
        cell: a name in :data:`CELLS`.
        shape: the sizes.
        threads: threads of each peer.
        variant: variant of the mode, such as an option; "" if it has none.
    """

    mode: str
    cell: str
    shape: Shape
    threads: int
    variant: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.mode, self.variant, self.cell, str(self.shape))))

    def build(self, **options: object) -> Recurrent:
        """Build Holdfast's layer with some options."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return CELLS[self.cell].layer(self.shape.inputs, self.shape.hidden, **options)

    @cached_property
    def layer(self) -> Recurrent:
        """Holdfast's layer without options; all peers use its weights."""
        return self.build()

    def torch_layer(self) -> nn.RNNBase:
        """Return torch.nn's layer with the same weights."""
        theirs = CELLS[self.cell].torch(self.shape.inputs, self.shape.hidden)
        theirs.load_state_dict(self.layer.state_dict())
        return theirs

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return the layer's weights and biases as numpy arrays, in torch.nn's order."""
        weights = self.layer.weights("_l0")
        tensors = (weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh)
        ih, hh, bias_ih, bias_hh = (t.detach().numpy() for t in tensors if t is not None)
        return ih, hh, bias_ih, bias_hh

    @cached_property
    def x(self) -> Tensor:
        """The input [T, B, I]."""
        batch, inputs, _, steps = self.shape
        return torch.randn(steps, batch, inputs, generator=torch.Generator().manual_seed(1))

    @cached_property
    def lengths(self) -> Tensor:
        """A length for each sequence [B], uniform from a tenth of the steps to all of them."""
        batch, steps = self.shape.batch, self.shape.steps
        generator = torch.Generator().manual_seed(2)
        return torch.randint(max(1, steps // 10), steps + 1, (batch,), generator=generator)

    def flop(self, layer: nn.Module) -> float:
        """Return 2 flop for each multiply-add of a forward pass; padding does not count."""
        tokens = int(self.lengths.sum()) if self.mode == "ragged" else self.shape.batch * self.shape.steps
        matrices = (p for p in layer.parameters() if p.dim() == 2)
        return 2.0 * tokens * sum(p.numel() for p in matrices)


def parse_shapes(names: Sequence[str]) -> list[Shape]:
    """Parse shapes, without duplicates."""
    return list(dict.fromkeys(Shape.parse(name) for name in names))
