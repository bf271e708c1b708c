"""The compiled core as torch operators: definitions, checks and the forward pass.

The operators take float32 on the CPU and have first derivatives; a second derivative runs the
reference kernel. ``weights`` are in the order of :data:`holdfast.nn.kernels.binding.WEIGHT_NAMES`.
An absent tensor is passed as an empty one, and can be left out at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from holdfast.errors import UserError
from holdfast.nn.kernels import binding
from holdfast.nn.kernels.binding import WEIGHT_NAMES, CellLayout

Tensors = list[Tensor]
OptionalTensors = list[Tensor | None]
EXTRA_NAMES = ("lengths", "mask", "zoneout")
"""Names of the operators' ``extras``, in order."""

torch.library.define(
    "holdfast::recur",
    "(Tensor x, Tensor[] state, Tensor[] weights, Tensor[] extras, str cell, bool reverse, bool save=True) "
    "-> (Tensor y, Tensor h, Tensor c, Tensor saved, Tensor normed)",
)
torch.library.define(
    "holdfast::recur_backward",
    "(Tensor?[] grads, Tensor x, Tensor[] state, Tensor[] weights, Tensor[] extras, Tensor[] kept, str cell, "
    "bool reverse, bool[] wanted) -> Tensor[]",
)


@dataclass(frozen=True)
class CallShape:
    """Sizes of a call: T, B, I, H and P, the layout of its cell, and the saved slots of H units."""

    steps: int
    batch: int
    inputs: int
    hidden: int
    width: int
    layout: CellLayout
    slots: int

    @classmethod
    def of(cls, x: Tensor, weights: OptionalTensors, cell: str) -> CallShape:
        """Read the sizes off the tensors. A projection saves one more slot: its input."""
        own = binding.layout(cell)
        _, weight_hh, _, _, weight_hr, *_ = weights
        assert weight_hh is not None
        steps, batch, inputs = x.shape
        hidden = (weight_hh if weight_hr is None else weight_hr).size(1)
        slots = len(own.saved) + (weight_hr is not None)
        return cls(steps, batch, inputs, hidden, weight_hh.size(1), own, slots)

    @property
    def rows(self) -> int:
        """G*H."""
        return self.layout.gates * self.hidden

    @property
    def normed(self) -> int:
        """Values that layer norm saves at a step: both parts of each gate, and their 1 / sigma."""
        return 2 * self.rows + 2 * self.layout.gates

    def states(self) -> dict[str, tuple[int, ...]]:
        """Return name -> shape of each state."""
        shapes: dict[str, tuple[int, ...]] = {"h0": (self.batch, self.width)}
        return shapes | {"c0": (self.batch, self.hidden)} if self.layout.cell_state else shapes

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Return name -> shape of each weight that the cell may have."""
        rows, hidden, width = self.rows, self.hidden, self.width
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("bias_ih", "bias_hh", "norm_ih", "norm_hh"), (rows,)
        )
        shapes |= {"weight_ih": (rows, self.inputs), "weight_hh": (rows, width)}
        if self.layout.cell_state:
            shapes |= {"weight_hr": (width, hidden), "norm_ch": (hidden,), "norm_ch_bias": (hidden,)}
        if self.layout.peepholes:
            shapes |= {"weight_ch": (self.layout.peepholes * hidden,)}
        return shapes

    def sizes(self, reverse: bool) -> tuple[int, ...]:
        """Return the sizes in the core's form."""
        return self.steps, self.batch, self.inputs, self.hidden, self.width, int(reverse)


def ready(name: str, tensor: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Check dtype, device and shape; return the tensor, contiguous."""
    if tensor.dtype != dtype or tensor.device.type != "cpu" or tensor.shape != shape:
        raise UserError(
            f"For the compiled core, {name} must be {dtype} on the CPU with shape {list(shape)}.",
            f"It was {tensor.dtype} on {tensor.device} with shape {list(tensor.shape)}.",
            "Convert it, or use kernel='auto'.",
        )
    return tensor.contiguous()


def ready_weights(shape: CallShape, weights: OptionalTensors) -> dict[str, Tensor]:
    """Check the weights and return those that are present, by name."""
    known = shape.weights()
    given = {name: w for name, w in zip(WEIGHT_NAMES, weights, strict=True) if w is not None}
    required = {"weight_ih", "weight_hh"} | ({"weight_ch"} if shape.layout.peepholes else set())
    norm = {"norm_ih", "norm_hh"} | ({"norm_ch", "norm_ch_bias"} if shape.layout.cell_state else set())
    groups = ({"bias_ih", "bias_hh"}, norm)
    whole = all(group <= given.keys() or not (group & given.keys()) for group in groups)
    if not whole or not required <= given.keys() <= known.keys():
        raise UserError(
            f"The weights of this cell must be {', '.join(n for n in WEIGHT_NAMES if n in known)}, at these "
            f"positions of {', '.join(WEIGHT_NAMES)}; both biases or none, all of the norm or none.",
            f"There were {', '.join(given)}.",
            "Pass an empty tensor for an absent weight.",
        )
    return {name: ready(name, weight, *known[name]) for name, weight in given.items()}


def ready_call(
    shape: CallShape, x: Tensor, state: Tensors, weights: OptionalTensors, extras: OptionalTensors
) -> dict[str, Tensor]:
    """Check the arguments of a call and return them by name."""
    names = shape.states()
    if len(state) != len(names):
        raise UserError(
            f"The state of this cell must be {' and '.join(names)}.",
            f"There were {len(state)} tensors.",
            "Pass c0 to an LSTM only.",
        )
    arrays = {"x": ready("x", x, shape.steps, shape.batch, shape.inputs)} | ready_weights(shape, weights)
    arrays |= {name: ready(name, s, *names[name]) for name, s in zip(names, state, strict=True)}
    lengths, mask, _ = extras
    if lengths is not None:
        arrays["lengths"] = ready("lengths", lengths, shape.batch, dtype=torch.int64)
    if mask is not None:
        arrays["mask"] = ready("mask", mask, shape.batch, shape.width)
    return arrays


def filled(tensors: Tensors, names: tuple[str, ...] = WEIGHT_NAMES) -> OptionalTensors:
    """Return one tensor for each name, None if it is absent."""
    return [t if t is not None and t.numel() else None for _, t in zip_longest(names, tensors)]


def _recur(
    x: Tensor, state: Tensors, weights: Tensors, extras: Tensors, cell: str, reverse: bool, save: bool = True
) -> tuple[Tensor, ...]:
    binding.check_available()
    own = filled(weights)
    shape = CallShape.of(x, own, cell)
    arrays: dict[str, Tensor | None] = {**ready_call(shape, x, state, own, filled(extras, EXTRA_NAMES))}
    outputs = _outputs(x, shape, "norm_ih" in arrays, save)
    arrays |= {n: t if t.numel() else None for n, t in zip(binding.OUTPUT_NAMES, outputs, strict=True)}
    binding.forward(cell, shape.sizes(reverse), filled(extras, EXTRA_NAMES)[2], arrays)
    return outputs


def _outputs(x: Tensor, shape: CallShape, norm: bool, save: bool) -> tuple[Tensor, ...]:
    """Allocate the outputs; those that a cell does not have are empty."""
    steps, batch = shape.steps, shape.batch
    return (
        x.new_empty(steps, batch, shape.width),
        x.new_empty(batch, shape.width),
        x.new_empty((batch, shape.hidden) if shape.layout.cell_state else 0),
        x.new_empty((steps, batch, shape.slots * shape.hidden) if save else 0),
        x.new_empty((steps, batch, shape.normed) if save and norm else 0),
    )


def _recur_fake(
    x: Tensor, state: Tensors, weights: Tensors, extras: Tensors, cell: str, reverse: bool, save: bool = True
) -> tuple[Tensor, ...]:
    own = filled(weights)
    return _outputs(x, CallShape.of(x, own, cell), own[WEIGHT_NAMES.index("norm_ih")] is not None, save)


torch.library.impl("holdfast::recur", "CPU", _recur)
torch.library.register_fake("holdfast::recur", _recur_fake)
