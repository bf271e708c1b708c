"""What a result means, and what goes on inside: pictures, a page, and plain words.

``watch(model)(x)`` looks into the recurrent layers of any torch model; a ``Watcher`` warns while one is trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.insight.analysis.inspection import inspect as inspect
    from holdfast.insight.analysis.inspection import watch as watch
    from holdfast.insight.analysis.memory import horizon as horizon
    from holdfast.insight.analysis.request import Loss as Loss
    from holdfast.insight.analysis.request import Score as Score
    from holdfast.insight.analysis.request import Subject as Subject
    from holdfast.insight.analysis.results import Inspection as Inspection
    from holdfast.insight.analysis.results import Steps as Steps
    from holdfast.insight.monitor.monitor import Watcher as Watcher
    from holdfast.insight.render.export import write as write

_HOMES = {
    "Inspection": "holdfast.insight.analysis.results",
    "Loss": "holdfast.insight.analysis.request",
    "Score": "holdfast.insight.analysis.request",
    "Steps": "holdfast.insight.analysis.results",
    "Subject": "holdfast.insight.analysis.request",
    "Watcher": "holdfast.insight.monitor.monitor",
    "horizon": "holdfast.insight.analysis.memory",
    "inspect": "holdfast.insight.analysis.inspection",
    "watch": "holdfast.insight.analysis.inspection",
    "write": "holdfast.insight.render.export",
}
"""Public name -> the module that defines it; loaded when it is first used, for words need no torch."""

__all__ = [
    "Inspection",
    "Loss",
    "Score",
    "Steps",
    "Subject",
    "Watcher",
    "horizon",
    "inspect",
    "watch",
    "write",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load a public name (PEP 562) and keep it."""
        if name not in _HOMES:
            raise AttributeError(
                f"module 'holdfast.insight' has no attribute {name!r}; it has {', '.join(__all__)}"
            )
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
