"""Default prediction to explain: the largest output after the last step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from holdfast.errors import UserError
from holdfast.insight.analysis.layer_capture import LayerCall


def largest_last_output(call: LayerCall) -> Callable[[Any], Tensor]:
    """Return a function that takes the largest element of the first sequence's last output.

    The layer's ``batch_first`` and the shapes tell the dimensions apart, for B sequences of T
    steps:

    - 3 dimensions: [B, T', P] or [T', B, P], in the layer's order or, if that does not fit, by
      size. If T' is T, the first sequence's own last step; otherwise the last of T' (a decoder's).
    - 2 dimensions: [B, P] (refused if P is T, since it may be [B, T]), or [T, P] of a single
      sequence (unbatched).
    - 1 dimension: [B], or [P] of a single sequence; 0 dimensions: the number.
    - PackedSequence: the first sequence's last step. Tuple: its first element.

    Args:
        call: the call of the first recurrent layer.

    Raises:
        UserError: (when the returned function is called) the output has no float tensor, or one of
            another shape.
    """

    def largest(output: object) -> Tensor:
        y = output
        while isinstance(y, tuple | list) and len(y) and not isinstance(y, PackedSequence):
            y = y[0]
        if isinstance(y, PackedSequence):
            padded, lengths = pad_packed_sequence(y)
            return padded[int(lengths[0]) - 1, 0].max()
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise _refused(f"The model returns a {type(output).__name__}.")
        found = _last(y, call)
        if found is None:
            raise _refused(
                f"The model returns the shape {[*y.shape]} for {call.x.size(1)} sequences "
                f"of {call.x.size(0)} steps."
            )
        return found.max()

    return largest


def _last(y: Tensor, call: LayerCall) -> Tensor | None:
    """Return the first sequence's last step of an output; None if the shape is ambiguous."""
    steps, batch = call.x.shape[:2]
    if y.dim() == 3:
        return _of_steps(y, call)
    if y.dim() == 2:
        if y.size(0) == batch:  # ambiguous if it may be T steps or T classes
            return None if steps > 1 and y.size(1) == steps else y[0]
        return y[int(call.lengths[0]) - 1] if batch == 1 and y.size(0) == steps else None
    if y.dim() == 1:
        return y[0] if batch > 1 and len(y) == batch else y if batch == 1 else None
    return y if y.dim() == 0 else None


def _of_steps(y: Tensor, call: LayerCall) -> Tensor | None:
    steps, batch = call.x.shape[:2]
    layer: Any = call.module
    first = next((d for d in ((0, 1) if layer.batch_first else (1, 0)) if y.size(d) == batch), None)
    if first is None or not y.size(1 - first):
        return None
    own = y.select(first, 0)
    if len(own) == steps:
        return own[int(call.lengths[0]) - 1]
    return None if own.size(1) == steps else own[-1]


def _refused(came: str) -> UserError:
    return UserError(
        "The output must give one number to explain.",
        came,
        "Give score=, a function from the output to one number.",
    )
