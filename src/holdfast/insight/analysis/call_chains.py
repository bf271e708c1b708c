"""Join calls of a recurrent layer that continue from each other's state into one sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.errors import UserError
from holdfast.insight.analysis.layer_capture import LayerCall, capture_calls


@dataclass(frozen=True)
class CallChain(LayerCall):
    """Calls of a module joined into one: each starts from the final state of the previous one.

    Attributes:
        places: indices of these calls among all calls of the run.
        pieces: number of steps of each.
    """

    places: tuple[int, ...] = ()
    pieces: tuple[int, ...] = ()


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
    found = capture_calls(model, run, layers)
    chains: list[list[int]] = []
    latest: dict[str, list[int]] = {}
    for place, call in enumerate(found):
        _check(call)
        if call.name in latest and _continues(found[latest[call.name][-1]], call):
            latest[call.name].append(place)
        else:
            latest[call.name] = [place]
            chains.append(latest[call.name])
    return [_joined([found[place] for place in chain], chain) for chain in chains]


def _check(call: LayerCall) -> None:
    if not call.x.size(1) or not int(call.lengths.max()):
        raise UserError(
            "The inspected layers must read at least one sequence of at least one step.",
            f"The layer {call.name or 'of the model'} got {call.x.size(1)} sequences of {call.x.size(0)} steps.",
            "Pass inputs that are not empty.",
        )


def _continues(last: LayerCall, call: LayerCall) -> bool:
    """Whether a call starts from the final state of the last one, with sequences of full length."""
    module: Any = last.module
    if call.state is None or module.bidirectional or bool((last.lengths != last.x.size(0)).any()):
        return False
    return len(call.state) == len(last.final) and all(map(torch.equal, call.state, last.final))


def _joined(calls: Sequence[LayerCall], places: Sequence[int]) -> CallChain:
    first, last = calls[0], calls[-1]
    pieces = tuple(call.x.size(0) for call in calls)
    x, lengths = torch.cat([call.x for call in calls]), last.lengths + sum(pieces[:-1])
    return CallChain(first.name, first.module, x, first.state, lengths, last.final, tuple(places), pieces)


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
