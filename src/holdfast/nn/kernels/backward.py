"""The backward pass of ``holdfast::recur``: steps in the core, products over all steps in torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from holdfast.nn.kernels import binding
from holdfast.nn.kernels.binding import WEIGHT_NAMES
from holdfast.nn.kernels.operators import (
    EXTRA_NAMES,
    CallShape,
    OptionalTensors,
    Tensors,
    filled,
    ready,
    ready_call,
)


def _recur_backward(
    grads: OptionalTensors,
    x: Tensor,
    state: Tensors,
    weights: Tensors,
    extras: Tensors,
    kept: Tensors,
    cell: str,
    reverse: bool,
    wanted: list[bool],
) -> Tensors:
    """Compute the gradients of x, the states and the weights.

    Args:
        grads: of y, h, c and saved.
        kept: y, saved and normed.
        wanted: whether to compute the gradient of x, and those of the weights.
    """
    binding.check_available()
    y, saved, normed = kept
    own = filled(weights)
    shape = CallShape.of(x, own, cell)
    given = ready_call(shape, x, state, own, filled(extras, EXTRA_NAMES))
    given |= {"y": ready("y", y, shape.steps, shape.batch, shape.width), "saved": saved.contiguous()}
    given |= {"normed": normed.contiguous()} if normed.numel() else {}
    for name, grad, like in zip(
        ("dy", "dh", "dc", "dsaved"), grads, (y, state[0], state[-1], saved), strict=True
    ):
        if grad is not None and not (name == "dc" and len(state) == 1):
            given[name] = ready(name, grad, *like.shape)
    temporary = _temporary(shape, given, cell)
    with _buffer(sum(prod(size) for size in temporary.values())) as memory:
        parts = memory.split([prod(size) for size in temporary.values()])
        new = {name: part.view(size) for part, (name, size) in zip(parts, temporary.items(), strict=True)}
        new |= {"d" + name: torch.empty_like(given[name]) for name in shape.states()}
        new["dvectors"] = x.new_empty(shape.layout.vectors, shape.hidden)
        binding.backward(cell, shape.sizes(reverse), filled(extras, EXTRA_NAMES)[2], {**given, **new})
        with binding.deterministic_products(), torch.autocast("cpu", enabled=False):
            return _collected(shape, given, new, cell, reverse, wanted)


def _temporary(shape: CallShape, given: dict[str, Tensor], cell: str) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of what the core computes for the products."""
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
    """Return the gradients of x, the states and the weights, in order; an absent one is empty."""
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
    """Return the gradient of W_hh.

    A GRU's candidate has its own gradients, or its own operand with the reset before the product.
    """
    hidden, dweight = shape.hidden, torch.empty_like(given["weight_hh"])
    inputs = _RecurrentInput(given["y"], given["h0"], given.get("mask"), given.get("lengths"), reverse)
    da = new["drecurrent"] if "norm_ih" in given else new["dprojected"]
    if cell == "gru" and "norm_ih" not in given:
        inputs.gradient(da[..., : 2 * hidden], dweight)
        inputs.gradient(new["drecurrent"], dweight[2 * hidden :])
    elif cell == "gru_reset_before":
        inputs.gradient(da[..., : 2 * hidden], dweight)
        operand = given["saved"][..., 3 * hidden :].flatten(0, 1)
        torch.mm(da[..., 2 * hidden :].flatten(0, 1).t(), operand, out=dweight[2 * hidden :])
    else:
        inputs.gradient(da, dweight)
    return dweight


def _vectors(shape: CallShape, given: dict[str, Tensor], sums: Tensor, cell: str) -> dict[str, Tensor]:
    """Return the rows of ``dvectors`` by name, for the weights that are present."""
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


def _recur_backward_fake(_: object, x: Tensor, state: Tensors, weights: Tensors, *others: Any) -> Tensors:
    wanted: list[bool] = others[-1]
    absent = [None] * (2 - len(state))
    own = filled(weights if wanted[1] else [])
    like = [x if wanted[0] else None, *state, *absent, *own]
    return [x.new_empty(0) if t is None else torch.empty_like(t) for t in like]


@dataclass(frozen=True)
class _RecurrentInput:
    """The operand of W_hh: h at the step before, h0 at each sequence's start, times the mask."""

    y: Tensor
    h0: Tensor
    mask: Tensor | None
    lengths: Tensor | None
    reverse: bool

    def gradient(self, da: Tensor, dweight: Tensor) -> None:
        """Write ``sum over t, b of da h^T`` into the first K rows of ``dweight``.

        ``da`` [T, B, K] is zero past each sequence's end.
        """
        dweight = dweight[: da.size(2)]
        if da.size(0) == 0:
            dweight.zero_()
            return
        later, earlier = (da[:-1], self.y[1:]) if self.reverse else (da[1:], self.y[:-1])
        torch.mm(later.flatten(0, 1).t(), self._masked(earlier).flatten(0, 1), out=dweight)
        dweight.addmm_(self._first(da).t(), self._masked(self.h0))

    def _masked(self, h: Tensor) -> Tensor:
        return h if self.mask is None else h * self.mask

    def _first(self, da: Tensor) -> Tensor:
        """Return ``da`` at the start of each sequence: [T, B, K] -> [B, K]."""
        if not self.reverse:
            return da[0]
        if self.lengths is None:
            return da[-1]
        return da[(self.lengths - 1).clamp(0, da.size(0) - 1), torch.arange(da.size(1))]


_KEPT = 2
"""Buffers of the backward pass are kept: new pages of a large array cost as much as filling it."""

_free: list[Tensor] = []
_guard = Lock()


def _renew() -> None:
    """Replace the lock in a forked process: another thread may have held it."""
    global _guard  # noqa: PLW0603
    _guard = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextmanager
def _buffer(floats: int) -> Iterator[Tensor]:
    """Lend an uninitialized float32 array of this many elements for the duration of the block."""
    taken = _take(floats)
    try:
        yield taken[:floats]
    finally:
        with _guard:
            _free.append(taken)
            del _free[:-_KEPT]


def _take(floats: int) -> Tensor:
    """Take the smallest free buffer of at most twice the size, or allocate one."""
    with _guard:
        fitting = [t for t in _free if floats <= t.numel() <= 2 * floats]
        if fitting:
            best = min(fitting, key=Tensor.numel)
            _free[:] = [t for t in _free if t is not best]
            return best
    return torch.empty(floats, dtype=torch.float32, device="cpu")


torch.library.impl("holdfast::recur_backward", "CPU", _recur_backward)
torch.library.register_fake("holdfast::recur_backward", _recur_backward_fake)
