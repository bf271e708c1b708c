"""Watches a network while it is trained, and warns as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from holdfast.insight.analysis.layer_capture import recurrent_modules
from holdfast.insight.monitor.hooks import LayerHooks, LayerRecord
from holdfast.insight.monitor.loss_history import LossHistory, total_norm
from holdfast.insight.monitor.measurements import measured
from holdfast.insight.monitor.rules import Finding, dead, growing, saturated, vanishing
from holdfast.insight.monitor.state_carry import STEPS, StateCarry
from holdfast.insight.monitor.warning_log import Row, WarningLog
from holdfast.insight.monitor.weight_updates import WeightUpdates
from holdfast.training.progress import notice

EVERY = 25
"""Steps between two checks, where they cost little."""
SHARE = 0.02
"""Of the time, that checks may take."""
_EARLY = 7
"""The first checks, within 90 steps, are made whatever they cost."""


class _Passed(NamedTuple):
    """What one check found of a gradient's way back in time: the share ``left`` of it after ``followed`` steps."""

    step: int
    layer: str
    followed: int
    left: float


class TrainingMonitor:
    """Warns of saturated gates, dead units, vanishing and exploding gradients, frozen weights and lost states.

    It looks at the first step, soon again, and then every few steps, as seldom as its share of the time asks for. It
    changes nothing: the weights that come out are the same bit for bit. A finding is told once for each layer, and
    again when it has come back after it was gone for three checks. What passes (a gate, a unit, a gradient along the
    steps) is told when three checks in a row found it.

    Args:
        model: the network; layers of Holdfast and of torch.nn are seen.
        carries: the state of the recurrent layers is carried from each step of training to the next, as in truncated
            back-propagation; that it is lost is then found.
        every: steps between two checks, where they cost little.
        share: of the time, that checks may take; the first seven, within 90 steps, are made in any case.
        tell: is given each warning, in words; a line on stderr by default.
        file: gets the warnings as CSV: step, kind, where, found, advice. Those of steps before the first one that is
            watched stay, as of a run that goes on.

    Attributes:
        warnings: what was told: the step, and the :class:`~holdfast.insight.monitor.rules.Finding`.
        gradients: how much of a gradient was left some steps back, of each layer at each check.
        checks: how often it looked.
        spent: seconds that it took.

    Raises:
        UserError: the model has no recurrent layer.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layer, head = torch.nn.LSTM(3, 8), torch.nn.Linear(8, 1)
        >>> model = torch.nn.ModuleList([layer, head])
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
        >>> with TrainingMonitor(model, tell=print) as watcher:
        ...     for _ in range(2):
        ...         loss = head(layer(torch.randn(20, 4, 3))[0]).square().mean()
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         watcher.step(loss)
        ...         optimizer.step()  # doctest: +ELLIPSIS
        warning: step 2, too large steps (module 0): one step changed the weights by 497% of their size...
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        carries: bool = False,
        every: int = EVERY,
        share: float = SHARE,
        tell: Callable[[str], None] = notice,
        file: Path | str | None = None,
    ) -> None:
        self.every, self.share = every, share
        self.eye = LayerHooks(recurrent_modules(model))
        self.told = WarningLog(tell, None if file is None else Path(file))
        self.changes = WeightUpdates(model, self.eye.modules)
        self.carrying = StateCarry() if carries else None
        self.course = LossHistory()
        self.checks, self.spent, self.number = 0, 0.0, 0
        self.looks = 0  # steps of the present check that were seen
        self.next = 0  # step of the next check, at the earliest
        self.reaches: dict[str, int] = {}
        self.gradients: list[_Passed] = []
        self.began = perf_counter()
        self.eye.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def warnings(self) -> list[Row]:
        """What was told: the step, and the symptom."""
        return self.told.rows

    def step(self, loss: Tensor, number: int | None = None) -> None:
        """Look at a step of training: call it after ``loss.backward()``, before anything changes gradients or weights.

        Args:
            loss: a scalar.
            number: of the step, from 1; counted where None.

        Raises:
            UserError: the file is there and holds something else than warnings.
        """
        began = perf_counter()
        first = self.number == 0
        self.number = self.number + 1 if number is None else number
        if first:
            self.told.begin(self.number)
        self.course.add(loss, total_norm(self.changes.gradients()))
        if self.eye.is_open:
            self._look(self.eye.taken())
        elif self._is_due(began):
            self.eye.open()
        self.spent += perf_counter() - began

    def close(self) -> None:
        """Take the hooks away, and tell what the last steps showed."""
        self.eye.close()
        self.told.take(self.number, self.course.read(self.number))

    def _is_due(self, now: float) -> bool:
        """Whether the next step is to be checked."""
        affordable = self.checks < _EARLY or self.spent < self.share * (now - self.began)
        return self.number + 1 >= self.next and affordable

    def _look(self, seen: Mapping[str, LayerRecord]) -> None:
        """A check: one step's layers, what the step changed, and, where the state is carried, the borders after it."""
        if self.looks == 0:
            self.checks += 1
            self.next = self.number + min(self.every, max(4, self.number))
            self.told.take(self.number, [*self.course.read(self.number), *self._ill(seen)])
            self.changes.keep()
        elif self.looks == 1:
            self.told.take(self.number, self.changes.findings())
        if self.carrying is not None:
            self.carrying.look(seen)
        self.looks += 1
        if self.looks == (2 if self.carrying is None else STEPS):
            self._end()

    def _end(self) -> None:
        self.looks = 0
        self.eye.close()
        if self.carrying is not None:
            self.told.take(self.number, self.carrying.findings())
        self.told.end()

    def _ill(self, seen: Mapping[str, LayerRecord]) -> Iterator[Finding]:
        """What is wrong with the layers in this step."""
        with torch.random.fork_rng([]):
            found = [one for call in seen.values() for one in measured(call.call)]
        for one in found:
            self.gradients.append(_Passed(self.number, one.name, one.followed, one.left))
            first = self.reaches.setdefault(one.name, one.reach)
            yield from (*saturated(one), *dead(one), *growing(one), *vanishing(one, first, self.number))
