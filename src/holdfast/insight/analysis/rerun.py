"""Run a model again with another input of its first recurrent layer, all else that its layers are given unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from holdfast.errors import UserError
from holdfast.insight.analysis.call_chains import CallChain, capture_chains, require_finite
from holdfast.insight.analysis.layer_capture import call_arguments, eval_mode, recurrent_modules
from holdfast.nn.kernels import ROUNDING_KERNELS
from holdfast.nn.layout import pack_like
from holdfast.nn.recurrent import Recurrent

Place = tuple[int, int]
"""Where a call belongs: the number of its chain, and its own number in it."""


class Rerun:
    """A run of a model that can be repeated from the input of its first recurrent layer.

    Args:
        model: the network.
        run: puts something through it; it is called twice here, and once more for each repetition. What it carries from
            run to run in the layers' states has no influence: each layer is given the state that it was given first.
        layers: beginnings of the names of the layers among which the first is looked for; all when empty.

    Attributes:
        first: the first recurrent layer's call; calls that pass the state on, step by step, are one (see
            :func:`chains`).
        stack: numbers of the calls that read one after the other from there. A call goes on the stack where what it
            reads is computed from what the stack's last call put out (autograd says so), with the same steps and
            sequences, and with no state given where the first had none (a decoder is given one). Others are passed
            over: a layer beside the first one is not part of its stack.

    Raises:
        UserError: no recurrent layer, none that ran, one in int8, or inputs that are not finite.
    """

    def __init__(self, model: nn.Module, run: Callable[[], Any], layers: Sequence[str] = ()) -> None:
        self.model, self.run, self.layers = model, run, layers
        self.modules = recurrent_modules(model, layers)
        _refuse_rounding(self.modules)
        self.calls = capture_chains(model, run, layers)
        self.first = self.calls[0]
        require_finite(self.first.name, self.first.x, self.first.lengths, "input")
        self.at: dict[int, Place] = {
            place: (number, piece)
            for number, chain in enumerate(self.calls)
            for piece, place in enumerate(chain.places)
        }
        self.stack = self._stack()

    def __call__(self, x: Tensor) -> tuple[Tensor, Any]:
        """The outputs [T, B, P] of the stack's last layer and the model's answer, for an input x [T, B, I]."""
        seen: list[Tensor] = []
        places = count()

        def read(module: Any, _given: Any, output: Any) -> None:
            seen.append(_steps_first(output[0], module))

        with self._hooked(self._giving(x, places), read):
            answer = self.run()
        wanted = self.calls[self.stack[-1]].places
        if wanted[-1] >= len(seen):
            raise UserError(
                "A run with another input calls the recurrent layers as often as the first.",
                f"They were called {len(self.at)} times at first, and then {len(seen)} times.",
                "Let it not end earlier for some inputs.",
            )
        return torch.cat([seen[place] for place in wanted]), answer

    @contextmanager
    def _hooked(self, before: Callable[..., Any], after: Callable[..., Any]) -> Iterator[None]:
        """The model in evaluation mode, its recurrent layers with these hooks."""
        handles = []
        for module in self.modules.values():
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after))
        try:
            with eval_mode(self.model):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _giving(self, x: Tensor, places: Iterator[int]) -> Callable[..., Any]:
        pieces = x.split(list(self.first.pieces))

        def give(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            number, piece = self.at.get(next(places), (-1, 0))
            own, hx, lengths = call_arguments(given, named)
            new = like(pieces[piece], own, module) if number == 0 else own
            state = self._state(number, hx) if number in self.stack and piece == 0 else hx
            return (new, state) if lengths is None else (new, state, lengths), {}

        return give

    def _state(self, number: int, hx: Any) -> Any:
        """The state of the first run; what is carried from run to run has no influence."""
        call = self.calls[number]
        if hx is None or call.state is None:
            return None
        like_now = hx if isinstance(hx, Tensor) else hx[0]
        kept = tuple(s.to(like_now).reshape(like_now.shape[:-1] + s.shape[-1:]) for s in call.state)
        return kept[0] if isinstance(hx, Tensor) else kept

    def _stack(self) -> list[int]:
        reads = self._reads()
        stack = [0]
        for number, call in enumerate(self.calls[1:], 1):
            if _fits(call, self.first) and stack[-1] in reads.get(number, set()):
                stack.append(number)
        return stack

    def _reads(self) -> dict[int, set[int]]:
        """Number of a call -> numbers of the calls whose outputs its input is computed from, with none in between.

        The outputs of each are cut from what they were computed from, and autograd is asked for the cut ends.
        """
        found: dict[int, set[int]] = {}
        if len(self.calls) == 1:
            return found
        cuts: dict[int, Tensor] = {}  # of each call the latest piece: the last that reads it finds it there
        given, gave = count(), count()

        def look(_module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            number, _ = self.at.get(next(given), (-1, 0))
            own = call_arguments(args, named)[0]
            own = own.data if isinstance(own, PackedSequence) else own
            if own.requires_grad and cuts:
                grads = torch.autograd.grad(own.sum(), [*cuts.values()], retain_graph=True, allow_unused=True)
                read = {of for of, grad in zip(cuts, grads, strict=True) if grad is not None}
                found.setdefault(number, set()).update(read)

        def cut(_module: Any, _args: Any, output: Any) -> Any:
            number, _ = self.at.get(next(gave), (-1, 0))
            if not torch.is_grad_enabled():
                return None
            y, state = output
            leaf = _leaf(y)
            cuts[number] = leaf.data if isinstance(leaf, PackedSequence) else leaf
            return _mapped(leaf, Tensor.clone), _mapped(state, Tensor.detach)

        with torch.enable_grad(), self._hooked(look, cut):
            self.run()
        return found


def _mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What a recurrent layer returns, with another tensor for each of its outputs and states."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, PackedSequence):
        return output._replace(data=change(output.data))
    return tuple(_mapped(one, change) for one in output)


def _leaf(y: Tensor | PackedSequence) -> Any:
    """The same outputs, computed from nothing; what reads them gets a clone, for it may work in place."""
    return _mapped(y, lambda values: values.detach().requires_grad_())


def _refuse_rounding(modules: dict[str, nn.Module]) -> None:
    for name, module in modules.items():
        if isinstance(module, Recurrent) and module.options.kernel in ROUNDING_KERNELS:
            raise UserError(
                "What is measured through gradients has layers that run backward.",
                f"{name or 'The layer'} runs the kernel {module.options.kernel!r}, forward only.",
                "Inspect the model that was quantized.",
            )


def _fits(call: CallChain, first: CallChain) -> bool:
    return call.x.shape[:2] == first.x.shape[:2] and (call.state is None) == (first.state is None)


def _steps_first(y: Tensor | PackedSequence, module: Any) -> Tensor:
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
