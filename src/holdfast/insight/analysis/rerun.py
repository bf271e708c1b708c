"""Rerun a model with another input to its first recurrent layer, and nothing else changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from holdfast._json import Keywords
from holdfast.errors import UserError
from holdfast.insight.analysis.call_chains import capture_chains, require_finite
from holdfast.insight.analysis.layer_capture import call_arguments, eval_mode, recurrent_modules
from holdfast.nn.kernels import ROUNDING_KERNELS
from holdfast.nn.layout import pack_like
from holdfast.nn.recurrent import Recurrent

Place = tuple[int, int]
"""Place of a call: the index of its chain, and its index in the chain."""


class Rerun:
    """Repeat a run of a model from the input of its first recurrent layer.

    Args:
        model: the network.
        run: runs the model; called twice here, and once for each repetition. States that it carries
            from run to run have no influence: each layer gets the state of the first run.
        layers: name prefixes of the layers to consider; all when empty.

    Attributes:
        first: the call of the first recurrent layer; calls that pass their state on count as one
            (see :func:`capture_chains`).
        stack: indices of the calls stacked on the first. A call joins the stack if autograd finds
            that its input is computed from the output of the stack's last call, if it has the same
            steps and sequences, and if it starts from a given state only where the first does (a
            decoder starts from one). A layer parallel to the first is not in its stack.

    Raises:
        UserError: no recurrent layer, none ran, one is in int8, or the inputs are not finite.
    """

    def __init__(self, model: nn.Module, run: Callable[[], object], layers: Sequence[str] = ()) -> None:
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
        """Return the stack's outputs [T, B, P] and the model's output for an input x [T, B, I]."""
        seen: list[Tensor] = []
        places = count()

        def read(module: object, _given: object, output: Any) -> None:
            seen.append(_steps_first(output[0], module))

        with self._hooked(self._giving(x, places), read):
            output = self.run()
        wanted = self.calls[self.stack[-1]].places
        if wanted[-1] >= len(seen):
            raise UserError(
                "A model must call its recurrent layers equally often for every input.",
                f"It called them {len(self.at)} times in the first run, then {len(seen)} times.",
                "Remove the early stop that depends on the input.",
            )
        return torch.cat([seen[place] for place in wanted]), output

    @contextmanager
    def _hooked(self, before: Callable[..., object], after: Callable[..., object]) -> Iterator[None]:
        """Run in evaluation mode with these hooks on the recurrent layers."""
        with ExitStack() as hooks, eval_mode(self.model):
            for module in self.modules.values():
                hooks.enter_context(module.register_forward_pre_hook(before, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(after))
            yield

    def _giving(self, x: Tensor, places: Iterator[int]) -> Callable[..., object]:
        pieces = x.split(list(self.first.pieces))

        def give(module: object, given: tuple[object, ...], named: Keywords) -> object:
            number, piece = self.at.get(next(places), (-1, 0))
            own, hx, lengths = call_arguments(given, named)
            new = _like(pieces[piece], own, module) if number == 0 else own
            state = self._state(number, hx) if number in self.stack and piece == 0 else hx
            return (new, state) if lengths is None else (new, state, lengths), {}

        return give

    def _state(self, number: int, hx: Any) -> object:
        """Return the first run's state: states carried from run to run have no influence."""
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
            shapes = call.x.shape[:2] == self.first.x.shape[:2]
            starts = (call.state is None) == (self.first.state is None)
            if shapes and starts and stack[-1] in reads.get(number, set()):
                stack.append(number)
        return stack

    def _reads(self) -> dict[int, set[int]]:
        """Return call index -> indices of the calls that its input is computed from directly.

        Detaches the outputs of each call and lets autograd find which detached outputs an input
        depends on.
        """
        found: dict[int, set[int]] = {}
        if len(self.calls) == 1:
            return found
        cuts: dict[int, Tensor] = {}  # the latest piece of each call: its last reader finds it here
        given, gave = count(), count()

        def look(_module: object, args: tuple[object, ...], named: Keywords) -> None:
            number, _ = self.at.get(next(given), (-1, 0))
            own = call_arguments(args, named)[0]
            own = own.data if isinstance(own, PackedSequence) else own
            if own.requires_grad and cuts:
                grads = torch.autograd.grad(own.sum(), [*cuts.values()], retain_graph=True, allow_unused=True)
                read = {of for of, grad in zip(cuts, grads, strict=True) if grad is not None}
                found.setdefault(number, set()).update(read)

        def cut(_module: object, _args: object, output: Any) -> object:
            number, _ = self.at.get(next(gave), (-1, 0))
            if not torch.is_grad_enabled():
                return None
            y, state = output
            leaf: Any = _mapped(y, lambda values: values.detach().requires_grad_())
            cuts[number] = leaf.data if isinstance(leaf, PackedSequence) else leaf
            return _mapped(leaf, Tensor.clone), _mapped(state, Tensor.detach)  # a reader may work in place

        with torch.enable_grad(), self._hooked(look, cut):
            self.run()
        return found


def _mapped(output: Any, change: Callable[[Tensor], Tensor]) -> object:
    """Apply a function to each tensor that a recurrent layer returns."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, PackedSequence):
        return output._replace(data=change(output.data))
    return tuple(_mapped(one, change) for one in output)


def _refuse_rounding(modules: dict[str, nn.Module]) -> None:
    for name, module in modules.items():
        if isinstance(module, Recurrent) and module.options.kernel in ROUNDING_KERNELS:
            raise UserError(
                "Measurements through gradients must run layers that support the backward pass.",
                f"{name or 'The layer'} runs the kernel {module.options.kernel!r}, forward only.",
                "Inspect the model as it was before quantization.",
            )


def _steps_first(y: Tensor | PackedSequence, module: Any) -> Tensor:
    """Convert outputs in any layout to [T, B, P]."""
    if isinstance(y, PackedSequence):
        return pad_packed_sequence(y)[0]
    if y.dim() == 2:
        return y.unsqueeze(1)
    return y.transpose(0, 1) if module.batch_first else y


def _like(x: Tensor, given: Any, module: Any) -> Any:
    """Convert [T, B, I] to the layout, dtype and device of a layer's original input."""
    if isinstance(given, PackedSequence):
        lengths = pad_packed_sequence(given)[1]
        return pack_like(x.to(given.data), lengths, given)
    x = x.to(given)
    if given.dim() == 2:
        return x.squeeze(1)
    return x.transpose(0, 1) if module.batch_first else x
