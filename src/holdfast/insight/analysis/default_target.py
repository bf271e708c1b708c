"""The number of a model's answer that attribution explains where none is asked for: the largest after the last step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from holdfast.errors import UserError
from holdfast.insight.analysis.layer_capture import LayerCall


def largest_last_output(call: LayerCall) -> Callable[[Any], Tensor]:
    """The largest element of an answer's last step, of the first sequence.

    Which dimension is which is told by the layer's ``batch_first`` and by the shapes, for B sequences of T steps:

    - 3 dimensions are [B, T', P] or [T', B, P], as the layer has them, or as the sizes say where those do not fit;
      where T' is T, the first sequence's own last step is taken, else the last of T' (a decoder's).
    - 2 are [B, P] (refused where P is T: that may be [B, T]), or [T, P] of a single sequence (unbatched);
      1 is [B], or [P] of a single sequence; 0 the number.
    - A PackedSequence has its first sequence's last step, and of a tuple the first is taken.

    Args:
        call: of the first recurrent layer.

    Raises:
        UserError: (by what is returned) the answer has no tensor of numbers, or of another shape.
    """

    def largest(answer: Any) -> Tensor:
        y = answer
        while isinstance(y, tuple | list) and len(y) and not isinstance(y, PackedSequence):
            y = y[0]
        if isinstance(y, PackedSequence):
            padded, lengths = pad_packed_sequence(y)
            return padded[int(lengths[0]) - 1, 0].max()
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise _refused(f"The model answers with a {type(answer).__name__}.")
        found = _last(y, call)
        if found is None:
            raise _refused(
                f"The model answers with the shape {[*y.shape]} for {call.x.size(1)} sequences "
                f"of {call.x.size(0)} steps."
            )
        return found.max()

    return largest


def _last(y: Tensor, call: LayerCall) -> Tensor | None:
    """The part of an answer that is the first sequence's last step; None where that cannot be told."""
    steps, batch = call.x.shape[:2]
    if y.dim() == 3:
        return _of_steps(y, call)
    if y.dim() == 2:
        if y.size(0) == batch:
            return None if steps > 1 and y.size(1) == steps else y[0]  # else of each step, or of T classes
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
        "Attribution explains a number.", came, "Give score=, which makes one number of the answer."
    )
