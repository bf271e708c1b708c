"""Look inside recurrent networks: gates, memory, gradients, attribution, ablation, and warnings.

``inspect(model)(x)`` analyzes the recurrent layers of any torch model once; a
:class:`TrainingMonitor` warns while one is trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast._deprecated import current_name

if TYPE_CHECKING:
    from holdfast.insight.analysis.inspection import analyze as analyze
    from holdfast.insight.analysis.inspection import inspect as inspect
    from holdfast.insight.analysis.memory import memory_curve as memory_curve
    from holdfast.insight.analysis.request import InspectionRequest as InspectionRequest
    from holdfast.insight.analysis.request import Loss as Loss
    from holdfast.insight.analysis.request import Score as Score
    from holdfast.insight.analysis.results import Inspection as Inspection
    from holdfast.insight.analysis.results import Steps as Steps
    from holdfast.insight.monitor.monitor import TrainingMonitor as TrainingMonitor
    from holdfast.insight.render.page import write as write

_HOMES = {
    "Inspection": "holdfast.insight.analysis.results",
    "InspectionRequest": "holdfast.insight.analysis.request",
    "Loss": "holdfast.insight.analysis.request",
    "Score": "holdfast.insight.analysis.request",
    "Steps": "holdfast.insight.analysis.results",
    "TrainingMonitor": "holdfast.insight.monitor.monitor",
    "analyze": "holdfast.insight.analysis.inspection",
    "inspect": "holdfast.insight.analysis.inspection",
    "memory_curve": "holdfast.insight.analysis.memory",
    "write": "holdfast.insight.render.page",
}
"""Public name -> its module, loaded on first use: text output needs no torch."""

__all__ = [
    "Inspection",
    "InspectionRequest",
    "Loss",
    "Score",
    "Steps",
    "TrainingMonitor",
    "analyze",
    "inspect",
    "memory_curve",
    "write",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load a public name (PEP 562) and keep it; a deprecated name warns once."""
        new = current_name(__name__, name)
        if new not in _HOMES:
            raise AttributeError(
                f"module 'holdfast.insight' has no attribute {name!r}; it has {', '.join(__all__)}"
            )
        home = import_module(_HOMES[new])
        value = getattr(home, name, getattr(home, new))  # a deprecated object of its own, if there is one
        globals()[name] = value
        return value
