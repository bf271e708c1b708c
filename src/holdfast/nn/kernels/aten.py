"""The fused kernels of torch: cuDNN on an NVIDIA GPU, oneDNN or ATen on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import _VF, Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from holdfast.nn.cells import State
from holdfast.nn.kernels.problem import Problem, ScanResult, transformed

_RUN: dict[str, Callable[..., Any]] = {
    "rnn_tanh": _VF.rnn_tanh,
    "rnn_relu": _VF.rnn_relu,
    "gru": _VF.gru,
    "lstm": _VF.lstm,
}


class Aten:
    """Runs the cells of torch.nn, without the options that torch.nn lacks."""

    name = "aten"

    def refuses(self, problem: Problem) -> str | None:
        """Return the first reason that applies."""
        weights = problem.weights
        reasons = {
            f"torch.nn has no cell {problem.cell.name!r}": problem.cell.name not in _RUN,
            "torch.nn has no layer normalization": weights.norm is not None,
            "torch.nn has no recurrent dropout and no zoneout": problem.noise is not None,
            "torch's fused kernels do not return the gates": problem.trace,
            "a torch.func transform or forward-mode differentiation is active": transformed(),
            "torch.compile cannot trace packing": problem.lengths is not None
            and torch.compiler.is_compiling(),
            "oneDNN has no LSTM under CPU autocast": problem.cell.name == "lstm"
            and problem.x.device.type == "cpu"
            and torch.is_autocast_enabled("cpu"),
        }
        return next((reason for reason, applies in reasons.items() if applies), None)

    def remark(self, problem: Problem) -> None:
        """Return None."""

    def run(self, problem: Problem) -> ScanResult:
        """Call the fused kernel once: ragged batches are packed, reverse inputs flipped."""
        if problem.lengths is None:
            return _dense(problem)
        return _ragged(problem, problem.lengths)


def _call(problem: Problem, data: Tensor, *batch_sizes: Tensor, state: State) -> tuple[Tensor, State]:
    weights = problem.weights
    biases = [b for b in (weights.bias_ih, weights.bias_hh) if b is not None]
    projection = [] if weights.weight_hr is None else [weights.weight_hr]
    flat = [weights.weight_ih, weights.weight_hh, *biases, *projection]
    hx = [s.unsqueeze(0) for s in state]
    training = torch.is_grad_enabled()  # cuDNN saves tensors for backward only in training
    settings = (flat, bool(biases), 1, 0.0, training, False)
    tail = () if batch_sizes else (False,)
    outputs, *final = _RUN[problem.cell.name](
        data, *batch_sizes, hx if len(hx) == 2 else hx[0], *settings, *tail
    )
    return outputs, tuple(s.squeeze(0) for s in final)


def _dense(problem: Problem) -> ScanResult:
    x = problem.x.flip(0) if problem.reverse else problem.x
    outputs, state = _call(problem, x, state=problem.state)
    return ScanResult(outputs.flip(0) if problem.reverse else outputs, state)


def _ragged(problem: Problem, lengths: Tensor) -> ScanResult:
    """Run a packed batch. Packing needs length 1: an empty sequence runs a step that is undone."""
    on_device = lengths.to(problem.x.device)
    x = _flip(problem.x, on_device) if problem.reverse else problem.x
    packed = pack_padded_sequence(x, lengths.cpu().clamp(min=1), enforce_sorted=False)
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None and back is not None
    state = tuple(s.index_select(0, order) for s in problem.state)
    data, final = _call(problem, packed.data, packed.batch_sizes, state=state)
    outputs, _ = pad_packed_sequence(
        PackedSequence(data, packed.batch_sizes, order, back), total_length=x.size(0)
    )
    empty = (on_device == 0)[:, None]
    outputs = torch.where(empty, 0.0, outputs)
    final = tuple(
        torch.where(empty, old, new.index_select(0, back))
        for old, new in zip(problem.state, final, strict=True)
    )
    return ScanResult(_flip(outputs, on_device) if problem.reverse else outputs, final)


def _flip(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence of [T, B, width] within its own length; padding does not move."""
    steps = torch.arange(x.size(0), device=x.device)[:, None]
    index = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x.gather(0, index[:, :, None].expand_as(x))
