"""What a recurrent layer can do beyond torch.nn, checked once at construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Real
from typing import Any, TypedDict

from holdfast.nn.cells import Cell
from holdfast.nn.init import INITIALISERS, Initialiser, chrono


class OptionArguments(TypedDict, total=False):
    """The keyword arguments of :class:`Options`, as every layer takes them."""

    layer_norm: bool
    recurrent_dropout: float
    zoneout: float | tuple[float, float]
    weight_drop: float
    learn_initial_state: bool
    forget_bias: float | None
    init: str | Initialiser
    recompute: bool
    kernel: str


class LSTMArguments(OptionArguments, total=False):
    """The same and what only an LSTM has."""

    peephole: bool
    coupled: bool


@dataclass(frozen=True)
class Options:
    """Options of a layer; any of them work together.

    Attributes:
        layer_norm: normalise each gate's pre-activation, and an LSTM's cell (Ba et al. 2016).
        recurrent_dropout: probability of dropping a hidden unit from the recurrent product, the same units at
            each step of a sequence (Gal & Ghahramani 2016).
        zoneout: probability that a unit keeps its old value at a step (Krueger et al. 2017); for an LSTM
            one number for both or (hidden, cell).
        weight_drop: probability of dropping an element of ``weight_hh`` for a whole call (Merity et al. 2018).
        learn_initial_state: the state before the first step is a parameter, where no ``hx`` is given.
        forget_bias: the forget gate's bias at the start, split over PyTorch's two biases as (value, 0).
        init: ``"torch"``, ``"orthogonal"``, ``chrono(T_max)`` or an own function (see ``initialisation``).
        recompute: train with memory for about 2 sqrt(T) steps' activations instead of T, for one more forward pass:
            for sequences of many thousand steps. The gradients are the same.
        kernel: ``"auto"``, ``"native"``, ``"aten"`` or ``"reference"``; ``"int8"`` rounds, forward only (see
            :func:`holdfast.quantize`).

    Raises:
        ValueError: a probability outside [0, 1), an unknown name, options that exclude each other.
        TypeError: a value of the wrong type.
    """

    layer_norm: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float | tuple[float, float] = 0.0
    weight_drop: float = 0.0
    learn_initial_state: bool = False
    forget_bias: float | None = None
    init: str | Initialiser = "torch"
    recompute: bool = False
    kernel: str = "auto"

    @classmethod
    def of(cls, layer: str, options: Mapping[str, Any]) -> Options:
        """Options by name, for a layer; an unknown name is a TypeError with the nearest one."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f", did you mean {near[0]!r}?" if near else f"; its options are {', '.join(known)}"
                raise TypeError(f"{layer}() got an unexpected keyword argument {name!r}{hint}")
        return cls(**options)

    def check(self, cell: Cell, bias: bool) -> None:
        """Hold the options against the cell they are for."""
        for name in ("layer_norm", "learn_initial_state", "recompute"):
            check_switch(name, getattr(self, name))
        for name in ("recurrent_dropout", "weight_drop"):
            _probability(name, getattr(self, name))
        for rate in self.zoneout_rates(cell):
            _probability("zoneout", rate)
        if isinstance(self.init, str) and self.init not in INITIALISERS:
            raise ValueError(
                f"init must be one of {sorted(INITIALISERS)} or a function, but got {self.init!r}"
            )
        if not isinstance(self.init, str) and not callable(self.init):
            raise TypeError(f"init must be a name or a function, but got {self.init!r}")
        if self.forget_bias is not None and not is_number(self.forget_bias):
            raise TypeError(f"forget_bias must be a number, but got {self.forget_bias!r}")
        self._check_gate_biases(cell, bias)

    def _check_gate_biases(self, cell: Cell, bias: bool) -> None:
        timed = isinstance(self.init, chrono)
        if timed and not ({"forget", "update"} & set(cell.gates)):
            raise ValueError(f"init=chrono sets gate biases, but the cell {cell.name!r} has no gates")
        if self.forget_bias is not None and "forget" not in cell.gates:
            raise ValueError(f"forget_bias needs a forget gate, but the cell {cell.name!r} has none")
        if not bias and (timed or self.forget_bias is not None):
            raise ValueError("init=chrono and forget_bias set biases, but the layer has bias=False")
        if timed and self.forget_bias is not None:
            raise ValueError("init=chrono and forget_bias both set the forget gate's bias: give one of them")

    def zoneout_rates(self, cell: Cell) -> tuple[float, ...]:
        """One rate for each state of the cell."""
        if not isinstance(self.zoneout, tuple):
            return (self.zoneout,) * len(cell.states)
        if len(self.zoneout) != len(cell.states):
            states = ", ".join(cell.states)
            raise ValueError(f"zoneout takes one rate for each state ({states}), but got {self.zoneout}")
        return self.zoneout

    def initialiser(self) -> Initialiser:
        """The function that fills a parameter."""
        return INITIALISERS[self.init] if isinstance(self.init, str) else self.init


def check_switch(name: str, value: object) -> None:
    """A switch is True or False; anything else is a TypeError, as in torch.nn."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def is_number(value: object) -> bool:
    """A real number of any kind (numpy's too), but no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _probability(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1), but got {value!r}")
