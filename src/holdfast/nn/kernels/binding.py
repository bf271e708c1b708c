"""Calls of the compiled core (csrc) with arrays by name, and whether it is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.errors import UserError
from holdfast.nn.kernels import thread_count

missing: str | None = None
try:
    import holdfast._native as _core
except ModuleNotFoundError:
    missing = "the compiled core is not installed (no C++ compiler at install time)"
except ImportError as error:
    missing = f"the compiled core cannot be loaded ({error})"
else:
    try:
        _core.isa()
    except ValueError as error:
        raise UserError(
            "HOLDFAST_ISA must be an instruction set of this processor or 'auto'.",
            f"{str(error)[:1].upper()}{str(error)[1:]}.",
            "Set it to one of these or unset it.",
        ) from None

WEIGHT_NAMES = (
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "weight_hr",
    "weight_ch",
    "norm_ih",
    "norm_hh",
    "norm_ch",
    "norm_ch_bias",
)
"""Names of the operators' ``weights``, in order."""

_PROBLEM = ("lengths", "x", "h0", "c0", *WEIGHT_NAMES, "mask")
OUTPUT_NAMES = ("y", "h", "c", "saved", "normed")
_BACKWARD = (
    *("y", "saved", "normed", "dy", "dh", "dc", "dsaved"),
    *("dprojected", "drecurrent", "dhidden", "dh0", "dc0", "dvectors"),
)


@dataclass(frozen=True)
class CellLayout:
    """G, names of the S slots of ``saved`` [T, B, S*H], and the number of peepholes of a cell."""

    gates: int
    saved: tuple[str, ...]
    peepholes: int = 0

    @property
    def cell_state(self) -> bool:
        """Whether the state is (h, c), as for every LSTM."""
        return self.saved[-1] == "cell"

    @property
    def vectors(self) -> int:
        """Rows of ``dvectors``: see csrc/sequence.h."""
        return 3 * self.gates + self.peepholes + 3


_GATES = ("input", "forget", "candidate", "output", "cell")
LAYOUTS = {
    "rnn_tanh": CellLayout(1, ("candidate",)),
    "rnn_relu": CellLayout(1, ("candidate",)),
    "gru": CellLayout(3, ("reset", "update", "candidate", "recurrent candidate")),
    "gru_reset_before": CellLayout(3, ("reset", "update", "candidate", "reset hidden")),
    "lstm": CellLayout(4, _GATES),
    "lstm_peephole": CellLayout(4, _GATES, 3),
    "lstm_coupled": CellLayout(3, _GATES[1:]),
    "lstm_coupled_peephole": CellLayout(3, _GATES[1:], 2),
}
INT8 = "_int8"
"""Suffix of a cell's name for int8 weights, which run forward only (csrc/int8.h)."""


def isa() -> str:
    """Return the instruction set in use: the best of this processor, or that of HOLDFAST_ISA."""
    check_available()
    return _core.isa()


def isas() -> list[str]:
    """Return the instruction sets that were built and run here, the best first."""
    check_available()
    return _core.isas()


def peak() -> float:
    """Measure the flop/s of one thread with only multiply-adds, in the instruction set in use."""
    check_available()
    return _core.peak()


def check_available() -> None:
    """Raise a RuntimeError if there is no core."""
    if missing is not None:
        raise RuntimeError(f"{missing}. Reinstall with a C++20 compiler, or use another kernel.")


def layout(cell: str) -> CellLayout:
    """Return the layout of a cell."""
    name = cell.removesuffix(INT8)
    if name not in LAYOUTS:
        raise UserError(
            f"A cell of the compiled core must be one of {sorted(LAYOUTS)}.",
            f"It was {cell!r}.",
            "Pass one of these names.",
        )
    return LAYOUTS[name]


Arrays = Mapping[str, Tensor | None]
Sizes = Sequence[int]


def forward(cell: str, sizes: Sizes, zoneout: Tensor | None, arrays: Arrays) -> None:
    """Run the forward pass of a cell.

    Args:
        cell: name of the cell, with the suffix of the kernel.
        sizes: T, B, I, H, P and 1 for the reverse direction.
        zoneout: see :meth:`holdfast.nn.kernels.noise.Zoneout.packed`.
        arrays: inputs and outputs by the names of csrc/recurrent.h; None or no entry if absent.
    """
    numbers, addresses = _prepared(zoneout, arrays, (*_PROBLEM, *OUTPUT_NAMES))
    _core.forward(cell, _core_threads(), list(sizes), numbers, addresses)


def backward(cell: str, sizes: Sizes, zoneout: Tensor | None, arrays: Arrays) -> None:
    """Run the backward pass of a cell; arguments as for :func:`forward`."""
    numbers, addresses = _prepared(zoneout, arrays, (*_PROBLEM, *_BACKWARD))
    _core.backward(cell, _core_threads(), list(sizes), numbers, addresses)


@contextmanager
def deterministic_products() -> Iterator[None]:
    """Run torch's products on one thread if their result must not depend on the number of threads.

    That is so after ``torch.use_deterministic_algorithms(True)``.
    """
    threads, needed = _threads()
    if needed:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if needed:
            torch.set_num_threads(threads)


def _threads() -> tuple[int, bool]:
    """Return torch's number of threads, and whether results must not depend on it."""
    return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()


def _core_threads() -> tuple[int, bool, int]:
    """Return the same, and how many threads may run now (csrc/recurrent.h, ``Threads``)."""
    threads, deterministic = _threads()
    return threads, deterministic, thread_count.current.available(threads)


LayerArguments = tuple[Sizes, Tensor | None, Arrays]


def new_stream(cell: str, layers: Sequence[LayerArguments], batch: int) -> _core.Stream:
    """Build a stack of layers that runs one time step at a time; the weights are copied.

    Each layer is given by the last three arguments of :func:`forward`.
    """
    given = [(list(sizes), *_prepared(zoneout, arrays, _PROBLEM)) for sizes, zoneout, arrays in layers]
    return _core.Stream(cell, given, batch)


def _prepared(
    zoneout: Tensor | None, arrays: Arrays, names: tuple[str, ...]
) -> tuple[list[float], list[int]]:
    addresses = [0 if (array := arrays.get(name)) is None else array.data_ptr() for name in names]
    return [] if zoneout is None else zoneout.tolist(), addresses
