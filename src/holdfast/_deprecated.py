"""Old names of settings, flags and Python objects, which keep working for one version.

Files with old names (recipes, run folders, saved states) load silently. A keyword in Python warns,
a flag on the command line prints a note; both name the new one.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast._json import JsonMapping, JsonObject
from holdfast.errors import UserError

_SETTINGS = {
    "beside": "compare_with",
    "harmonise": "harmonize",
    "normalise": "normalize",
    "unit": "token",
    "watch": "monitor",
}
"""Old name of a setting -> new name."""

_Callable = TypeVar("_Callable", bound=Callable[..., object])

_SELECT_BY = ("loss", "error", "joint")
"""Values of ``monitor`` when that setting chose the best epoch; ``select_by`` does so now."""

_OBJECTS = {
    "insight": {
        "Subject": "InspectionRequest",
        "Watcher": "TrainingMonitor",
        "horizon": "memory_curve",
        "watch": "inspect",
    }
}
"""Public module of this package -> old name of an object in it -> new name in the same module."""

_ATTRIBUTES = {
    "AblatedComponent": {"part": "layer"},
    "Ablation": {"cuts": "components"},
    "Composition": {"told": "summary", "wish": "request"},
    "FeatureUnit": {"found": "selected", "part": "layer"},
    "Forecaster": {"forecast": "predictions"},
    "GradientFlow": {"words": "sentence"},
    "Inspection": {
        "flows": "gradients",
        "horizon": "memory",
        "parts": "layers",
        "tracked": "feature_units",
        "words": "summary",
    },
    "InspectionRequest": {"draw": "extra_plots", "several": "feature_batch"},
    "SequenceClassifier": {"probabilities": "predictions"},
    "SpeechRecognizer": {
        "ear": "streaming_recognizer",
        "recogniser": "recognizer",
        "sounds_of": "frames_of",
    },
    "Task": {"fit_prepared": "fit_dataset", "settings": "config_class"},
    "Translator": {"interpreter": "translator"},
}
"""Public class -> old name of an attribute -> new name."""


class OldAttributes:
    """Base of the classes whose attributes have old names in :data:`_ATTRIBUTES`."""

    if not TYPE_CHECKING:  # hidden from type checkers, for which it would make every misspelt name an Any

        def __getattr__(self, name: str) -> object:
            for base in type(self).__mro__:
                new = _ATTRIBUTES.get(base.__name__, {}).get(name)
                if new is not None:
                    warn_renamed(f"{base.__name__}.{name}", f"{base.__name__}.{new}")
                    return getattr(self, new)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def renamed_arguments(**names: str) -> Callable[[_Callable], _Callable]:
    """Return a decorator for a function or class that takes keywords under old names too.

    Args:
        names: old name of an argument -> new name.
    """

    def decorate(function: Any) -> Any:
        is_class = isinstance(function, type)
        made = function.__init__ if is_class else function

        @wraps(made)
        def call(*arguments: object, **named: object) -> object:
            for old, new in names.items():
                if old in named:
                    warn_renamed(f"{function.__name__}({old}=)", f"{function.__name__}({new}=)")
                    named[new] = named.pop(old)
            return made(*arguments, **named)

        if not is_class:
            return call
        function.__init__ = call
        return function

    return decorate


def renamed_settings(values: JsonMapping, warn: bool = False) -> JsonObject:
    """Return settings under their new names, those in nested mappings too.

    Args:
        values: name -> value.
        warn: warn of each old name by a FutureWarning.

    Raises:
        UserError: a setting occurs under its old and its new name.
    """
    found: JsonObject = {}
    for name, value in values.items():
        old_monitor = name == "monitor" and isinstance(value, str)
        new = "select_by" if old_monitor else _SETTINGS.get(name, name)
        if new in found:
            got = f"It is set twice: under this name and under an old one ({name})."
            raise UserError(f"{new} must be set once.", got, "Remove the old name.")
        if new != name and warn:
            warn_renamed(name, new)
        found[new] = renamed_settings(value, warn) if isinstance(value, Mapping) else value
    return found


def renamed_flags(words: Sequence[str], notice: Callable[[str], None]) -> list[str]:
    """Return the words of a command line with new names for old flags; print a note for each."""
    found: list[str] = []
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        following = value if equals else next(iter(words[place + 1 :]), "")
        new = "--select-by" if flag == "--monitor" and following in _SELECT_BY else _FLAGS.get(flag, flag)
        if new != flag:
            notice(f"note: {flag} is now {new}")
        found.append(new + equals + value)
    return found


def current_name(module: str, name: str) -> str:
    """Return the current name of a module's public object; an old one gives a FutureWarning."""
    new = _OBJECTS.get(module.removeprefix("holdfast."), {}).get(name, name)
    if new != name:
        warn_renamed(f"{module}.{name}", f"{module}.{new}")
    return new


def _flags() -> dict[str, str]:
    pairs = [(old.replace("_", "-"), new.replace("_", "-")) for old, new in _SETTINGS.items()]
    return {f"--{no}{old}": f"--{no}{new}" for old, new in pairs for no in ("", "no-")}


_FLAGS = _flags()


def warn_renamed(old: str, new: str) -> None:
    """Warn at the line outside of this package that used an old name."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "holdfast":
        frame, level = frame.f_back, level + 1
    warnings.warn(f"{old} is now {new}; the old name will be removed.", FutureWarning, stacklevel=level)
