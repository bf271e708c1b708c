"""What is measured: a mode of use, a cell and a shape; and the layer, input and lengths that all peers get."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from holdfast.errors import UserError
from holdfast.nn.layers import GRU, LSTM, RNN
from holdfast.nn.recurrent import Recurrent


class Shape(NamedTuple):
    """Sizes of a case: B, I, H, T. ``str()`` is the name by which ``--shapes`` takes it."""

    batch: int
    inputs: int
    hidden: int
    steps: int

    def __str__(self) -> str:
        return "x".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read ``"32x128x128x100"``."""
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){3}", text):
            raise UserError(
                "A shape is BATCHxINPUTxHIDDENxSTEPS, four whole numbers.",
                f"It was {text!r}.",
                f"Known ones are {', '.join(map(str, SHAPES + STEPS))}; any other of this form will do.",
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
    """A cell as Holdfast's layer, torch.nn's layer and torch.nn's single step."""

    layer: Callable[..., Recurrent]
    torch: Callable[..., nn.RNNBase]
    step: Callable[..., nn.RNNCellBase]


CELLS = {
    "gru": _CellKind(GRU, nn.GRU, nn.GRUCell),
    "lstm": _CellKind(LSTM, nn.LSTM, nn.LSTMCell),
    "rnn": _CellKind(RNN, nn.RNN, nn.RNNCell),
}


class Refused(Exception):  # noqa: N818 - a reason, not a failure
    """Why a peer (or this version of Holdfast) has no such case, in words that follow "skipped: "."""


@dataclass(frozen=True)
class Case:
    """One comparison. Everything random in it comes from fixed seeds: every peer gets the same numbers.

    Attributes:
        mode: a name in :data:`holdfast.bench.modes.MODES`.
        cell: a name in :data:`CELLS`.
        shape: the sizes.
        threads: how many threads each peer may use.
        variant: which of the mode's variants, such as an option; "" where it has none.
    """

    mode: str
    cell: str
    shape: Shape
    threads: int
    variant: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.mode, self.variant, self.cell, str(self.shape))))

    def build(self, **options: Any) -> Recurrent:
        """A layer of Holdfast's with some options."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return CELLS[self.cell].layer(self.shape.inputs, self.shape.hidden, **options)

    @cached_property
    def layer(self) -> Recurrent:
        """Holdfast's plain layer, whose weights all peers get."""
        return self.build()

    def torch_layer(self) -> nn.RNNBase:
        """torch.nn's layer with the same weights."""
        theirs = CELLS[self.cell].torch(self.shape.inputs, self.shape.hidden)
        theirs.load_state_dict(self.layer.state_dict())
        return theirs

    def arrays(self) -> tuple[Any, Any, Any, Any]:
        """The plain layer's weights and biases as numpy arrays, in torch.nn's order."""
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
        drawn = torch.Generator().manual_seed(2)
        return torch.randint(max(1, steps // 10), steps + 1, (batch,), generator=drawn)

    def flop(self, layer: nn.Module) -> float:
        """Two for each multiply-add of the products of a forward pass; steps past a sequence's end do not count."""
        tokens = int(self.lengths.sum()) if self.mode == "ragged" else self.shape.batch * self.shape.steps
        matrices = (p for p in layer.parameters() if p.dim() == 2)
        return 2.0 * tokens * sum(p.numel() for p in matrices)


def parse_shapes(names: Sequence[str]) -> list[Shape]:
    """Shapes by name, each once."""
    return list(dict.fromkeys(Shape.parse(name) for name in names))
