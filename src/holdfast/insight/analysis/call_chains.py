"""Join calls of a recurrent layer that continue from each other's state into one sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.errors import UserError
from holdfast.insight.analysis.layer_capture import LayerCall, as_states, capture_calls, recurrent_modules
from holdfast.nn.cells import State


@dataclass(frozen=True)
class CallChain(LayerCall):
    """Calls of a module joined into one: each starts from the final state of the previous one.

    Attributes:
        places: indices of these calls among all calls of the run.
        pieces: number of steps of each.
    """

    places: tuple[int, ...] = ()
    pieces: tuple[int, ...] = ()


@dataclass
class _Ended:
    """The calls of a chain so far, and the final state of the last one."""

    calls: list[LayerCall]
    places: list[int]
    state: State


def capture_chains(
    model: nn.Module, run: Callable[[], object], layers: Sequence[str] = ()
) -> list[CallChain]:
    """Run the model in evaluation mode and return its recurrent layers' joined calls, in order.

    A model that calls a layer step by step or in blocks, and passes the state on, gives one call
    with all steps. Calls of bidirectional layers are not joined: a single call with all steps would
    give another result.

    Args:
        model: the network.
        run: runs the model; called once.
        layers: name prefixes of the layers to capture; all when empty.

    Raises:
        UserError: the model has no recurrent layer, none ran, or one got no sequence or no step.
    """
    ends: list[State] = []
    handles = [
        module.register_forward_hook(_ending(ends)) for module in recurrent_modules(model, layers).values()
    ]
    try:
        found = capture_calls(model, run, layers)
    finally:
        for handle in handles:
            handle.remove()
    for call in found:
        _check(call)
    return [_joined(one) for one in _chained(found, ends)]


def _ending(ends: list[State]) -> Callable[..., None]:
    def end(_module: object, _given: object, output: Any) -> None:
        states = as_states(output[1]) or ()
        ends.append(tuple(s.detach().float().cpu().reshape(len(s), -1, s.size(-1)) for s in states))

    return end


def _check(call: LayerCall) -> None:
    if not call.x.size(1) or not int(call.lengths.max()):
        raise UserError(
            "The inspected layers must read at least one sequence of at least one step.",
            f"The layer {call.name or 'of the model'} got {call.x.size(1)} sequences of {call.x.size(0)} steps.",
            "Pass inputs that are not empty.",
        )


def _chained(found: Sequence[LayerCall], ends: Sequence[State]) -> list[_Ended]:
    made: list[_Ended] = []
    open_: dict[str, _Ended] = {}
    for place, (call, end) in enumerate(zip(found, ends, strict=True)):
        before = open_.get(call.name)
        if before is not None and _goes_on(before, call):
            before.calls.append(call)
            before.places.append(place)
            before.state = end
        else:
            open_[call.name] = _Ended([call], [place], end)
            made.append(open_[call.name])
    return made


def _goes_on(before: _Ended, call: LayerCall) -> bool:
    """Whether a call starts from the final state of the previous ones, whose sequences all have
    full length.
    """
    last: Any = before.calls[-1]
    if call.state is None or last.module.bidirectional or bool((last.lengths != last.x.size(0)).any()):
        return False
    return len(call.state) == len(before.state) and all(
        torch.equal(own, end) for own, end in zip(call.state, before.state, strict=True)
    )


def _joined(one: _Ended) -> CallChain:
    first = one.calls[0]
    pieces = tuple(call.x.size(0) for call in one.calls)
    x: Tensor = torch.cat([call.x for call in one.calls])
    lengths = one.calls[-1].lengths + sum(pieces[:-1])
    return CallChain(first.name, first.module, x, first.state, lengths, tuple(one.places), pieces)


def require_finite(name: str, values: Tensor, lengths: Tensor, what: str) -> None:
    """Require that values [T, B, ...] are finite within the sequences.

    Raises:
        UserError: some are not; it names the layer, and the first step and sequence, from 0.
    """
    there = torch.arange(values.size(0))[:, None] < lengths
    wrong = (~values.isfinite().flatten(2).all(-1) & there).nonzero()
    if len(wrong):
        step, sequence = wrong[0].tolist()
        raise UserError(
            "Inputs and activations must be finite.",
            f"{name or 'The network'}: the {what} is not at step {step} of sequence {sequence}.",
            "Fill gaps in the data, remove infinite values, and check the weights.",
        )


def first_by_module(found: Sequence[CallChain]) -> dict[str, CallChain]:
    """Return name -> first chain of each module, in the order in which they ran."""
    first: dict[str, CallChain] = {}
    for chain in found:
        first.setdefault(chain.name, chain)
    return first
