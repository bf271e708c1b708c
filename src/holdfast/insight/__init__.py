"""What a result means, and what goes on inside: pictures, a page, and plain words.

``watch(model)(x)`` looks into the recurrent layers of any torch model; a ``Watcher`` warns while one is trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.insight.findings import Inspection as Inspection
    from holdfast.insight.findings import Steps as Steps
    from holdfast.insight.inspection import inspect as inspect
    from holdfast.insight.inspection import watch as watch
    from holdfast.insight.memory import horizon as horizon
    from holdfast.insight.subject import Loss as Loss
    from holdfast.insight.subject import Score as Score
    from holdfast.insight.subject import Subject as Subject
    from holdfast.insight.watching.watcher import Watcher as Watcher
    from holdfast.insight.writing import write as write

_HOMES = {
    "Inspection": "holdfast.insight.findings",
    "Loss": "holdfast.insight.subject",
    "Score": "holdfast.insight.subject",
    "Steps": "holdfast.insight.findings",
    "Subject": "holdfast.insight.subject",
    "Watcher": "holdfast.insight.watching.watcher",
    "horizon": "holdfast.insight.memory",
    "inspect": "holdfast.insight.inspection",
    "watch": "holdfast.insight.inspection",
    "write": "holdfast.insight.writing",
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
