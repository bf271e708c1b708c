"""What one step of training changed of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from holdfast.insight.analysis.layer_capture import module_label
from holdfast.insight.monitor.rules import Finding, frozen, leaping


class WeightUpdates:
    """Compares weights from one step to the next.

    Args:
        model: the network.
        layers: its recurrent layers by name, whose parameters are expected to be trained even where ``requires_grad``
            is False.
    """

    def __init__(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        self.parameters = dict(model.named_parameters())
        own = {id(p) for layer in layers.values() for p in layer.parameters()}
        self.still = [name for name, p in self.parameters.items() if p.requires_grad or id(p) in own]
        self.matrices = {
            layer: [p for p in module.parameters() if p.dim() > 1] for layer, module in layers.items()
        }
        self.before: dict[int, Tensor] = {}

    def gradients(self) -> list[Tensor]:
        """Those that are there."""
        return [p.grad for p in self.parameters.values() if p.grad is not None]

    def keep(self) -> None:
        """Remember the weights."""
        self.before = {id(p): p.detach().clone() for p in self.parameters.values()}

    def findings(self) -> list[Finding]:
        """What is wrong with the change since then; the memory is given up."""
        found = [*self._leaping(), *self._frozen()]
        self.before = {}
        return found

    @torch.no_grad()
    def _leaping(self) -> Iterator[Finding]:
        for layer, weights in self.matrices.items():
            sizes = [self.before[id(w)].float().norm() for w in weights]
            moves = [(w - self.before[id(w)]).float().norm() for w in weights]
            size, move = float(torch.stack(sizes).norm()), float(torch.stack(moves).norm())
            if size > 0:
                yield from leaping(module_label(layer), move / size)

    def _frozen(self) -> Iterator[Finding]:
        """Parameters that no check ever saw changed, by the module that holds them and the cause."""
        self.still = [name for name in self.still if self._is_as_before(self.parameters[name])]
        found: dict[str, dict[str, list[str]]] = {}
        for name in self.still:
            where, _, own = name.rpartition(".")
            causes = found.setdefault(module_label(where), {})
            causes.setdefault(_why(self.parameters[name]), []).append(own)
        yield from (frozen(where, names) for where, names in found.items())

    def _is_as_before(self, parameter: Tensor) -> bool:
        return torch.equal(parameter, self.before[id(parameter)])


def _why(parameter: Tensor) -> str:
    if not parameter.requires_grad:
        return "switched off"
    grad = parameter.grad
    return "no gradient" if grad is None or not bool(grad.any()) else "not stepped"
