"""Monitor the training of a network, and report problems as they occur."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from holdfast.insight.analysis.layer_capture import recurrent_modules
from holdfast.insight.monitor.measurements import measure_layers
from holdfast.insight.monitor.rules import Finding, layer_findings
from holdfast.insight.monitor.trackers import (
    CARRY_STEPS,
    LayerHooks,
    LayerRecord,
    LossHistory,
    StateCarry,
    WeightUpdates,
)
from holdfast.insight.monitor.warning_log import Row, WarningLog
from holdfast.training.progress import notice

_EVERY = 25
"""Minimum number of steps between two checks."""
_SHARE = 0.02
"""Share of the training time that checks may take."""
_EARLY = 7
"""Number of checks, within the first 90 steps, that run whatever they cost."""


class _GradientLeft(NamedTuple):
    """The share ``left`` of a layer's gradient ``followed`` time steps back, at one check."""

    step: int
    layer: str
    followed: int
    left: float


class TrainingMonitor:
    """Warn of saturated gates, dead units, vanishing or exploding gradients, frozen weights, lost states.

    The monitor checks the first step, checks again soon, and then checks every few steps, as rarely
    as its share of the time requires. It changes nothing: the trained weights are the same bit for
    bit. It reports a finding once for each layer, and again if the finding returns after three
    checks without it. A transient finding (a gate, a unit, a gradient along the time steps) is
    reported only after three checks in a row.

    Args:
        model: the network, with recurrent layers of Holdfast or torch.nn.
        carries: the recurrent layers' state carries over from each training step to the next, as in
            truncated backpropagation; the monitor then also warns of lost states.
        every: minimum number of steps between two checks.
        share: share of the time that checks may take; the first seven checks, within 90 steps,
            always run.
        report: called with each warning as text; prints to stderr by default.
        file: path of a CSV file of the warnings: step, kind, where, found, advice. Earlier warnings
            in it are kept, so that a resumed run continues the file; those from the first monitored
            step on are replaced.

    Attributes:
        gradients: the share of the gradient left some steps back, for each layer at each check.
        checks: number of checks.
        spent: seconds spent on checks.

    Raises:
        UserError: the model has no recurrent layer.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layer, head = torch.nn.LSTM(3, 8), torch.nn.Linear(8, 1)
        >>> model = torch.nn.ModuleList([layer, head])
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
        >>> with TrainingMonitor(model, report=print) as monitor:
        ...     for _ in range(2):
        ...         loss = head(layer(torch.randn(20, 4, 3))[0]).square().mean()
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         monitor.step(loss)
        ...         optimizer.step()  # doctest: +ELLIPSIS
        warning: step 2, too large steps (module 0): one step changed the weights by 497% of their size...
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        carries: bool = False,
        every: int = _EVERY,
        share: float = _SHARE,
        report: Callable[[str], None] = notice,
        file: Path | str | None = None,
    ) -> None:
        self.every, self.share = every, share
        self.hooks = LayerHooks(recurrent_modules(model))
        self.log = WarningLog(report, None if file is None else Path(file))
        self.updates = WeightUpdates(model, self.hooks.modules)
        self.carry = StateCarry() if carries else None
        self.losses = LossHistory()
        self.checks, self.spent, self.number = 0, 0.0, 0
        self.recorded = 0  # steps recorded in the present check
        self.next = 0  # earliest step of the next check
        self.first_reach: dict[str, int] = {}
        self.gradients: list[_GradientLeft] = []
        self.began = perf_counter()
        self.hooks.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def warnings(self) -> list[Row]:
        """The step and the :class:`~holdfast.insight.monitor.rules.Finding` of each warning."""
        return self.log.rows

    def step(self, loss: Tensor, number: int | None = None) -> None:
        """Monitor a training step, after ``loss.backward()`` and before the weights change.

        Args:
            loss: a scalar.
            number: number of the step, from 1; counted by default.

        Raises:
            UserError: the file exists and does not contain warnings.
        """
        began = perf_counter()
        first = self.number == 0
        self.number = self.number + 1 if number is None else number
        if first:
            self.log.begin(self.number)
        self.losses.add(loss, self.updates.gradient_norm())
        if self.hooks.is_open:
            self._check(self.hooks.take())
        elif self._is_due(began):
            self.hooks.open()
        self.spent += perf_counter() - began

    def close(self) -> None:
        """Remove the hooks, and report findings on the last steps."""
        self.hooks.close()
        self.log.add(self.number, self.losses.read(self.number))

    def _is_due(self, now: float) -> bool:
        """Whether to check the next step."""
        affordable = self.checks < _EARLY or self.spent < self.share * (now - self.began)
        return self.number + 1 >= self.next and affordable

    def _check(self, records: Mapping[str, LayerRecord]) -> None:
        """Check the layers of a step, the weights and, if states carry over, the borders."""
        if self.recorded == 0:
            self.checks += 1
            self.next = self.number + min(self.every, max(4, self.number))
            self.log.add(self.number, [*self.losses.read(self.number), *self._layer_findings(records)])
            self.updates.remember()
        elif self.recorded == 1:
            self.log.add(self.number, self.updates.findings())
        if self.carry is not None:
            self.carry.add(records)
        self.recorded += 1
        if self.recorded == (2 if self.carry is None else CARRY_STEPS):
            self.recorded = 0
            self.hooks.close()
            if self.carry is not None:
                self.log.add(self.number, self.carry.findings())
            self.log.end_check()

    def _layer_findings(self, records: Mapping[str, LayerRecord]) -> Iterator[Finding]:
        with torch.random.fork_rng([]):
            found = [one for record in records.values() for one in measure_layers(record.call)]
        for one in found:
            self.gradients.append(_GradientLeft(self.number, one.name, one.followed, one.left))
            first = self.first_reach.setdefault(one.name, one.reach)
            yield from layer_findings(one, first, self.number)


class Watcher(TrainingMonitor):
    """Deprecated name of :class:`TrainingMonitor`, with its ``report`` argument called ``tell``."""

    def __init__(self, model: nn.Module, *, tell: Callable[[str], None] = notice, **options: Any) -> None:
        super().__init__(model, report=tell, **options)
