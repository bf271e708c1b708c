"""Autograd of ``holdfast::recur``: first derivatives by the core, second ones by the reference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from holdfast.errors import UserError
from holdfast.nn.cells import CELLS, Norm, Weights
from holdfast.nn.kernels import binding, operators
from holdfast.nn.kernels.noise import RecurrentNoise, Zoneout
from holdfast.nn.kernels.operators import OptionalTensors, Tensors
from holdfast.nn.kernels.problem import Problem, ScanResult
from holdfast.nn.kernels.reference import Reference


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, state, weights, extras, ctx.cell, ctx.reverse, save = inputs
    y, _, c, saved, normed = output
    if not save:
        raise UserError(
            "recur must get save=True for a gradient.", "save was False.", "Pass True, or use no_grad()."
        )
    ctx.mark_non_differentiable(*([normed] if c.numel() else [c, normed]))
    ctx.set_materialize_grads(False)
    ctx.states, ctx.weights = len(state), len(weights)
    ctx.save_for_backward(y, saved, normed, x, *state, *weights, *extras)


def _split(ctx: Any, tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """Split into x, the states and the weights."""
    x, *rest = tensors
    return x, rest[: ctx.states], rest[ctx.states :]


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[object, ...]:
    all_saved = ctx.saved_tensors  # read once: a checkpoint recomputes them at each read
    last = 4 + ctx.states + ctx.weights
    kept, tensors, extras = list(all_saved[:3]), list(all_saved[3:last]), list(all_saved[last:])
    dy, dh, dc, dsaved, _ = grads
    plain = len(ctx.needs_input_grad) - 4  # an argument at its default value is not counted
    others = [[None] * len(extras)] + [None] * plain
    if torch.is_grad_enabled():
        return (*_split(ctx, _differentiable(ctx, [dy, dh, dc, dsaved], tensors, extras)), *others)
    x, state, weights = _split(ctx, tensors)
    wanted = [ctx.needs_input_grad[0], any(ctx.needs_input_grad[2])]
    dx, dh0, dc0, *dweights = torch.ops.holdfast.recur_backward.default(
        [dy, dh, dc, dsaved], x, state, weights, extras, kept, ctx.cell, ctx.reverse, wanted
    )
    own = [d if d.numel() else None for d, _ in zip(dweights, weights, strict=False)]
    return (dx if wanted[0] else None, [dh0, dc0][: ctx.states], own, *others)


def _unpacked(zoneout: Tensor) -> Zoneout:
    thresholds, keys, kept, other = zoneout.view(-1, 4).unbind(1)
    if bool((other == kept).all()):
        return Zoneout(tuple(kept.tolist()))
    return Zoneout(tuple((thresholds / 2**32).tolist()), keys.to(torch.int64))


def _differentiable(ctx: Any, grads: OptionalTensors, tensors: list[Any], extras: Tensors) -> OptionalTensors:
    """Compute the gradients with the reference kernel, so that they can be differentiated again."""
    inputs = [t.view_as(t) for t in tensors]  # views: one input may depend on another
    result = _run_reference(*_split(ctx, inputs), extras, ctx.cell, ctx.reverse, trace=grads[3] is not None)
    state = (*result.state, None)[:2]
    outputs = (result.outputs, *state, None if grads[3] is None else _slots(ctx.cell, result))
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if o is not None and g is not None]
    wanted = [i for i, t in enumerate(inputs) if t.requires_grad]
    found = torch.autograd.grad(
        [o for o, _ in pairs],
        [inputs[i] for i in wanted],
        [g[..., : o.size(-1)] for o, g in pairs],
        create_graph=True,
        allow_unused=True,
    )
    by_input = dict(zip(wanted, found, strict=True))
    return [by_input.get(i) for i in range(len(inputs))]


def _slots(cell: str, result: ScanResult) -> Tensor:
    """Return the traced values in the order of the core's ``saved``; others are zero."""
    named = result.activations or {}
    first = next(iter(named.values()))
    zero = torch.zeros_like(first[..., :1]).expand_as(first)
    return torch.cat([named.get(name, zero) for name in binding.LAYOUTS[cell].saved], -1)


def _run_reference(
    x: Tensor, state: Tensors, weights: Tensors, extras: Tensors, cell: str, reverse: bool, trace: bool
) -> ScanResult:
    """Run the reference kernel on the operator's arguments."""
    lengths, mask, zoneout = operators.filled(extras, operators.EXTRA_NAMES)
    noise = RecurrentNoise(mask, None if zoneout is None else _unpacked(zoneout))
    by_name = dict(zip(binding.WEIGHT_NAMES, operators.filled(weights), strict=True))
    norms = {name: by_name.pop(name, None) for name in binding.WEIGHT_NAMES[6:]}
    norm = None if norms["norm_ih"] is None else Norm(*norms.values())  # type: ignore[arg-type]
    own = Weights(**by_name, norm=norm)  # type: ignore[arg-type]
    return Reference().run(Problem(CELLS[cell], x, tuple(state), own, lengths, reverse, noise, trace))


torch.library.register_autograd("holdfast::recur", _backward, setup_context=_setup)
