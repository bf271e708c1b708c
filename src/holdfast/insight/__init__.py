"""What a result means, and what goes on inside: pictures, a page, and plain words.

``watch(model)(x)`` looks into the recurrent layers of any torch model; a ``Watcher`` warns while one is trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.insight.inside.findings import Inspection as Inspection
    from holdfast.insight.inside.findings import Steps as Steps
    from holdfast.insight.inside.inspection import inspect as inspect
    from holdfast.insight.inside.inspection import watch as watch
    from holdfast.insight.inside.memory import horizon as horizon
    from holdfast.insight.inside.subject import Loss as Loss
    from holdfast.insight.inside.subject import Score as Score
    from holdfast.insight.inside.subject import Subject as Subject
    from holdfast.insight.views.writing import write as write
    from holdfast.insight.watching.watcher import Watcher as Watcher

_HOMES = {
    "Inspection": "holdfast.insight.inside.findings",
    "Loss": "holdfast.insight.inside.subject",
    "Score": "holdfast.insight.inside.subject",
    "Steps": "holdfast.insight.inside.findings",
    "Subject": "holdfast.insight.inside.subject",
    "Watcher": "holdfast.insight.watching.watcher",
    "horizon": "holdfast.insight.inside.memory",
    "inspect": "holdfast.insight.inside.inspection",
    "watch": "holdfast.insight.inside.inspection",
    "write": "holdfast.insight.views.writing",
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
