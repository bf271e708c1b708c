"""Recurrent layers for PyTorch with a fast C++ core, and applications built on them.

The names below are loaded when they are first used, so that ``import holdfast`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast import _threads as _threads  # sets how long OpenMP's threads spin, before torch is imported

if TYPE_CHECKING:
    from holdfast import insight as insight
    from holdfast.errors import UserError as UserError
    from holdfast.nn.cell_modules import GRUCell as GRUCell
    from holdfast.nn.cell_modules import LSTMCell as LSTMCell
    from holdfast.nn.cell_modules import RNNCell as RNNCell
    from holdfast.nn.cells import CELLS as CELLS
    from holdfast.nn.convert import accelerate as accelerate
    from holdfast.nn.convert import from_keras as from_keras
    from holdfast.nn.convert import to_keras as to_keras
    from holdfast.nn.layers import GRU as GRU
    from holdfast.nn.layers import LSTM as LSTM
    from holdfast.nn.layers import RNN as RNN
    from holdfast.nn.quantization import quantize as quantize
    from holdfast.nn.stream import Stream as Stream
    from holdfast.tasks.classify.task import SequenceClassifier as SequenceClassifier
    from holdfast.tasks.forecast.task import Forecaster as Forecaster
    from holdfast.tasks.language.task import LanguageModel as LanguageModel
    from holdfast.tasks.music.task import Composer as Composer
    from holdfast.tasks.registry import load as load
    from holdfast.tasks.speech.task import SpeechRecognizer as SpeechRecognizer
    from holdfast.tasks.translate.task import Translator as Translator

    __version__: str

_HOMES = {
    "CELLS": "holdfast.nn.cells",
    "GRU": "holdfast.nn.layers",
    "GRUCell": "holdfast.nn.cell_modules",
    "LSTM": "holdfast.nn.layers",
    "LSTMCell": "holdfast.nn.cell_modules",
    "RNN": "holdfast.nn.layers",
    "RNNCell": "holdfast.nn.cell_modules",
    "Composer": "holdfast.tasks.music.task",
    "Forecaster": "holdfast.tasks.forecast.task",
    "LanguageModel": "holdfast.tasks.language.task",
    "SequenceClassifier": "holdfast.tasks.classify.task",
    "SpeechRecognizer": "holdfast.tasks.speech.task",
    "Stream": "holdfast.nn.stream",
    "Translator": "holdfast.tasks.translate.task",
    "UserError": "holdfast.errors",
    "accelerate": "holdfast.nn.convert",
    "from_keras": "holdfast.nn.convert",
    "insight": "holdfast",
    "load": "holdfast.tasks.registry",
    "quantize": "holdfast.nn.quantization",
    "to_keras": "holdfast.nn.convert",
}
"""Public name -> the module that defines it."""

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Composer",
    "Forecaster",
    "GRUCell",
    "LSTMCell",
    "LanguageModel",
    "RNNCell",
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
