"""What recurrent layers are given in a step of training, seen through hooks that are there for that step only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from holdfast.insight.analysis.layer_capture import LayerCall, as_states, layer_call
from holdfast.nn.cells import State


@dataclass
class LayerRecord:
    """A recurrent module in one step of training.

    Attributes:
        call: what it was given; of several calls the longest.
        given: the state that its first call was given, [L*D, B, ...]; None for none.
        final: the state that its last call ended with; empty where a subclass returns none.
    """

    call: LayerCall
    given: State | None
    final: State


class LayerHooks:
    """Sees recurrent layers while it is open, in training only: a validation between two steps is not seen.

    Args:
        modules: name -> layer.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules, self.handles = modules, list[Any]()
        self.seen: dict[str, LayerRecord] = {}

    @property
    def is_open(self) -> bool:
        """Whether hooks are there."""
        return bool(self.handles)

    def open(self) -> None:
        """Look from the next step on."""
        if not self.handles:
            self.handles = [
                module.register_forward_hook(self._looking(name), with_kwargs=True)
                for name, module in self.modules.items()
            ]

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def taken(self) -> dict[str, LayerRecord]:
        """Name -> what was seen since the last time."""
        seen, self.seen = self.seen, {}
        return seen

    def _looking(self, name: str) -> Callable[..., None]:
        def look(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
            if torch.is_grad_enabled() and module.training:
                states = result[1] if isinstance(result, tuple) else None
                self._take(layer_call(name, module, given, named), states)

        return look

    def _take(self, call: LayerCall, hx: Any) -> None:
        states = as_states(hx) or ()
        final = tuple(s.detach().float().cpu().reshape(len(s), -1, s.size(-1)) for s in states)
        before = self.seen.get(call.name)
        given = call.state if before is None else before.given
        longest = call if before is None or len(call.x) > len(before.call.x) else before.call
        self.seen[call.name] = LayerRecord(longest, given, final)
