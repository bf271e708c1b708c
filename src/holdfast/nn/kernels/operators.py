"""The compiled core as torch operators: ``holdfast::recur`` and ``holdfast::recur_backward``.

float32 on the CPU, first derivatives; a second derivative runs the reference loop instead. ``weights`` are in the
order of :data:`holdfast.nn.kernels.binding.WEIGHT_NAMES`; an empty one is absent, and so are those left out at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from math import prod

import torch
from torch import Tensor

from holdfast.errors import UserError
from holdfast.nn.kernels import binding
from holdfast.nn.kernels.binding import WEIGHT_NAMES, CellLayout
from holdfast.nn.kernels.buffers import scratch
from holdfast.nn.kernels.weight_grad import Before

OptionalTensors = list[Tensor | None]
EXTRA_NAMES = ("lengths", "mask", "zoneout")
"""In the order of the operators' ``extras``; an empty one is absent."""

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
    """T, B, I, H, P of a call, and what its cell keeps."""

    steps: int
    batch: int
    inputs: int
    hidden: int
    width: int
    layout: CellLayout
    slots: int

    @classmethod
    def of(cls, x: Tensor, weights: OptionalTensors, cell: str) -> CallShape:
        """With a projection one more slot is saved: what is projected."""
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
        """What layer norm keeps of a step: both parts of every gate, and 1 / sigma of each."""
        return 2 * self.rows + 2 * self.layout.gates

    def states(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape."""
        shapes: dict[str, tuple[int, ...]] = {"h0": (self.batch, self.width)}
        return shapes | {"c0": (self.batch, self.hidden)} if self.layout.cell_state else shapes

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of each weight that the cell may have."""
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
        """As the core takes them."""
        return self.steps, self.batch, self.inputs, self.hidden, self.width, int(reverse)


def _ready(name: str, tensor: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The tensor, contiguous, once it is known to be what the core reads."""
    if tensor.dtype != dtype or tensor.device.type != "cpu" or tensor.shape != shape:
        raise UserError(
            f"The compiled core takes {name} as {dtype} on the CPU with shape {list(shape)}.",
            f"It was {tensor.dtype} on {tensor.device} with shape {list(tensor.shape)}.",
            "Convert it, or use kernel='auto'.",
        )
    return tensor.contiguous()


def ready_weights(shape: CallShape, weights: OptionalTensors) -> dict[str, Tensor]:
    """By name, those that are there; each group of them is there as a whole or not at all."""
    known = shape.weights()
    given = {name: w for name, w in zip(WEIGHT_NAMES, weights, strict=True) if w is not None}
    required = {"weight_ih", "weight_hh"} | ({"weight_ch"} if shape.layout.peepholes else set())
    norm = {"norm_ih", "norm_hh"} | ({"norm_ch", "norm_ch_bias"} if shape.layout.cell_state else set())
    whole = all(
        not (group & given.keys()) or group <= given.keys() for group in ({"bias_ih", "bias_hh"}, norm)
    )
    if not whole or not required <= given.keys() <= known.keys():
        raise UserError(
            f"The weights of this cell are {', '.join(n for n in WEIGHT_NAMES if n in known)}, in this place of "
            f"{', '.join(WEIGHT_NAMES)}; both biases or none, all of the norm or none.",
            f"There were {', '.join(given)}.",
            "Give an empty tensor for one that is absent.",
        )
    return {name: _ready(name, weight, *known[name]) for name, weight in given.items()}


def _ready_call(
    shape: CallShape, x: Tensor, state: list[Tensor], weights: OptionalTensors, extras: OptionalTensors
) -> dict[str, Tensor]:
    """What is given to the core, by name."""
    names = shape.states()
    if len(state) != len(names):
        raise UserError(
            f"The state of this cell is {' and '.join(names)}.",
            f"There were {len(state)} tensors.",
            "Give c0 to an LSTM only.",
        )
    arrays = {"x": _ready("x", x, shape.steps, shape.batch, shape.inputs)} | ready_weights(shape, weights)
    arrays |= {name: _ready(name, s, *names[name]) for name, s in zip(names, state, strict=True)}
    lengths, mask, _ = extras
    if lengths is not None:
        arrays["lengths"] = _ready("lengths", lengths, shape.batch, dtype=torch.int64)
    if mask is not None:
        arrays["mask"] = _ready("mask", mask, shape.batch, shape.width)
    return arrays


def filled(tensors: list[Tensor], names: tuple[str, ...] = WEIGHT_NAMES) -> OptionalTensors:
    """One for each name, None where it is absent."""
    return [t if t is not None and t.numel() else None for _, t in zip_longest(names, tensors)]


def _recur(
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    extras: list[Tensor],
    cell: str,
    reverse: bool,
    save: bool = True,
) -> tuple[Tensor, ...]:
    binding.check_available()
    own = filled(weights)
    shape = CallShape.of(x, own, cell)
    arrays: dict[str, Tensor | None] = {**_ready_call(shape, x, state, own, filled(extras, EXTRA_NAMES))}
    outputs = _outputs(x, shape, "norm_ih" in arrays, save)
    arrays |= {n: t if t.numel() else None for n, t in zip(binding.OUTPUTS, outputs, strict=True)}
    binding.forward(cell, shape.sizes(reverse), filled(extras, EXTRA_NAMES)[2], arrays)
    return outputs


def _outputs(x: Tensor, shape: CallShape, norm: bool, save: bool) -> tuple[Tensor, ...]:
    """New tensors; what a cell lacks is empty."""
    steps, batch = shape.steps, shape.batch
    return (
        x.new_empty(steps, batch, shape.width),
        x.new_empty(batch, shape.width),
        x.new_empty((batch, shape.hidden) if shape.layout.cell_state else 0),
        x.new_empty((steps, batch, shape.slots * shape.hidden) if save else 0),
        x.new_empty((steps, batch, shape.normed) if save and norm else 0),
    )


def _recur_fake(
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    extras: list[Tensor],
    cell: str,
    reverse: bool,
    save: bool = True,
) -> tuple[Tensor, ...]:
    own = filled(weights)
    return _outputs(x, CallShape.of(x, own, cell), own[WEIGHT_NAMES.index("norm_ih")] is not None, save)


def _recur_backward(
    grads: OptionalTensors,
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    extras: list[Tensor],
    kept: list[Tensor],
    cell: str,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    """``grads``: of y, h, c and saved. ``kept``: y, saved and normed. ``wanted``: the gradient of x; of the weights."""
    binding.check_available()
    y, saved, normed = kept
    own = filled(weights)
    shape = CallShape.of(x, own, cell)
    given = _ready_call(shape, x, state, own, filled(extras, EXTRA_NAMES))
    given |= {"y": _ready("y", y, shape.steps, shape.batch, shape.width), "saved": saved.contiguous()}
    given |= {"normed": normed.contiguous()} if normed.numel() else {}
    for name, grad, like in zip(
        ("dy", "dh", "dc", "dsaved"), grads, (y, state[0], state[-1], saved), strict=True
    ):
        if grad is not None and not (name == "dc" and len(state) == 1):
            given[name] = _ready(name, grad, *like.shape)
    temporary = _temporary(shape, given, cell)
    with scratch(sum(prod(size) for size in temporary.values())) as memory:
        parts = memory.split([prod(size) for size in temporary.values()])
        new = {name: part.view(size) for part, (name, size) in zip(parts, temporary.items(), strict=True)}
        new |= {"d" + name: torch.empty_like(given[name]) for name in shape.states()}
        new["dvectors"] = x.new_empty(shape.layout.vectors, shape.hidden)
        binding.backward(cell, shape.sizes(reverse), filled(extras, EXTRA_NAMES)[2], {**given, **new})
        with binding.alike(), torch.autocast("cpu", enabled=False):
            return _collected(shape, given, new, cell, reverse, wanted)


def _temporary(shape: CallShape, given: dict[str, Tensor], cell: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what the core computes for the products that follow."""
    time = (shape.steps, shape.batch)
    sizes: dict[str, tuple[int, ...]] = {"dprojected": (*time, shape.rows)}
    if "norm_ih" in given:
        sizes["drecurrent"] = (*time, shape.rows)
    elif cell == "gru":
        sizes["drecurrent"] = (*time, shape.hidden)
    if "weight_hr" in given:
        sizes["dhidden"] = (*time, shape.width)
    return sizes


def _collected(
    shape: CallShape,
    given: dict[str, Tensor],
    new: dict[str, Tensor],
    cell: str,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    """The gradients of x, the state and the weights, in their order; empty where there is none."""
    x, flat = given["x"], new["dprojected"].flatten(0, 1)
    found = {"h0": new["dh0"], **({"c0": new["dc0"]} if "dc0" in new else {})}
    if wanted[0]:
        found["x"] = torch.mm(flat, given["weight_ih"]).view_as(x)
    if wanted[1]:
        found["weight_ih"] = torch.mm(flat.t(), x.flatten(0, 1))
        found["weight_hh"] = _recurrent_gradient(shape, given, new, cell, reverse)
        found |= _vectors(shape, given, new["dvectors"], cell)
        if "dhidden" in new:
            m = given["saved"][..., -shape.hidden :].flatten(0, 1)
            found["weight_hr"] = torch.mm(new["dhidden"].flatten(0, 1).t(), m)
    return [
        found[name] if name in found and name in given else x.new_empty(0)
        for name in ("x", "h0", "c0", *WEIGHT_NAMES)
    ]


def _recurrent_gradient(
    shape: CallShape, given: dict[str, Tensor], new: dict[str, Tensor], cell: str, reverse: bool
) -> Tensor:
    """Of W_hh, which read h before each step; a GRU's candidate has gradients, or an operand, of its own."""
    hidden, dweight = shape.hidden, torch.empty_like(given["weight_hh"])
    before = Before(given["y"], given["h0"], given.get("mask"), given.get("lengths"), reverse)
    da = new["drecurrent"] if "norm_ih" in given else new["dprojected"]
    if cell == "gru" and "norm_ih" not in given:
        before.gradient(da[..., : 2 * hidden], dweight)
        before.gradient(new["drecurrent"], dweight[2 * hidden :])
    elif cell == "gru_reset_before":
        before.gradient(da[..., : 2 * hidden], dweight)
        operand = given["saved"][..., 3 * hidden :].flatten(0, 1)
        torch.mm(da[..., 2 * hidden :].flatten(0, 1).t(), operand, out=dweight[2 * hidden :])
    else:
        before.gradient(da, dweight)
    return dweight


def _vectors(shape: CallShape, given: dict[str, Tensor], sums: Tensor, cell: str) -> dict[str, Tensor]:
    """The rows of ``dvectors`` by the names of the weights, of those that are there."""
    gates = shape.layout.gates
    counts = (gates, 1, shape.layout.peepholes, gates, gates, 1, 1)
    bias, candidate, peepholes, *norms = (part.flatten() for part in sums.split(counts))
    bias_hh = torch.cat([bias[: -shape.hidden], candidate]) if cell == "gru" else bias.clone()
    names = ("norm_ih", "norm_hh", "norm_ch", "norm_ch_bias")
    found = {
        "bias_ih": bias,
        "bias_hh": bias_hh,
        "weight_ch": peepholes,
        **dict(zip(names, norms, strict=True)),
    }
    return {name: part.clone() for name, part in found.items() if name in given}


def _recur_backward_fake(
    grads: OptionalTensors,
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    extras: list[Tensor],
    kept: list[Tensor],
    cell: str,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    def where(condition: bool, like: Tensor | None) -> Tensor:
        return torch.empty_like(like) if condition and like is not None else x.new_empty(0)

    states = [*state, None] if len(state) == 1 else state
    return [
        where(wanted[0], x),
        *(where(True, s) for s in states),
        *(where(wanted[1], w) for w in filled(weights)),
    ]


torch.library.impl("holdfast::recur", "CPU", _recur)
torch.library.impl("holdfast::recur_backward", "CPU", _recur_backward)
torch.library.register_fake("holdfast::recur", _recur_fake)
torch.library.register_fake("holdfast::recur_backward", _recur_backward_fake)
