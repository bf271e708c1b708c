"""Recurrent layers of any cell: parameters, initial state, noise, lengths and traces."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from holdfast._json import Keywords
from holdfast.nn import kernels, layout
from holdfast.nn.cells import Cell, Norm, State, Weights
from holdfast.nn.init import gate_rows
from holdfast.nn.kernels import Plan, Problem, RecurrentNoise, ScanResult, Zoneout
from holdfast.nn.options import Options, check_switch, is_number

if TYPE_CHECKING:
    from holdfast.nn.stream import Stream

Lengths = Tensor | Sequence[int] | None
Hidden = Tensor | tuple[Tensor, ...] | None
"""``hx`` of any layer: a tensor, or a pair (h, c) for an LSTM."""

_NO_OPTIONS = Options()
_DEFAULTS = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}


class Recurrent(nn.Module):
    """A stack of recurrent layers in one or two directions: the base class of RNN, GRU and LSTM.

    Args:
        cell: an entry of :data:`holdfast.CELLS`.
        sizes: (input_size, hidden_size, num_layers, proj_size).
        flags: (bias, batch_first, dropout, bidirectional), as in torch.nn.
        options: see :class:`holdfast.nn.options.Options`.
        factory: device and dtype of the parameters.

    Raises:
        TypeError, ValueError: a size, a flag or an option is invalid.
    """

    weight_ih_l0: Tensor

    def __init__(
        self,
        cell: Cell,
        sizes: tuple[int, int, int, int],
        flags: tuple[bool, bool, float, bool],
        options: Options,
        factory: Keywords,
    ) -> None:
        super().__init__()
        self.cell, self.options = cell, options
        self.input_size, self.hidden_size, self.num_layers, self.proj_size = sizes
        self.bias, self.batch_first, self.dropout, self.bidirectional = flags
        _check_sizes(sizes)
        _check_flags(flags, self.num_layers)
        kernels.check_name(options.kernel)
        options.check(cell, self.bias)
        self._widths = tuple(self.hidden_size if s == "cell" else self._hidden_width for s in cell.states)
        self._make_parameters(factory)
        self.reset_parameters()

    # -- parameters --------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """torch.nn's name for the cell: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"GRU"`` or ``"LSTM"``."""
        name = self.cell.name.upper()
        return name if name.startswith("RNN") else name.split("_")[0]

    @property
    def num_directions(self) -> int:
        """D: 2 if bidirectional, otherwise 1."""
        return 2 if self.bidirectional else 1

    @property
    def _hidden_width(self) -> int:
        return self.proj_size or self.hidden_size

    def suffixes(self) -> Iterator[tuple[int, str]]:
        """Yield (layer, suffix of parameter names) for each layer and direction."""
        for layer in range(self.num_layers):
            for direction in range(self.num_directions):
                yield layer, f"_l{layer}" + ("_reverse" if direction else "")

    def _make_parameters(self, factory: Keywords) -> None:
        for layer, suffix in self.suffixes():
            for name, shape in self._shapes(layer).items():
                setattr(self, name + suffix, nn.Parameter(torch.empty(shape, **factory)))
        if self.options.learn_initial_state:
            rows = self.num_layers * self.num_directions
            for state, width in zip(self.cell.states, self._widths, strict=True):
                setattr(self, f"initial_{state}", nn.Parameter(torch.empty((rows, 1, width), **factory)))

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Return name -> shape for one layer and direction, torch.nn's parameters first."""
        hidden, width = self.hidden_size, self._hidden_width
        rows = len(self.cell.gates) * hidden
        inputs = self.input_size if layer == 0 else width * self.num_directions
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, width)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes |= {"weight_hr": (width, hidden)}
        if self.cell.peepholes:
            shapes |= {"weight_ch": (self.cell.peepholes * hidden,)}
        if self.options.layer_norm:
            shapes |= {"norm_ih": (rows,), "norm_hh": (rows,)}
            if "cell" in self.cell.states:
                shapes |= {"norm_ch": (hidden,), "norm_ch_bias": (hidden,)}
        return shapes

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialize by the options ``init`` and ``forget_bias``; gains are 1, initial states 0."""
        fill = self.options.initializer()
        for name, parameter in self.named_parameters():
            kind = name.split("_l")[0]
            if kind.startswith("norm"):
                nn.init.constant_(parameter, 0.0 if kind.endswith("bias") or "bias" in name else 1.0)
            elif kind.startswith("initial"):
                nn.init.zeros_(parameter)
            else:
                fill(self.cell, kind, parameter, self.hidden_size)
        if self.options.forget_bias is not None:
            self._fill_forget_bias(self.options.forget_bias)

    def _fill_forget_bias(self, value: float) -> None:
        rows = gate_rows(self.cell, "forget", self.hidden_size)
        for _, suffix in self.suffixes():
            getattr(self, "bias_ih" + suffix)[rows] = value
            getattr(self, "bias_hh" + suffix)[rows] = 0.0

    def flatten_parameters(self) -> None:
        """Do nothing: torch.nn's programs may call it, but there is no flat copy of the weights."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """Parameters of each layer and direction, as in torch.nn."""
        return [[getattr(self, n + s) for n in self._shapes(layer)] for layer, s in self.suffixes()]

    def extra_repr(self) -> str:
        """Return torch.nn's text and the options that differ from their defaults."""
        given: dict[str, object] = {"proj_size": self.proj_size} if self.proj_size else {}
        given |= {name: getattr(self, name) for name, d in _DEFAULTS.items() if getattr(self, name) != d}
        given |= {name: v for name, v in vars(self.options).items() if v != getattr(_NO_OPTIONS, name)}
        given |= {} if self.cell.name in ("rnn_tanh", "gru", "lstm") else {"cell": self.cell.name}
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *(f"{n}={v}" for n, v in given.items())])

    # -- running -----------------------------------------------------------------------------------

    def _forward(
        self, input: Tensor | PackedSequence, hx: State | None, lengths: Lengths
    ) -> tuple[Any, State]:
        sequence = layout.arrange(self, input, hx, lengths)
        results = self._run(sequence)
        outputs = _joined(results[-self.num_directions :])
        final = tuple(_stacked([r.state[k] for r in results]) for k in range(len(self.cell.states)))
        return sequence.restore(outputs), sequence.restore_state(final)

    def _run(self, sequence: layout.SequenceBatch, trace: bool = False) -> list[ScanResult]:
        """Run each layer and direction in torch.nn's order: by layer, forward before reverse."""
        recompute = self.options.recompute and torch.is_grad_enabled() and not trace
        scan = kernels.scan_in_segments if recompute else kernels.scan
        x = sequence.x
        results: list[ScanResult] = []
        for layer in range(self.num_layers):
            problems = [self._problem(x, sequence, layer, d, trace) for d in range(self.num_directions)]
            results += [scan(p, self.options.kernel) for p in problems]
            x = _joined(results[-self.num_directions :])
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return results

    def _problem(
        self, x: Tensor, sequence: layout.SequenceBatch, layer: int, direction: int, trace: bool
    ) -> Problem:
        row = layer * self.num_directions + direction
        state = self._state(sequence, row)
        weights = self.weights(f"_l{layer}" + ("_reverse" if direction else ""))
        noise = self._noise(state)
        return Problem(self.cell, x, state, weights, sequence.lengths, direction == 1, noise, trace)

    def _state(self, sequence: layout.SequenceBatch, row: int) -> State:
        if sequence.state is not None:
            return tuple(s[row] for s in sequence.state)
        batch = sequence.x.size(1)
        if self.options.learn_initial_state:
            return tuple(getattr(self, f"initial_{s}")[row].expand(batch, -1) for s in self.cell.states)
        return tuple(sequence.x.new_zeros(batch, width) for width in self._widths)

    def weights(self, suffix: str) -> Weights:
        """Return the weights of one layer and direction, after weight drop.

        Args:
            suffix: ``"_l0"``, ``"_l0_reverse"``, ``"_l1"``, ...
        """
        names = {n: getattr(self, n + suffix, None) for n in ("bias_ih", "bias_hh", "weight_hr", "weight_ch")}
        recurrent = F.dropout(getattr(self, "weight_hh" + suffix), self.options.weight_drop, self.training)
        return Weights(getattr(self, "weight_ih" + suffix), recurrent, **names, norm=self._norm(suffix))

    def _norm(self, suffix: str) -> Norm | None:
        if not self.options.layer_norm:
            return None
        names = ("norm_ih", "norm_hh", "norm_ch", "norm_ch_bias")
        return Norm(*(getattr(self, name + suffix, None) for name in names))  # type: ignore[arg-type]

    def _noise(self, state: State) -> RecurrentNoise | None:
        rates = self.options.zoneout_rates(self.cell)
        dropping = self.training and self.options.recurrent_dropout > 0
        if not dropping and not any(rates):
            return None
        mask = F.dropout(torch.ones_like(state[0]), self.options.recurrent_dropout) if dropping else None
        if not any(rates):
            return RecurrentNoise(mask)
        return RecurrentNoise(mask, Zoneout.sample(rates) if self.training else Zoneout(rates))

    def problems(self, batch: int) -> list[Problem]:
        """Return one forward time step of zeros for each layer: what a stream is built from."""
        widths = [self.input_size, *[self._hidden_width] * (self.num_layers - 1)]
        inputs = [self.weight_ih_l0.new_zeros(1, batch, width) for width in widths]
        steps = [layout.SequenceBatch(x, None, None, True, False) for x in inputs]
        return [self._problem(s.x, s, layer, 0, False) for layer, s in enumerate(steps)]

    def stream(self, batch: int = 1) -> Stream:
        """Copy this layer into a :class:`holdfast.Stream`, which runs one time step at a time.

        Args:
            batch: B, the number of sequences.

        Raises:
            ValueError: the layer is bidirectional.
        """
        from holdfast.nn.stream import Stream

        return Stream(self, batch)

    # -- insight -----------------------------------------------------------------------------------

    def plan(self, x: Tensor | PackedSequence, hx: Hidden = None, lengths: Lengths = None) -> Plan:
        """Return the kernel that ``layer(x, hx, lengths)`` would use, and why others cannot run.

        Nothing runs, and the state of the random number generators stays the same.

        Raises:
            RuntimeError: the layer names a kernel, and that kernel cannot run this input.

        Example:
            >>> from holdfast import GRU
            >>> print(GRU(3, 5, kernel="reference").plan(torch.zeros(7, 2, 3)))
            reference (the first choice here)
        """
        sequence = layout.arrange(self, x, self._as_state(hx), lengths)
        with torch.random.fork_rng([sequence.x.device] if sequence.x.is_cuda else []):
            return kernels.choose(self._problem(sequence.x, sequence, 0, 0, trace=False), self.options.kernel)

    def trace(self, x: Tensor, hx: Hidden = None, lengths: Lengths = None) -> dict[str, Tensor]:
        """Return every gate, candidate and state, for each time step, layer and direction.

        Args:
            x, hx, lengths: as in ``forward``, except that ``x`` cannot be a PackedSequence.

        Returns:
            name -> [L, D, T, B, width] ([L, D, B, T, width] with ``batch_first``; no B for
            unbatched input). An LSTM has ``input forget candidate output cell hidden``, a GRU
            ``reset update candidate hidden``, an RNN ``hidden``. Values past a sequence's end are
            zero.

        Raises:
            TypeError: ``x`` is a PackedSequence.

        Example:
            >>> from holdfast import GRU
            >>> layer = GRU(3, 5)
            >>> layer.trace(torch.zeros(7, 2, 3))["update"].shape
            torch.Size([1, 1, 7, 2, 5])
        """
        if isinstance(x, PackedSequence):
            raise TypeError("trace must get a padded tensor and lengths=, but got a PackedSequence")
        sequence = layout.arrange(self, x, self._as_state(hx), lengths)
        traced = [r.activations or {} for r in self._run(sequence, trace=True)]
        stacked = {name: _stacked([t[name] for t in traced]) for name in traced[0]}
        rows = (self.num_layers, self.num_directions)
        return {name: sequence.restore_steps(values).unflatten(0, rows) for name, values in stacked.items()}

    def _as_state(self, hx: Hidden) -> State | None:
        return (hx,) if isinstance(hx, Tensor) else hx


def _stacked(tensors: list[Tensor]) -> Tensor:
    """Stack tensors; a single tensor is not copied."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


def _joined(directions: list[ScanResult]) -> Tensor:
    """Concatenate the directions' outputs; the output of a single direction is not copied."""
    return directions[0].outputs if len(directions) == 1 else torch.cat([r.outputs for r in directions], -1)


def _check_sizes(sizes: tuple[int, int, int, int]) -> None:
    input_size, hidden_size, num_layers, proj_size = sizes
    named = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    for name, value in named.items():
        if not isinstance(value, int):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def _check_flags(flags: tuple[bool, bool, float, bool], num_layers: int) -> None:
    bias, batch_first, dropout, _ = flags
    check_switch("bias", bias)
    check_switch("batch_first", batch_first)
    if not is_number(dropout) or not 0 <= dropout <= 1:
        raise ValueError(f"dropout should be a number in range [0, 1], but got {dropout!r}")
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            f"dropout acts between layers and needs num_layers > 1: dropout={dropout} has no effect",
            stacklevel=4,
        )
