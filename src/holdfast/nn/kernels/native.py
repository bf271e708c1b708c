"""The kernel of the compiled core: every cell of Holdfast, with every option, on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.nn.kernels import backward, binding, derivatives, operators
from holdfast.nn.kernels.operators import OptionalTensors
from holdfast.nn.kernels.problem import Problem, ScanResult, transformed

isa, isas, peak = binding.isa, binding.isas, binding.peak
_LOW_PRECISION = (torch.bfloat16, torch.float16)
"""Computed in float32: the core has no kernels for these types."""

__all__ = ["Int8", "Native", "available", "backward", "derivatives", "isa", "isas", "peak"]


def available() -> str | None:
    """Return None if the core can be used, else the reason."""
    return binding.missing


class Native:
    """Runs float32 on the CPU; lower precisions run in float32 and are rounded at the end."""

    name = "native"
    suffix = ""
    """End of the core's name for a cell."""

    def refuses(self, problem: Problem) -> str | None:
        """The first reason that applies."""
        x, weight = problem.x, problem.weights.weight_hh
        if binding.missing is not None:
            return binding.missing
        if x.device.type != "cpu":
            return f"it runs on the CPU, and the input is on {x.device.type}"
        if not {x.dtype, weight.dtype} <= {torch.float32, *_LOW_PRECISION}:
            return f"it takes float32, not an input of {x.dtype} and weights of {weight.dtype}"
        if transformed():
            return "a torch.func transform or forward-mode differentiation is active"
        if problem.cell.name not in binding.LAYOUTS:
            return f"it has no cell {problem.cell.name!r}, it has {', '.join(sorted(binding.LAYOUTS))}"
        return None

    def remark(self, problem: Problem) -> str | None:
        """Return that low precision is computed in float32, or None."""
        low = _result_type(problem)
        return None if low == torch.float32 else f"{low} is computed in float32 and rounded at the end"

    def run(self, problem: Problem) -> ScanResult:
        """Call the core."""
        dtype = _result_type(problem)
        if dtype == torch.float32:
            return self._call(problem, problem.x, list(problem.state), _weights(problem))
        with torch.autocast("cpu", enabled=False):
            state, weights = [s.float() for s in problem.state], _weights(problem)
            weights = [None if w is None else w.float() for w in weights]
            result = self._call(problem, problem.x.float(), state, weights)
            traced = result.activations
            return ScanResult(
                result.outputs.to(dtype),
                tuple(s.to(dtype) for s in result.state),
                None if traced is None else {name: a.to(dtype) for name, a in traced.items()},
            )

    def _call(self, problem: Problem, x: Tensor, state: list[Tensor], weights: OptionalTensors) -> ScanResult:
        y, h, c, saved, _ = torch.ops.holdfast.recur.default(
            x,
            state,
            _present(x, weights),
            _present(x, _extras(problem)),
            problem.cell.name + self.suffix,
            problem.reverse,
            problem.trace or _trains([x, *state, *weights]),
        )
        return ScanResult(y, (h, c)[: len(state)], _activations(problem, y, saved) if problem.trace else None)


class Int8(Native):
    """Runs with int8 weights, a scale for each output, and 7-bit activations, a scale for each row.

    Sums have 32 bits; gate functions and the state stay in float32. It runs forward only, and
    ``auto`` never chooses it, since results differ.
    """

    name = "int8"
    suffix = binding.INT8

    def refuses(self, problem: Problem) -> str | None:
        """Refuse what the exact kernel refuses, and gradients."""
        if _trains([problem.x, *problem.state, *_weights(problem)]):
            return "it runs forward only, and a gradient is needed; run it under torch.no_grad()"
        return super().refuses(problem)

    def remark(self, problem: Problem) -> str | None:
        """Return that it rounds."""
        return "weights are rounded to 8 bits, activations to 7"


def _trains(tensors: OptionalTensors) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _result_type(problem: Problem) -> torch.dtype:
    """Return autocast's dtype if it is active, as torch.nn does, otherwise the input's."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else problem.x.dtype


def _weights(problem: Problem) -> OptionalTensors:
    """Return the weights in the order of :data:`holdfast.nn.kernels.binding.WEIGHT_NAMES`."""
    own, norm = problem.weights, problem.weights.norm
    gains = [None] * 4 if norm is None else [norm.ih_gain, norm.hh_gain, norm.ch_gain, norm.ch_bias]
    matrices = [own.weight_ih, own.weight_hh, own.bias_ih, own.bias_hh, own.weight_hr, own.weight_ch]
    return [*matrices, *gains]


def arguments(problem: Problem) -> binding.LayerArguments:
    """Return the arguments of :func:`holdfast.nn.kernels.binding.new_stream` for one layer."""
    weights = [None if w is None else w.detach().float() for w in _weights(problem)]
    shape = operators.CallShape.of(problem.x, weights, problem.cell.name)
    extras = operators.filled(_present(problem.x, _extras(problem)), operators.EXTRA_NAMES)
    return shape.sizes(False), extras[2], {**operators.ready_weights(shape, weights)}


def _extras(problem: Problem) -> OptionalTensors:
    noise = problem.noise
    if noise is None:
        return [problem.lengths]
    mask = None if noise.dropout_mask is None else noise.dropout_mask.float()
    return [problem.lengths, mask, None if noise.zoneout is None else noise.zoneout.packed()]


def _present(x: Tensor, tensors: OptionalTensors) -> list[Tensor]:
    """Replace absent tensors by empty ones, and drop them at the end, as the operators expect."""
    while tensors and tensors[-1] is None:
        tensors = tensors[:-1]
    return [x.new_empty(0) if t is None else t for t in tensors]


def _activations(problem: Problem, y: Tensor, saved: Tensor) -> dict[str, Tensor]:
    """Return the cell's activations by name: views of what the core saved."""
    names, hidden = binding.LAYOUTS[problem.cell.name].saved, problem.weights.hidden_size
    slots = saved.unflatten(-1, (-1, hidden)).unbind(-2)
    known = dict(zip(names, slots, strict=False)) | {"hidden": y}
    if "forget" in known and "input" not in known:  # coupled gates
        past = _past(problem.lengths, y)
        known["input"] = 1 - known["forget"] if past is None else (1 - known["forget"]).masked_fill(past, 0.0)
    return {name: known[name] for name in problem.cell.activations + problem.cell.states}


def _past(lengths: Tensor | None, y: Tensor) -> Tensor | None:
    """Return the mask [T, B, 1] of the steps past each sequence's end."""
    return None if lengths is None else (torch.arange(y.size(0))[:, None] >= lengths)[:, :, None]
