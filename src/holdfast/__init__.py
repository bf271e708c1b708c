"""Recurrent layers for PyTorch with a fast C++ core, and applications built on them.

The names below are loaded when they are first used, so that ``import holdfast`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast import insight as insight
    from holdfast.cells import CELLS as CELLS
    from holdfast.convert import accelerate as accelerate
    from holdfast.convert import from_keras as from_keras
    from holdfast.convert import to_keras as to_keras
    from holdfast.errors import UserError as UserError
    from holdfast.layers import GRU as GRU
    from holdfast.layers import LSTM as LSTM
    from holdfast.layers import RNN as RNN
    from holdfast.quantization import quantize as quantize
    from holdfast.stream import Stream as Stream
    from holdfast.tasks import load as load
    from holdfast.tasks.classify.model import SequenceClassifier as SequenceClassifier
    from holdfast.tasks.forecast.forecaster import Forecaster as Forecaster
    from holdfast.tasks.language.model import LanguageModel as LanguageModel
    from holdfast.tasks.music.model import Composer as Composer
    from holdfast.tasks.speech.model import SpeechRecognizer as SpeechRecognizer
    from holdfast.tasks.translate.model import Translator as Translator

    __version__: str

_HOMES = {
    "CELLS": "holdfast.cells",
    "GRU": "holdfast.layers",
    "LSTM": "holdfast.layers",
    "RNN": "holdfast.layers",
    "Composer": "holdfast.tasks.music.model",
    "Forecaster": "holdfast.tasks.forecast.forecaster",
    "LanguageModel": "holdfast.tasks.language.model",
    "SequenceClassifier": "holdfast.tasks.classify.model",
    "SpeechRecognizer": "holdfast.tasks.speech.model",
    "Stream": "holdfast.stream",
    "Translator": "holdfast.tasks.translate.model",
    "UserError": "holdfast.errors",
    "accelerate": "holdfast.convert",
    "from_keras": "holdfast.convert",
    "insight": "holdfast",
    "load": "holdfast.tasks",
    "quantize": "holdfast.quantization",
    "to_keras": "holdfast.convert",
}
"""Public name -> the module that defines it."""

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Composer",
    "Forecaster",
    "LanguageModel",
    "SequenceClassifier",
    "SpeechRecognizer",
    "Stream",
    "Translator",
    "UserError",
    "__version__",
    "accelerate",
    "from_keras",
    "insight",
    "load",
    "quantize",
    "to_keras",
]


if not TYPE_CHECKING:  # hidden from type checkers, for which it would make every misspelt name an Any

    def __getattr__(name: str) -> Any:
        """Load a public name from its module (PEP 562) and keep it."""
        if name == "__version__":
            value = _version()
        elif _HOMES.get(name) == __name__:  # a part of the package itself
            value = import_module(f"{__name__}.{name}")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'holdfast' has no attribute {name!r}; it has {', '.join(__all__)}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)


def _version() -> str:
    """The installed version; sources on the path without an installation have none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "0+not.installed"
