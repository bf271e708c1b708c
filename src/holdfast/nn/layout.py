"""Convert padded, packed, unbatched and ragged sequences to the kernels' layout and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from holdfast.nn.cells import State
from holdfast.nn.kernels.problem import transformed

if TYPE_CHECKING:
    from holdfast.nn.recurrent import Lengths, Recurrent


@dataclass(frozen=True)
class SequenceBatch:
    """A batch in the kernels' layout, and what is needed to convert outputs back.

    ``x`` [T, B, I], ``state`` of [L*D, B, width], ``lengths`` [B] int64 or None.
    """

    x: Tensor
    state: State | None
    lengths: Tensor | None
    batched: bool
    batch_first: bool
    packed: PackedSequence | None = None

    def restore(self, outputs: Tensor) -> Tensor | PackedSequence:
        """Convert outputs [T, B, width] to the layout of the input."""
        if self.packed is not None:
            return pack_like(outputs, self.lengths, self.packed)
        return self.restore_steps(outputs)

    def restore_steps(self, values: Tensor) -> Tensor:
        """Convert [..., T, B, width] to batch first or unbatched, like the input."""
        if not self.batched:
            return values.squeeze(-2)
        return values.transpose(-3, -2) if self.batch_first else values

    def restore_state(self, state: State) -> State:
        """Return the state [L*D, B, width], without B for unbatched input."""
        return state if self.batched else tuple(s.squeeze(1) for s in state)


def arrange(layer: Recurrent, input: object, hx: State | None, lengths: Lengths) -> SequenceBatch:
    """Check an input and convert it to the kernels' layout.

    Args:
        layer: whose sizes and flags apply.
        input, hx, lengths: see :meth:`holdfast.GRU.forward`, with ``hx`` a tuple.

    Raises:
        RuntimeError, ValueError, TypeError: as in torch.nn.
    """
    if isinstance(input, PackedSequence):
        return _from_packed(layer, input, hx, lengths)
    if not isinstance(input, Tensor):
        raise TypeError(f"input must be a Tensor or a PackedSequence, but got {type(input).__name__}")
    if input.dim() not in (2, 3):
        raise ValueError(f"{type(layer).__name__}: Expected input to be 2D or 3D, got {input.dim()}D instead")
    _check_input(layer, input)
    batched = input.dim() == 3
    state = _check_state(layer, hx, input, batched)
    if not batched:
        input = input.unsqueeze(1)
    elif layer.batch_first:
        input = input.transpose(0, 1)
    if input.size(0) == 0:
        raise RuntimeError("Expected sequence length to be larger than 0")
    lengths = None if lengths is None else _as_lengths(lengths, input)
    x = input if lengths is None else _zero_padding(input, lengths)
    return SequenceBatch(x, state, lengths, batched, layer.batch_first)


def _from_packed(
    layer: Recurrent, packed: PackedSequence, hx: State | None, lengths: Lengths
) -> SequenceBatch:
    if lengths is not None:
        raise ValueError("a PackedSequence has its own lengths: pass no lengths= with it")
    _check_input(layer, packed.data)
    x, own_lengths = pad_packed_sequence(packed)
    state = _check_state(layer, hx, x, batched=True, batch_dim=1)
    return SequenceBatch(x, state, own_lengths.to(x.device), True, False, packed)


def pack_like(outputs: Tensor, lengths: Tensor | None, packed: PackedSequence) -> PackedSequence:
    """Pack outputs [T, B, width] in exactly the order of ``packed``, ties included."""
    order = packed.sorted_indices
    assert lengths is not None
    if order is not None:
        outputs, lengths = outputs.index_select(1, order), lengths.index_select(0, order)
    data = pack_padded_sequence(outputs, lengths.cpu(), enforce_sorted=True).data
    return PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices)


def _check_input(layer: Recurrent, input: Tensor) -> None:
    dtype = layer.weight_ih_l0.dtype
    if input.dtype != dtype and not torch.is_autocast_enabled(input.device.type):
        raise ValueError(
            f"input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})"
        )
    if input.size(-1) != layer.input_size:
        raise RuntimeError(
            f"input.size(-1) must be equal to input_size. Expected {layer.input_size}, got {input.size(-1)}"
        )


def _check_state(
    layer: Recurrent, hx: State | None, input: Tensor, batched: bool, batch_dim: int | None = None
) -> State | None:
    """Check that ``hx`` is [L*D, B, width]; add the batch dimension for unbatched input."""
    if hx is None:
        return None
    batch_dim = (0 if layer.batch_first else 1) if batch_dim is None else batch_dim
    batch = (input.size(batch_dim),) if batched else ()
    rows = layer.num_layers * layer.num_directions
    if len(hx) != len(layer._widths):
        raise RuntimeError(f"hx must hold {len(layer._widths)} tensor(s) of state, but got {len(hx)}")
    for state, width in zip(hx, layer._widths, strict=True):
        expected = (rows, *batch, width)
        if state.dim() != len(expected):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx should be {len(expected)}-D but got {state.dim()}-D tensor"
            )
        if tuple(state.shape) != expected:
            raise RuntimeError(f"Expected hidden size {expected}, got {list(state.shape)}")
        if state.device != input.device:
            raise RuntimeError(
                f"hx must be on the input's device {input.device}, but it is on {state.device}"
            )
        if state.dtype != input.dtype and not torch.is_autocast_enabled(input.device.type):
            raise RuntimeError(f"hx must have the input's dtype {input.dtype}, but got {state.dtype}")
    return hx if batched else tuple(s.unsqueeze(1) for s in hx)


def _as_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """Convert B integers to int64 [B] on the device of ``x`` [T, B, I].

    The values are checked against 0..T, unless the check would wait for an accelerator or break a
    graph.
    """
    given = lengths if isinstance(lengths, Tensor) else torch.tensor(lengths)
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"lengths must be integers, but got {given.dtype}")
    if tuple(given.shape) != (x.size(1),):
        raise ValueError(
            f"lengths must hold one integer for each of {x.size(1)} sequences, but got {list(given.shape)}"
        )
    given = given.to(torch.int64)
    if (
        given.device.type == "cpu"
        and given.numel()
        and not torch.compiler.is_compiling()
        and not transformed()
    ):
        low, high = int(given.min()), int(given.max())
        if low < 0 or high > x.size(0):
            raise ValueError(
                f"lengths must be in 0..{x.size(0)} (the number of steps), but got {low}..{high}"
            )
    return given.to(x.device)


def _zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Zero the steps past each sequence's end, so that padding may hold any value, NaN included."""
    past = torch.arange(x.size(0), device=x.device)[:, None] >= lengths
    return x.masked_fill(past[:, :, None], 0.0)
