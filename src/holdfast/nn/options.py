"""Options of a recurrent layer that torch.nn does not have; checked when the layer is built."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Real
from typing import TypedDict

from holdfast._json import JsonMapping
from holdfast.nn.cells import Cell
from holdfast.nn.init import INITIALIZERS, Initializer, chrono


class OptionArguments(TypedDict, total=False):
    """Keyword arguments of every layer: the fields of :class:`Options`."""

    layer_norm: bool
    recurrent_dropout: float
    zoneout: float | tuple[float, float]
    weight_drop: float
    learn_initial_state: bool
    forget_bias: float | None
    init: str | Initializer
    recompute: bool
    kernel: str


class LSTMArguments(OptionArguments, total=False):
    """Keyword arguments of an LSTM."""

    peephole: bool
    coupled: bool


@dataclass(frozen=True)
class Options:
    """Options of a layer. They can be combined freely.

    Attributes:
        layer_norm: normalize each gate's pre-activations, and an LSTM's cell state (Ba et al.
            2016).
        recurrent_dropout: probability of dropping a hidden unit from the recurrent product. The
            same units are dropped at each step of a sequence (Gal & Ghahramani 2016).
        zoneout: probability that a unit keeps its old value at a step (Krueger et al. 2017). For an
            LSTM, one number for both states, or (hidden, cell).
        weight_drop: probability of dropping an element of ``weight_hh`` for a whole call (Merity et
            al. 2018).
        learn_initial_state: make the initial state a parameter, used if no ``hx`` is given.
        forget_bias: initial bias of the forget gate, split over PyTorch's two biases as (value, 0).
        init: ``"torch"``, ``"orthogonal"``, ``chrono(T_max)`` or a function (see
            :mod:`holdfast.nn.init`).
        recompute: keep activations for about 2 sqrt(T) steps instead of T, at the price of one more
            forward pass. Use it for sequences of many thousand steps. The gradients are the same.
        kernel: ``"auto"``, ``"native"``, ``"aten"``, ``"reference"``, or ``"int8"``, which rounds
            and runs forward only (see :func:`holdfast.quantize`).

    Raises:
        ValueError: a probability is outside [0, 1), a name is unknown, or two options exclude each
            other.
        TypeError: a value has the wrong type.
    """

    layer_norm: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float | tuple[float, float] = 0.0
    weight_drop: float = 0.0
    learn_initial_state: bool = False
    forget_bias: float | None = None
    init: str | Initializer = "torch"
    recompute: bool = False
    kernel: str = "auto"

    @classmethod
    def of(cls, layer: str, options: JsonMapping) -> Options:
        """Build the options from keyword arguments of a layer.

        Raises:
            TypeError: a name is unknown; the message suggests the nearest one.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f", did you mean {near[0]!r}?" if near else f"; its options are {', '.join(known)}"
                raise TypeError(f"{layer}() got an unexpected keyword argument {name!r}{hint}")
        return cls(**options)

    def check(self, cell: Cell, bias: bool) -> None:
        """Check that every value is valid and fits the cell."""
        for name in ("layer_norm", "learn_initial_state", "recompute"):
            check_switch(name, getattr(self, name))
        for name in ("recurrent_dropout", "weight_drop"):
            _probability(name, getattr(self, name))
        for rate in self.zoneout_rates(cell):
            _probability("zoneout", rate)
        if isinstance(self.init, str) and self.init not in INITIALIZERS:
            raise ValueError(
                f"init must be one of {sorted(INITIALIZERS)} or a function, but got {self.init!r}"
            )
        if not isinstance(self.init, str) and not callable(self.init):
            raise TypeError(f"init must be a name or a function, but got {self.init!r}")
        if self.forget_bias is not None and not is_number(self.forget_bias):
            raise TypeError(f"forget_bias must be a number, but got {self.forget_bias!r}")
        self._check_gate_biases(cell, bias)

    def _check_gate_biases(self, cell: Cell, bias: bool) -> None:
        timed = isinstance(self.init, chrono)
        if timed and not ({"forget", "update"} & set(cell.gates)):
            raise ValueError(
                f"init=chrono needs a forget or update gate, but the cell {cell.name!r} has none"
            )
        if self.forget_bias is not None and "forget" not in cell.gates:
            raise ValueError(f"forget_bias needs a forget gate, but the cell {cell.name!r} has none")
        if not bias and (timed or self.forget_bias is not None):
            raise ValueError("init=chrono and forget_bias need biases, but the layer has bias=False")
        if timed and self.forget_bias is not None:
            raise ValueError(
                "init=chrono and forget_bias both set the forget gate's bias: pass only one of them"
            )

    def zoneout_rates(self, cell: Cell) -> tuple[float, ...]:
        """Return one rate for each state of the cell."""
        if not isinstance(self.zoneout, tuple):
            return (self.zoneout,) * len(cell.states)
        if len(self.zoneout) != len(cell.states):
            states = ", ".join(cell.states)
            raise ValueError(f"zoneout must be one rate for each state ({states}), but got {self.zoneout}")
        return self.zoneout

    def initializer(self) -> Initializer:
        """Return the function that fills a parameter."""
        return INITIALIZERS[self.init] if isinstance(self.init, str) else self.init


def check_switch(name: str, value: object) -> None:
    """Raise a TypeError unless the value is True or False, as torch.nn does."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")


def is_number(value: object) -> bool:
    """Return whether the value is a real number, numpy's included, and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _probability(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1), but got {value!r}")
