"""Run a model again with another input of its first recurrent layer, all else that its layers are given unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from holdfast.insight.inside.parts import Call, arguments, calls, evaluated, recurrent_modules
from holdfast.shapes import pack_like


class Again:
    """A run of a model that can be repeated from the input of its first recurrent layer.

    Args:
        model: the network.
        run: puts something through it; it is called once here, and once more for each repetition. What it carries from
            run to run in the layers' states has no influence: each layer is given the state that it was given first.
        layers: beginnings of the names of the layers among which the first is looked for; all when empty.

    Attributes:
        first: the first recurrent layer's call.
        stack: the calls that read one after the other from there: same steps and sequences, and no state given where
            the first had none (a decoder is given one).

    Raises:
        UserError: no recurrent layer, or none that ran.
    """

    def __init__(self, model: nn.Module, run: Callable[[], Any], layers: Sequence[str] = ()) -> None:
        self.model, self.run, self.layers = model, run, layers
        self.calls = calls(model, run, layers)
        self.first = self.calls[0]
        self.stack = _stack(self.calls)

    def __call__(self, x: Tensor) -> tuple[Tensor, Any]:
        """The outputs [T, B, P] of the stack's last layer and the model's answer, for an input x [T, B, I]."""
        seen: list[Tensor] = []
        count = iter(range(len(self.calls)))
        handles = []
        for module in recurrent_modules(self.model, self.layers).values():
            handles.append(module.register_forward_pre_hook(self._giving(x, count), with_kwargs=True))
            handles.append(module.register_forward_hook(self._reading(seen), with_kwargs=True))
        try:
            with evaluated(self.model):
                answer = self.run()
        finally:
            for handle in handles:
                handle.remove()
        return seen[len(self.stack) - 1], answer

    def _giving(self, x: Tensor, count: Any) -> Callable[..., Any]:
        def give(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            place = next(count)
            own, hx, lengths = arguments(given, named)
            new = like(x, own, module) if place == 0 else own
            state = self._state(place, hx)
            return (new, state) if lengths is None else (new, state, lengths), {}

        return give

    def _state(self, place: int, hx: Any) -> Any:
        """The state of the first run, where the stack begins with one; a decoder's is computed."""
        call = self.calls[place]
        if hx is None or call.state is None or place >= len(self.stack):
            return None if place < len(self.stack) and call.state is None else hx
        like_now = hx if isinstance(hx, Tensor) else hx[0]
        kept = tuple(s.to(like_now).reshape(like_now.shape[:-1] + s.shape[-1:]) for s in call.state)
        return kept[0] if isinstance(hx, Tensor) else kept

    def _reading(self, seen: list[Tensor]) -> Callable[..., None]:
        def read(module: Any, _given: Any, _named: Any, output: Any) -> None:
            seen.append(steps_first(output[0], module))

        return read


def _stack(found: list[Call]) -> list[Call]:
    first, *rest = found
    stack = [first]
    for call in rest:
        fits = call.x.shape[:2] == first.x.shape[:2] and (call.state is None) == (first.state is None)
        if not fits:
            break
        stack.append(call)
    return stack


def steps_first(y: Tensor | PackedSequence, module: Any) -> Tensor:
    """Outputs in any form as [T, B, P]."""
    if isinstance(y, PackedSequence):
        return pad_packed_sequence(y)[0]
    if y.dim() == 2:
        return y.unsqueeze(1)
    return y.transpose(0, 1) if module.batch_first else y


def like(x: Tensor, given: Any, module: Any) -> Any:
    """[T, B, I] in the form, the type and on the device of what a layer was given."""
    if isinstance(given, PackedSequence):
        lengths = pad_packed_sequence(given)[1]
        return pack_like(x.to(given.data), lengths, given)
    x = x.to(given)
    if given.dim() == 2:
        return x.squeeze(1)
    return x.transpose(0, 1) if module.batch_first else x
