"""Track layers, losses, weights and carried states from one training step to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from holdfast._json import Keywords
from holdfast.insight.analysis.layer_capture import LayerCall, layer_call, module_label
from holdfast.insight.monitor import rules
from holdfast.nn.cells import State

# -- layers ----------------------------------------------------------------------------------------


@dataclass
class LayerRecord:
    """A recurrent module in one training step.

    Attributes:
        call: its call; of several calls, the longest.
        given: the state that its first call got, [L*D, B, ...]; None if none.
        final: the final state of its last call; empty if a subclass returns none.
    """

    call: LayerCall
    given: State | None
    final: State


class LayerHooks:
    """Forward hooks that record recurrent layers in training steps while open.

    Args:
        modules: name -> layer.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules, self.handles = modules, list[Any]()
        self.records: dict[str, LayerRecord] = {}

    @property
    def is_open(self) -> bool:
        """Whether the hooks are attached."""
        return bool(self.handles)

    def open(self) -> None:
        """Attach the hooks."""
        if not self.handles:
            self.handles = [
                module.register_forward_hook(partial(self._record, name), with_kwargs=True)
                for name, module in self.modules.items()
            ]

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def take(self) -> dict[str, LayerRecord]:
        """Return name -> record since the last call of this method."""
        records, self.records = self.records, {}
        return records

    def _record(
        self, name: str, module: nn.Module, given: tuple[object, ...], named: Keywords, output: object
    ) -> None:
        if torch.is_grad_enabled() and module.training:
            call = layer_call(name, module, given, named, output)
            before = self.records.get(name, LayerRecord(call, call.state, call.final))
            longest = max(before.call, call, key=lambda one: len(one.x))
            self.records[name] = LayerRecord(longest, before.given, call.final)


# -- loss and gradient norm ------------------------------------------------------------------------

_WINDOW = 100
"""Number of steps that define the usual gradient norm."""


class LossHistory:
    """Recent losses and gradient norms, read many at once, since reading waits for the GPU."""

    def __init__(self) -> None:
        self.pending: list[Tensor] = []
        self.first_loss: float | None = None
        self.first_norms: list[float] = []
        self.losses, self.norms = deque[float](maxlen=rules.RECENT), deque[float](maxlen=_WINDOW)

    def add(self, loss: Tensor, norm: Tensor) -> None:
        """Add the loss of a step and the norm of its gradient."""
        one = loss.detach().float().reshape(())
        self.pending.append(torch.stack([one, norm.to(one)]))

    def read(self, number: int) -> list[rules.Finding]:
        """Return findings on the steps since the last reading, of which ``number`` is the last."""
        if not self.pending:
            return []
        values: list[list[float]] = torch.stack(self.pending).tolist()
        self.pending.clear()
        found: dict[str, rules.Finding] = {}
        for step, (loss, norm) in enumerate(values, number + 1 - len(values)):
            found = {finding.kind: finding for finding in self._next(step, loss, norm)} | found
        return [*found.values()]

    def _next(self, step: int, loss: float, norm: float) -> Iterator[rules.Finding]:
        if not isfinite(loss):
            yield rules.non_finite_loss(step, loss)
            return
        usual = max(median(self.norms), median(self.first_norms)) if len(self.norms) >= rules.RECENT else inf
        if not norm <= rules.EXPLODED * usual or not isfinite(norm):
            yield rules.gradient_spike(step, norm, usual)
        if isfinite(norm):
            self.norms.append(norm)
        if len(self.first_norms) < rules.RECENT:
            self.first_norms.append(norm)
        self.losses.append(loss)
        self.first_loss = loss if self.first_loss is None else self.first_loss
        lowest, limit = min(self.losses), self.first_loss + (rules.RISEN - 1) * abs(self.first_loss)
        if len(self.losses) == rules.RECENT and lowest > limit:
            yield rules.risen_loss(self.first_loss, lowest)


# -- weights ---------------------------------------------------------------------------------------


class WeightUpdates:
    """Compare weights from one step to the next.

    Args:
        model: the network.
        layers: name -> recurrent layer; their parameters should be trained even if
            ``requires_grad`` is False.
    """

    def __init__(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        self.parameters = dict(model.named_parameters())
        own = {id(p) for layer in layers.values() for p in layer.parameters()}
        self.unchanged = [name for name, p in self.parameters.items() if p.requires_grad or id(p) in own]
        self.matrices = {
            layer: [p for p in module.parameters() if p.dim() > 1] for layer, module in layers.items()
        }
        self.before: dict[int, Tensor] = {}

    def gradient_norm(self) -> Tensor:
        """Return the 2-norm of all gradients together, or of a sparse gradient's values."""
        grads = [p.grad for p in self.parameters.values() if p.grad is not None]
        return torch.nn.utils.get_total_norm([g.coalesce().values() if g.is_sparse else g for g in grads])

    def remember(self) -> None:
        """Copy the weights."""
        self.before = {id(p): p.detach().clone() for p in self.parameters.values()}

    def findings(self) -> list[rules.Finding]:
        """Return findings on the change since :meth:`remember`, and drop the copy."""
        found = [*self._large_updates(), *self._frozen()]
        self.before = {}
        return found

    @torch.no_grad()
    def _large_updates(self) -> Iterator[rules.Finding]:
        for layer, weights in self.matrices.items():
            sizes = [self.before[id(w)].float().norm() for w in weights]
            moves = [(w - self.before[id(w)]).float().norm() for w in weights]
            size, move = float(torch.stack(sizes).norm()), float(torch.stack(moves).norm())
            if size > 0:
                yield from rules.large_update(module_label(layer), move / size)

    def _frozen(self) -> Iterator[rules.Finding]:
        """Find parameters that no check ever saw change, by owner and cause."""
        self.unchanged = [
            name
            for name in self.unchanged
            if torch.equal(self.parameters[name], self.before[id(self.parameters[name])])
        ]
        found: dict[str, dict[str, list[str]]] = {}
        for name in self.unchanged:
            where, _, own = name.rpartition(".")
            causes = found.setdefault(module_label(where), {})
            causes.setdefault(_frozen_cause(self.parameters[name]), []).append(own)
        yield from (rules.weights_frozen(where, names) for where, names in found.items())


def _frozen_cause(parameter: Tensor) -> str:
    if not parameter.requires_grad:
        return "switched off"
    grad = parameter.grad
    return "no gradient" if grad is None or not bool(grad.any()) else "not stepped"


# -- carried states --------------------------------------------------------------------------------

CARRY_STEPS = 4
"""Number of steps over which states are compared: at most one of them starts an epoch."""
_NONE, _ZEROS, _OTHER = "no state", "zeros", "a different state"


class StateCarry:
    """Compare the state that each batch starts with and the final state of the previous batch."""

    def __init__(self) -> None:
        self.final: dict[str, State] = {}
        self.borders: dict[str, list[str | None]] = {}

    def add(self, records: Mapping[str, LayerRecord]) -> None:
        """Add the next step."""
        for name, one in records.items():
            if self.final.get(name):
                self.borders.setdefault(name, []).append(_difference(self.final[name], one.given))
        self.final = {name: one.final for name, one in records.items()}

    def findings(self) -> list[rules.Finding]:
        """Return a finding for each layer that lost its state at every border, and start over."""
        found = []
        for name, differences in self.borders.items():
            wrong = [difference for difference in differences if difference is not None]
            if len(wrong) == len(differences) >= CARRY_STEPS - 1:
                found.append(rules.state_lost(module_label(name), wrong[-1], len(wrong)))
        self.final, self.borders = {}, {}
        return found


def _difference(final: State, given: State | None) -> str | None:
    """Describe a state that differs from the previous final state; None if equal or not comparable.

    Single sequences may restart from zeros; batches of different sizes are not compared.

    Example:
        >>> final = (torch.ones(1, 2, 3),)
        >>> _difference(final, (torch.tensor([0.0, 1.0])[None, :, None] * final[0],)) is None
        True
        >>> _difference(final, (2 * final[0],))
        'a different state'
    """
    if given is None:
        return _NONE
    if any(a.shape != b.shape for a, b in zip(final, given, strict=True)):
        return None
    reset = torch.stack([(g == 0).all(-1).all(0) for g in given]).all(0)
    same = torch.stack(
        [torch.isclose(g, f, 1e-3, 1e-5).all(-1).all(0) for g, f in zip(given, final, strict=True)]
    ).all(0)
    if bool((reset | same).all()):
        return _ZEROS if bool((reset & ~same).all()) else None
    return _OTHER
